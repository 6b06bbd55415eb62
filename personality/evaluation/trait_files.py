"""Predictions with a file for each trait, as PersonalityLinMulT publishes them, and the clips of their lines."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from personality.tables import INITIALS, LABEL, SCORE, SPELLINGS, join_names, only_letters, read_table, require_unique
from personality.traits import TRAITS


def read_trait_files(folder: str | Path) -> pd.DataFrame:
    """Read a folder with a csv file for each trait, with the columns `Prediction` and perhaps `GroundTruth`.

    The name of a file contains its trait (`test_openness.csv`), or ends in its letter (`test_O.csv`) or in a number
    from 0 to 4 in the order of OCEAN (`test_predictions_0.csv`). Other files are ignored. Files without a column of
    clips are joined line by line.

    Returns:
        Text, as from `read_table`: index `clip`, or `line` for files that name no clips; the traits, and their labels
        if the files have them.

    Raises:
        ValueError: A trait has no file or several, or a file has no predictions, or the files have different clips.
    """
    tables = {trait: _read_trait(file, trait) for trait, file in _files_by_trait(Path(folder)).items()}
    first, *others = tables.values()
    for trait, table in zip(TRAITS[1:], others, strict=True):
        if table.index.name != first.index.name or set(table.index) != set(first.index):
            raise ValueError(
                f"{folder} has {len(first):,} lines for {TRAITS[0]} and {len(table):,} for {trait}, or different "
                "clips. Expected the same clips in each file; use files of one split."
            )
    joined = pd.concat([table.reindex(first.index) for table in tables.values()], axis="columns")
    joined.attrs["columns"] = {column: column for column in joined}
    return joined


def name_lines(predictions: pd.DataFrame, labels: pd.DataFrame, path: object) -> pd.DataFrame:
    """Find the clip of each line by its labels: in First Impressions no two clips have the same five.

    Args:
        predictions: Scores and labels, index `line`.
        labels: Labels of at least these clips: index `clip`.
        path: The file of the predictions, for error messages.

    Returns:
        The predictions, index `clip`.

    Raises:
        ValueError: A line has no labels, or its labels match no clip, or two lines match the same clip.
    """
    from scipy.spatial import KDTree  # takes a second to import, and few files need it

    known = labels[list(TRAITS)].dropna()
    columns = [f"{trait}_label" for trait in TRAITS]
    if not set(columns) <= set(predictions) or predictions[columns].isna().any(axis=None) or known.empty:
        raise ValueError(
            f"{path} names no clips, and has no labels that identify them. Expected a column clip; add it."
        )
    distance, nearest = KDTree(known).query(predictions[columns], p=float("inf"))
    clips = known.index.take(np.asarray(nearest))
    wrong = np.asarray(distance) > 1e-4  # labels in files are rounded
    wrong[~wrong] = clips[~wrong].duplicated(keep=False)
    if wrong.any():
        raise ValueError(
            f"{path} names no clips, and {wrong.sum():,} of its {len(wrong):,} lines have labels that match no clip in "
            f"the file of labels, or the clip of another line, such as {predictions.index[wrong][0]}. Expected the "
            "labels of the same split; give those, or leave the option out."
        )
    return predictions.set_axis(clips.rename("clip"))


def _files_by_trait(folder: Path) -> dict[str, Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in (".csv", ".tsv", ".txt"))
    for trait_of in (_trait_by_name, _trait_by_letter, _trait_by_number):
        found = {trait: [file for file in files if trait_of(file.stem) == trait] for trait in TRAITS}
        if all(found.values()):
            doubled = [file.name for matches in found.values() if len(matches) > 1 for file in matches]
            if doubled:
                raise ValueError(
                    f"{folder} has several files of one trait: {join_names(doubled, 6)}. Expected one for each of "
                    f"{join_names(TRAITS, 5)}; move the others elsewhere, or give one file with all traits."
                )
            return {trait: matches[0] for trait, matches in found.items()}
    raise ValueError(
        f"{folder} has the files {join_names((file.name for file in files), 6) or 'none'}. Expected a csv file for "
        f"each of {join_names(TRAITS, 5)}, with that name, or with the letters O C E A N or the numbers 0 to 4 at the "
        "end of its name; rename them, or give one file with all traits."
    )


def _trait_by_name(stem: str) -> str | None:
    letters = only_letters(stem)
    return next((trait for spelling, trait in SPELLINGS.items() if trait in TRAITS and spelling in letters), None)


def _trait_by_letter(stem: str) -> str | None:
    return INITIALS.get(re.split(r"[^a-z]", stem.lower())[-1])


def _trait_by_number(stem: str) -> str | None:
    last = re.search(r"(?<!\d)[0-4]$", stem)
    return TRAITS[int(last[0])] if last else None


def _read_trait(file: Path, trait: str) -> pd.DataFrame:
    table = read_table(file, "clip", "line", numbered=True)
    columns = {column: only_letters(column) for column in table}
    scores = [column for column, name in columns.items() if name == trait or re.fullmatch(SCORE, name)]
    labels = [column for column, name in columns.items() if name == f"{trait}label" or re.fullmatch(LABEL, name)]
    if len(scores) != 1 or len(labels) > 1:
        raise ValueError(
            f"{file} has the columns {join_names(columns, 12)}. Expected one called Prediction, and none or one called "
            "GroundTruth; rename or remove the others."
        )
    require_unique(table.index, str(file))
    return table[scores + labels].set_axis([trait, f"{trait}_label"][: 1 + len(labels)], axis="columns")
