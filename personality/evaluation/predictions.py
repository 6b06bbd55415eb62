"""Files of predictions: a csv with a row for each clip, written by this package or by others.

A table of predictions is the same in memory and on disk: index `clip`; a column a trait, or another target, with the
score; `<trait>_label`; `<trait>_std`, the standard deviation of the score over the segments of the clip; `segments`,
their number; `<trait>_from_<part>`, what a part of a joint model adds to it; and
`group`, the person or the like that the clip shows, where its name does not say it. Only the scores
are required. A clip that could not be scored has empty scores. If a file does not name its clips, the index is `line`.
"""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from personality.atomic import atomic_write
from personality.evaluation.trait_files import name_lines, read_trait_files
from personality.tables import (
    ATTRIBUTES,
    TARGET_COLUMN,
    as_numbers,
    clip_name,
    format_clips,
    is_like_a_trait,
    join_names,
    number_column,
    only_letters,
    read_table,
    require_labels,
    require_traits,
    require_unique,
)
from personality.traits import TARGETS, TRAITS, source_id

KINDS = ("", "_label", "_std")
FROM = "_from_"
"""Between a target and a part of a joint model: see `personality.evaluation.parts`."""
OTHER = ("segments", "group", *ATTRIBUTES)
"""Columns that belong to no target."""
Scale = tuple[float | pd.Series, float | pd.Series]
"""The lowest and the highest label there can be, of all targets or by target."""
UNIT: Scale = (0.0, 1.0)


def write_predictions(path: str | Path, predictions: pd.DataFrame) -> None:
    """Write a table of predictions, sorted by clip, in one atomic write.

    Args:
        path: The csv file.
        predictions: See the description of this module.
    """
    targets = scored_targets(predictions)
    known = [*(f"{target}{kind}" for kind in KINDS for target in targets), "segments", "group"]
    known += [str(name) for name in predictions if is_share(str(name), targets)]
    if not targets or any(column not in known for column in predictions):
        raise ValueError(
            f"Got predictions with the columns {join_names(predictions.columns, 12)}. Expected scores, and optionally "
            "segments, group, and the _label and _std of each score; rename or drop the rest."
        )
    require_unique(predictions.index, f"The table to be written to {path}")
    ordered = predictions[[column for column in known if column in predictions]].sort_index()
    index = "line" if predictions.index.name == "line" else "clip"
    with atomic_write(path) as part:
        ordered.to_csv(part, index_label=index, float_format="%.7g")


def read_predictions(path: str | Path, labels: pd.DataFrame | None = None, scale: Scale = UNIT) -> pd.DataFrame:
    """Read a table of predictions.

    Columns are found by name, in any order and in the spellings that `personality.tables.read_table` knows; other
    columns are ignored. Clip names match with and without .mp4 and folder.

    Args:
        path: A csv file, or a folder with a file for each trait (see `read_trait_files`).
        labels: Labels from `read_trait_labels`, which replace those in the file. If the file names no clips, each line
            is matched to the clip that has the same five labels.
        scale: The lowest and the highest label there can be.

    Returns:
        Predictions as this module describes them, sorted by clip, with every clip that has a score or a label.
    """
    table = read_trait_files(path) if Path(path).is_dir() else read_table(path, "clip", "line")
    targets = [target for target in TARGETS if target in table]
    if not {*TRAITS} & {*table}:
        targets = [str(name) for name in table if {f"{name}_label", f"{name}_std"} & {*table}]
    if not targets or {*TRAITS} & {*table}:
        require_traits(table, path)
    require_unique(table.index, str(path))
    numbers = [*(f"{target}{kind}" for kind in KINDS for target in targets), "segments"]
    numbers += [str(name) for name in table if is_share(str(name), targets)]
    predictions = pd.DataFrame({column: number_column(table, column, path) for column in numbers if column in table})
    if "group" in table:
        predictions["group"] = table["group"]
    missing = predictions[targets].isna()
    partly = predictions.index[missing.any(axis=1) & ~missing.all(axis=1)]
    if len(partly):
        raise ValueError(
            f"{path} has a score for some traits and none for others in {format_clips(partly)}. Expected all scores of "
            "a clip, or none if it could not be scored; fill them in, or remove them all."
        )
    if missing.all(axis=None):
        raise ValueError(f"{path} has no score in any of its {len(table):,} lines. Expected numbers; fill them in.")
    in_file = predictions.filter(like="_label")
    if labels is None:
        _check_range(in_file, path, scale)
        return predictions.sort_index()
    labels = labels.rename(index=clip_name)
    if predictions.index.name == "line":
        predictions = name_lines(predictions, labels, path)
    if not predictions.index.isin(labels.index).any():
        raise ValueError(
            f"No clip of {path} has a label: it names clips like {predictions.index[0]}, the labels clips like "
            f"{labels.index[0]}. Expected the same names; give the labels of the same split."
        )
    groups, labels = labels.get("group"), labels.drop(columns="group", errors="ignore").add_suffix("_label")
    joined = predictions.drop(columns=in_file.columns).join(labels, how="outer").sort_index()
    return joined if groups is None else joined.assign(group=groups)


def read_trait_labels(path: str | Path, scale: Scale = UNIT) -> pd.DataFrame:
    """Read labels, for example those of the training clips, from a csv with a row for each clip, or from a pickle.

    Args:
        path: The file.
        scale: The lowest and the highest label there can be.

    Returns:
        Labels, NaN where there is none, sorted by clip, and the column `group` if the file has it. From a file of
        predictions, the labels in it.
    """
    table = read_table(path, "clip")
    suffix = "_label" if any(str(name).endswith("_label") for name in table) else ""
    targets = [target for target in TARGETS if target + suffix in table]
    if not targets:
        ends = [str(name).removesuffix(suffix) for name in table if str(name).endswith(suffix) and name not in OTHER]
        if not any(TARGET_COLUMN.fullmatch(only_letters(name)) or is_like_a_trait(name) for name in ends):
            targets = [name for name in ends if as_numbers(table[name + suffix]).notna().any()]
    if not targets or {*TRAITS} & {*targets}:
        require_traits(table, path, suffix)
    require_unique(table.index, str(path))
    if not suffix:
        require_labels(table, path)
    labels = pd.DataFrame({target: number_column(table, target + suffix, path) for target in targets})
    _check_range(labels, path, scale)
    if "group" in table:
        labels["group"] = table["group"]
    return labels.sort_index()


def groups_of(table: pd.DataFrame) -> pd.Series:
    """Return the source of each clip of a table of predictions or labels.

    Its column `group`; without one, the video that the clip's name names (see `personality.traits.source_id`). Lines
    that name no clip have the source "".
    """
    if "group" in table:
        return table["group"].rename("group")
    no_names = table.index.name == "line"
    return pd.Series(["" if no_names else source_id(clip) for clip in table.index], table.index, dtype=object)


def with_group(table: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Add the column `group`, where the names of clips do not say it."""
    known = [source_id(clip) for clip in table.index]
    return table if groups.tolist() == known else table.assign(group=groups)


def rescaled(table: pd.DataFrame, scale: Scale) -> pd.DataFrame:
    """Divide scores or labels by the length of their scale."""
    low, high = scale
    return table / (high - low)


def scored_targets(predictions: pd.DataFrame) -> list[str]:
    """Return the targets that have scores: the five traits and the like first, then others in their order."""
    found = [str(name) for name in predictions if name not in OTHER and not str(name).endswith(KINDS[1:])]
    found = [name for name in found if not is_share(name, found)]
    return [target for target in TARGETS if target in found] + [name for name in found if name not in TARGETS]


def is_share(name: str, targets: Sequence[str]) -> bool:
    """Return whether a column holds what a part of a joint model adds to one of the targets."""
    target, between, part = name.rpartition(FROM)
    return bool(between and part) and target in targets


def targets_of(predictions: pd.DataFrame) -> list[str]:
    """Return the targets that have both scores and labels. Each of the five traits that has a score needs labels."""
    scored = scored_targets(predictions)
    labelled = [target for target in scored if f"{target}_label" in predictions]
    missing = [f"{target}_label" for target in scored if target not in labelled and (target in TRAITS or not labelled)]
    if missing:
        raise ValueError(
            f"These predictions have no {join_names(missing, 5)}. Expected a label beside every score; add these "
            "columns, or read the file with the labels of its split."
        )
    return labelled


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
    targets = [target for target in all_labels[0] if all(target in labels for labels in all_labels)]
    if not targets:
        found = "; ".join(join_names(labels, 6) for labels in all_labels)
        raise ValueError(f"The files have scores of different targets: {found}. Expected one in common; rename it.")
    return by_clip.first()[targets]


def common_groups(models: Sequence[pd.DataFrame]) -> pd.Series:
    """Join the sources of several predictions. A column `group` comes before what the name of a clip says."""
    groups = pd.concat([groups_of(table) for table in sorted(models, key=lambda table: "group" not in table)])
    return groups[~groups.index.duplicated()]


def _check_range(labels: pd.DataFrame, path: str | Path, scale: Scale) -> None:
    low, high = scale
    wrong = labels[((labels < low) | (labels > high)).any(axis=1)]
    if len(wrong):
        raise ValueError(
            f"{path} has labels outside [{low:g}, {high:g}] in {format_clips(wrong.index)}. Expected the scale of the "
            "data set, from 0 for the least to 1 for the most; rescale them, or give the lowest and the highest label "
            "there can be (--scale 1 7)."
        )
