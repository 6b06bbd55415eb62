"""Files of predictions: a csv with a row for each clip, written by this package or by others.

A table of predictions is the same in memory and on disk: index `clip`; a column a trait (and perhaps `interview`) with
the score; `<trait>_label`; `<trait>_std`, the standard deviation of the score over the segments of the clip; and
`segments`, their number. Only the scores are required. A clip that could not be scored has empty scores. If a file does
not name its clips, the index is `line`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from personality.atomic import atomic_write
from personality.evaluation.trait_files import name_lines, read_trait_files
from personality.tables import (
    clip_name,
    format_clips,
    join_names,
    number_column,
    read_table,
    require_labels,
    require_traits,
    require_unique,
)
from personality.traits import TARGETS, TRAITS

COLUMNS = (*(f"{target}{kind}" for kind in ("", "_label", "_std") for target in TARGETS), "segments")


def write_predictions(path: str | Path, predictions: pd.DataFrame) -> None:
    """Write a table of predictions, sorted by clip, in one atomic write.

    Args:
        path: The csv file.
        predictions: See the description of this module.
    """
    if any(column not in COLUMNS for column in predictions) or any(trait not in predictions for trait in TRAITS):
        raise ValueError(
            f"Got predictions with the columns {join_names(predictions.columns, 12)}. Expected "
            f"{join_names(TRAITS, 5)}, and optionally interview, segments, and the _label and _std of each target; "
            "rename or drop the rest."
        )
    require_unique(predictions.index, f"The table to be written to {path}")
    ordered = predictions[[column for column in COLUMNS if column in predictions]].sort_index()
    index = "line" if predictions.index.name == "line" else "clip"
    with atomic_write(path) as part:
        ordered.to_csv(part, index_label=index, float_format="%.7g")


def read_predictions(path: str | Path, labels: pd.DataFrame | None = None) -> pd.DataFrame:
    """Read a table of predictions.

    Columns are found by name, in any order and in the spellings that `personality.tables.read_table` knows; other
    columns are ignored. Clip names match with and without .mp4 and folder.

    Args:
        path: A csv file, or a folder with a file for each trait (see `read_trait_files`).
        labels: Labels from `read_trait_labels`, which replace those in the file. If the file names no clips, each line
            is matched to the clip that has the same five labels.

    Returns:
        Predictions as this module describes them, sorted by clip, with every clip that has a score or a label.
    """
    table = read_trait_files(path) if Path(path).is_dir() else read_table(path, "clip", "line")
    require_traits(table, path)
    require_unique(table.index, str(path))
    predictions = pd.DataFrame({column: number_column(table, column, path) for column in COLUMNS if column in table})
    missing = predictions[[target for target in TARGETS if target in table]].isna()
    partly = predictions.index[missing.any(axis=1) & ~missing.all(axis=1)]
    if len(partly):
        raise ValueError(
            f"{path} has a score for some traits and none for others in {format_clips(partly)}. Expected all scores of "
            "a clip, or none if it could not be scored; fill them in, or remove them all."
        )
    if missing.all(axis=None):
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


def read_trait_labels(path: str | Path) -> pd.DataFrame:
    """Read labels, for example those of the training clips, from a csv with a row for each clip, or from a pickle.

    Returns:
        Labels in [0, 1], NaN where there is none, sorted by clip. From a file of predictions, the labels in it.
    """
    table = read_table(path, "clip")
    suffix = "_label" if f"{TRAITS[0]}_label" in table else ""
    require_traits(table, path, suffix)
    require_unique(table.index, str(path))
    if not suffix:
        require_labels(table, path)
    labels = {target: number_column(table, target + suffix, path) for target in TARGETS if target + suffix in table}
    _check_range(pd.DataFrame(labels), path)
    return pd.DataFrame(labels).sort_index()


def clip_names(predictions: pd.DataFrame) -> list[str]:
    """Return the names of the clips. Lines that name no clip are all called "" and so count as one source."""
    return [""] * len(predictions) if predictions.index.name == "line" else predictions.index.tolist()


def targets_of(predictions: pd.DataFrame) -> list[str]:
    """Return the targets that have both scores and labels: the five traits, and perhaps `interview`."""
    missing = [f"{trait}_label" for trait in TRAITS if f"{trait}_label" not in predictions]
    if missing:
        raise ValueError(
            f"These predictions have no {join_names(missing, 5)}. Expected a label beside every score; add these "
            "columns, or read the file with the labels of its split."
        )
    return [target for target in TARGETS if target in predictions and f"{target}_label" in predictions]


def scores_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """Select the scores: index clip, a column for each of `targets_of`."""
    return predictions[targets_of(predictions)]


def labels_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """Select the labels: index clip, a column for each of `targets_of`."""
    targets = targets_of(predictions)
    return predictions[[f"{target}_label" for target in targets]].set_axis(targets, axis=1)


def is_evaluable(predictions: pd.DataFrame) -> pd.Series:
    """Return a mask of the clips that have all scores and at least one label; raise if there is no such clip."""
    scored, labelled = scores_of(predictions).notna().all(axis=1), labels_of(predictions).notna().any(axis=1)
    if not (scored & labelled).any():
        raise ValueError(
            f"No clip has both scores and labels: {scored.sum():,} have scores, {labelled.sum():,} have labels. "
            "Expected at least one; check that both name the same clips, and that the model's scores are numbers."
        )
    return scored & labelled


def common_labels(models: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join the labels of several predictions; raise if two of them give a clip different labels."""
    all_labels = [labels_of(predictions) for predictions in models]
    by_clip = pd.concat(all_labels).groupby(level=0)
    different = ((by_clip.max() - by_clip.min()) > 1e-4).any(axis=1)  # labels in files are rounded
    if different.any():
        raise ValueError(
            f"The files disagree about the labels of {format_clips(different.index[different])}. Expected predictions "
            "for the same labels; read them with labels from one file (--labels FILE)."
        )
    return by_clip.first()[[target for target in TARGETS if all(target in labels for labels in all_labels)]]


def _check_range(labels: pd.DataFrame, path: str | Path) -> None:
    wrong = labels[((labels < 0) | (labels > 1)).any(axis=1)]
    if len(wrong):
        raise ValueError(
            f"{path} has labels outside [0, 1] in {format_clips(wrong.index)}. Expected the scale of the data set, "
            "from 0 for the least to 1 for the most; rescale them."
        )
