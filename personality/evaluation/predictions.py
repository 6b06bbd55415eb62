"""Predictions on disk: a csv with a line a clip, ours or anybody's, and what is odd about it said plainly.

In memory and on disk a table of predictions is the same: index `clip`; a column a trait (and perhaps `interview`) with
the score; `<trait>_label`; `<trait>_std`, the standard deviation of the score over the segments of the clip; and
`segments`, their number. Only the scores are required. A clip that could not be scored has blanks for scores. Where
nobody knows which clips these are, the index is `line`.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from personality.evaluation.trait_files import name_lines, read_trait_files
from personality.tables import (
    clip_name,
    counted,
    listed,
    numbers,
    read_table,
    refuse_doubled,
    refuse_predictions,
    require_traits,
)
from personality.traits import TARGETS, TRAITS

COLUMNS = (*(f"{target}{kind}" for kind in ("", "_label", "_std") for target in TARGETS), "segments")


def write_predictions(path: str | Path, predictions: pd.DataFrame) -> None:
    """Write a table of predictions, sorted by clip; a file that is there is replaced once the new one is whole.

    Args:
        path: The csv file.
        predictions: As this module describes it.
    """
    if any(column not in COLUMNS for column in predictions) or any(trait not in predictions for trait in TRAITS):
        raise ValueError(
            f"Got predictions with the columns {listed(predictions.columns, 12)}. Expected {listed(TRAITS, 5)}, and of "
            "others only interview, segments, and each target's _label and _std; rename or drop the rest."
        )
    refuse_doubled(predictions.index, f"What was to be written to {path}")
    ordered = predictions[[column for column in COLUMNS if column in predictions]].sort_index()
    unfinished = Path(f"{path}.part")
    index = "line" if predictions.index.name == "line" else "clip"
    ordered.to_csv(unfinished, index_label=index, float_format="%.7g")
    os.replace(unfinished, path)  # noqa: PTH105


def read_predictions(path: str | Path, labels: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read a table of predictions.

    Columns are known by name, in any order, as others spell them (see `personality.tables.read_table`); columns with
    other names are left alone. Clips are the same with and without .mp4 and folder.

    Args:
        path: A csv file, or a folder with a file for each trait (see `read_trait_files`).
        labels: What `read_traits` made of a label file; it replaces the labels in the file. Where the file names no
            clips, its lines get the names of the clips that have the same five labels.

    Returns:
        Predictions as this module describes them, sorted by clip, with every clip that has a score or a label.
    """
    table = read_trait_files(path) if Path(path).is_dir() else read_table(path, "clip", "line")
    require_traits(table, path)
    refuse_doubled(table.index, str(path))
    predictions = pd.DataFrame({column: numbers(table, column, path) for column in COLUMNS if column in table})
    blank = predictions[[target for target in TARGETS if target in table]].isna()
    partly = predictions.index[blank.any(axis=1) & ~blank.all(axis=1)]
    if len(partly):
        raise ValueError(
            f"{path} has a score for some traits and none for others in {counted(partly)}. Expected all scores of a "
            "clip, or none where it could not be scored; fill them in, or blank them all."
        )
    if blank.all(axis=None):
        raise ValueError(f"{path} has no score in any of its {len(table):,} lines. Expected numbers from 0 to 1.")
    in_file = predictions.filter(like="_label")
    if labels is None:
        _check_range(in_file, path)
        return predictions.sort_index()
    labels = labels.rename(index=clip_name)
    if predictions.index.name == "line":
        predictions = name_lines(predictions, labels, path)
    if not predictions.index.isin(labels.index).any():
        raise ValueError(
            f"No clip of {path} has a label: it names clips like {predictions.index[0]}, the labels clips like "
            f"{labels.index[0]}. Expected the same names; give the labels of the same split."
        )
    return predictions.drop(columns=in_file.columns).join(labels.add_suffix("_label"), how="outer").sort_index()


def read_traits(path: str | Path) -> pd.DataFrame:
    """Read labels, say those of the training clips, from a csv with a clip and its traits in a line, or from a pickle.

    Returns:
        Labels in [0, 1], NaN where there is none, sorted by clip. Of a file of predictions, the labels in it.
    """
    table = read_table(path, "clip")
    kind = "_label" if f"{TRAITS[0]}_label" in table else ""
    require_traits(table, path, kind)
    refuse_doubled(table.index, str(path))
    if not kind:
        refuse_predictions(table, path)
    labels = {target: numbers(table, target + kind, path) for target in TARGETS if target + kind in table}
    _check_range(pd.DataFrame(labels), path)
    return pd.DataFrame(labels).sort_index()


def names_of(predictions: pd.DataFrame) -> list[str]:
    """Name the clips, for what goes by their sources; lines that name no clip are all called "", of one source."""
    return [""] * len(predictions) if predictions.index.name == "line" else predictions.index.tolist()


def targets_of(predictions: pd.DataFrame) -> list[str]:
    """Name the targets that have both scores and labels: the five traits, and perhaps `interview`."""
    missing = [f"{trait}_label" for trait in TRAITS if f"{trait}_label" not in predictions]
    if missing:
        raise ValueError(
            f"These predictions have no {listed(missing, 5)}. Expected a label beside every score; add these "
            "columns, or read the file with the labels of its split."
        )
    return [target for target in TARGETS if target in predictions and f"{target}_label" in predictions]


def scores_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """Take the scores: index clip, a column for each of `targets_of`."""
    return predictions[targets_of(predictions)]


def labels_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """Take the labels: index clip, a column for each of `targets_of`."""
    targets = targets_of(predictions)
    return predictions[[f"{target}_label" for target in targets]].set_axis(targets, axis=1)


def measurable(predictions: pd.DataFrame) -> pd.Series:
    """Tell which clips have all scores and at least one label: a truth value a clip, at least one of them true."""
    scored, labelled = scores_of(predictions).notna().all(axis=1), labels_of(predictions).notna().any(axis=1)
    if not (scored & labelled).any():
        raise ValueError(
            f"No clip has both scores and labels: {scored.sum():,} have scores, {labelled.sum():,} have labels. "
            "Expected at least one; check that both name the same clips, and that the model's scores are numbers."
        )
    return scored & labelled


def agreed_labels(several: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Take the labels of several predictions for the same clips, and refuse those that contradict each other."""
    all_labels = [labels_of(predictions) for predictions in several]
    together = pd.concat(all_labels).groupby(level=0)
    apart = ((together.max() - together.min()) > 1e-4).any(axis=1)  # files round
    if apart.any():
        raise ValueError(
            f"The files disagree about the labels of {counted(apart.index[apart])}. Expected predictions for the same "
            "labels; read them with labels from one file (--labels FILE)."
        )
    return together.first()[[target for target in TARGETS if all(target in labels for labels in all_labels)]]


def _check_range(labels: pd.DataFrame, path: str | Path) -> None:
    wrong = labels[((labels < 0) | (labels > 1)).any(axis=1)]
    if len(wrong):
        raise ValueError(
            f"{path} has labels outside [0, 1] in {counted(wrong.index)}. Expected the scale of the data set, from 0 "
            "for the least to 1 for the most; bring them to it."
        )
