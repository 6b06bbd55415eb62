"""Predictions with a file for each trait, as PersonalityLinMulT publishes them, and which clips their lines are of."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from personality.tables import INITIALS, LABEL, SCORE, SPELLINGS, letters, listed, read_table, refuse_doubled
from personality.traits import TRAITS


def read_trait_files(folder: str | Path) -> pd.DataFrame:
    """Read a folder with a csv file for each trait, with the columns `Prediction` and perhaps `GroundTruth`.

    The names of the files tell the traits: they hold the trait (`test_openness.csv`), or end in its letter
    (`test_O.csv`) or in a number from 0 to 4, in the order of OCEAN (`test_predictions_0.csv`). Other files are left
    alone. Files without a column of clips belong together line by line.

    Returns:
        Text, as `read_table` gives it: index `clip`, or `line` for files that name none; the traits, and their labels
        if the files have them.

    Raises:
        ValueError: Not every trait has one file, or a file has no predictions, or the files are of different clips.
    """
    tables = {trait: _read_trait(file, trait) for trait, file in _files_by_trait(Path(folder)).items()}
    first, *others = tables.values()
    for trait, table in zip(TRAITS[1:], others, strict=True):
        if table.index.name != first.index.name or set(table.index) != set(first.index):
            raise ValueError(
                f"{folder} has {len(first):,} lines for {TRAITS[0]} and {len(table):,} for {trait}, not of the same "
                "clips. Expected the same clips in each file; bring together files of one split."
            )
    joined = pd.concat([table.reindex(first.index) for table in tables.values()], axis="columns")
    joined.attrs["columns"] = {column: column for column in joined}
    return joined


def name_lines(predictions: pd.DataFrame, labels: pd.DataFrame, path: object) -> pd.DataFrame:
    """Name the clip of each line by its labels: in First Impressions no two clips have the same five.

    Args:
        predictions: Scores and labels, index `line`.
        labels: Labels of at least these clips: index `clip`.
        path: What the predictions are called in an error.

    Returns:
        The predictions, index `clip`.

    Raises:
        ValueError: A line has no labels, or those of no clip, or those of the same clip as another line.
    """
    known = labels[list(TRAITS)].dropna()
    columns = [f"{trait}_label" for trait in TRAITS]
    if not set(columns) <= set(predictions) or predictions[columns].isna().any(axis=None) or known.empty:
        raise ValueError(
            f"{path} names no clips, and has no labels of its own to tell them by. Expected a column clip; add it."
        )
    distance, nearest = KDTree(known).query(predictions[columns], p=float("inf"))
    clips = known.index.take(np.asarray(nearest))
    wrong = np.asarray(distance) > 1e-4  # files round
    wrong[~wrong] = clips[~wrong].duplicated(keep=False)
    if wrong.any():
        raise ValueError(
            f"{path} names no clips, and {wrong.sum():,} of its {len(wrong):,} lines have the labels of no clip in the "
            f"file of labels, or those of another line, such as {predictions.index[wrong][0]}. Expected the labels of "
            "the same split; give those, or leave the option out."
        )
    return predictions.set_axis(clips.rename("clip"))


def _files_by_trait(folder: Path) -> dict[str, Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".csv", ".tsv", ".txt"))
    for find in (_trait_by_name, _trait_by_letter, _trait_by_number):
        found = {trait: [file for file in files if find(file.stem) == trait] for trait in TRAITS}
        if all(found.values()):
            doubled = [file.name for several in found.values() if len(several) > 1 for file in several]
            if doubled:
                raise ValueError(
                    f"{folder} has several files of one trait: {listed(doubled, 6)}. Expected one for each of "
                    f"{listed(TRAITS, 5)}; move the others elsewhere, or name one file of all traits."
                )
            return {trait: several[0] for trait, several in found.items()}
    raise ValueError(
        f"{folder} has the files {listed((file.name for file in files), 6) or 'none'}. Expected a csv file for each of "
        f"{listed(TRAITS, 5)}, called so, or by the letters O C E A N or the numbers 0 to 4 at the end of their names; "
        "rename them, or name one file of all traits."
    )


def _trait_by_name(stem: str) -> str | None:
    return next((trait for spelling, trait in SPELLINGS.items() if trait in TRAITS and spelling in letters(stem)), None)


def _trait_by_letter(stem: str) -> str | None:
    return INITIALS.get(re.split(r"[^a-z]", stem.lower())[-1])


def _trait_by_number(stem: str) -> str | None:
    last = re.search(r"(?<!\d)[0-4]$", stem)
    return TRAITS[int(last[0])] if last else None


def _read_trait(file: Path, trait: str) -> pd.DataFrame:
    table = read_table(file, "clip", "line", numbered=True)
    words = {column: letters(column) for column in table}
    scores = [column for column, word in words.items() if word == trait or re.fullmatch(SCORE, word)]
    labels = [column for column, word in words.items() if word == f"{trait}label" or re.fullmatch(LABEL, word)]
    if len(scores) != 1 or len(labels) > 1:
        raise ValueError(
            f"{file} has the columns {listed(words, 12)}. Expected one called Prediction, and none or one called "
            "GroundTruth; rename or remove the others."
        )
    refuse_doubled(table.index, str(file))
    return table[scores + labels].set_axis([trait, f"{trait}_label"][: 1 + len(labels)], axis="columns")
