"""Fairness: the metrics of each gender, ethnicity and age group, and the largest gap between groups."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.calibration import calibration_from_sums
from personality.evaluation.intervals import RESAMPLES, estimates, predictor_sums
from personality.evaluation.metrics import metrics_from_sums
from personality.evaluation.predictions import UNIT, Scale, groups_of, is_evaluable, labels_of, rescaled
from personality.tables import ATTRIBUTES, as_numbers, join_names, read_table, require_unique

CODES = {
    "gender": {"1": "male", "2": "female"},
    "ethnicity": {"1": "Asian", "2": "Caucasian", "3": "African-American"},
}
"""The codes in the tables that ship with First Impressions: how the annotators saw the person."""
MIN_SOURCES = 10
"""Gaps are only computed between groups of at least so many sources: those of smaller groups are noise."""


def read_groups(path: str | Path) -> pd.DataFrame:
    """Read the groups of the people who are seen in the clips.

    Args:
        path: A csv with a column clip (or VideoName) or source, and any of gender, ethnicity and age. The codes of
            the data set's own `eth_gender_annotations` become names, and ages in years become decades.

    Returns:
        Groups as text, missing where a cell is empty: index `clip` or `source`, a column an attribute.
    """
    table = read_table(path, "clip", "source")
    require_unique(table.index, str(path))
    groups = table[[name for name in ATTRIBUTES if name in table]]
    if groups.columns.empty:
        raise ValueError(f"{path} has no column {join_names(ATTRIBUTES)}. Expected at least one of them; name it so.")
    return as_groups(groups)


def as_groups(people: pd.DataFrame) -> pd.DataFrame:
    """Name the groups of people: known codes become words, and ages in years decades."""
    groups = people.copy()
    for attribute, names in CODES.items():
        if attribute in groups and groups[attribute].dropna().isin(list(names)).all():
            groups[attribute] = groups[attribute].map(names)
    if "age" in groups and groups["age"].dropna().str.fullmatch(r"\d+(\.\d*)?").all():
        decade = (as_numbers(groups["age"]) // 10 * 10).astype("Int64")
        groups["age"] = (decade.astype("string") + " to " + (decade + 9).astype("string")).astype(object)
    return groups


def fairness(
    predictions: pd.DataFrame,
    groups: pd.DataFrame,
    train: pd.DataFrame | None = None,
    *,
    scale: Scale = UNIT,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute the metrics of each group of people, and for each metric the gap between the best and the worst group.

    Args:
        predictions: Scores and labels.
        groups: From `read_groups`. Clips without a group are left out.
        train: Labels of the training clips; without them skill is undefined.
        scale: See `fairness_of_folds`.
        resamples: See `fairness_of_folds`.

    Returns:
        See `fairness_of_folds`.
    """
    return fairness_of_folds([(predictions, train)], groups, scale=scale, resamples=resamples)


def fairness_of_folds(
    folds: Sequence[tuple[pd.DataFrame, pd.DataFrame | None]],
    groups: pd.DataFrame,
    *,
    scale: Scale = UNIT,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute `fairness` of out-of-fold predictions: skill is that beside the mean of each fold's training labels.

    Args:
        folds: The predictions and the training labels of each fold.
        groups: From `read_groups`. Clips without a group are left out.
        scale: The lowest and the highest label there can be. Accuracy, MSE and bias are those on a scale of length 1.
        resamples: Number of resamples of the bootstrap.

    Returns:
        One row for each value: attribute, clips, sources, subset (the group, or `largest gap`), predictor (`model`),
        pair (of the gap), metric (those of `evaluate`, and bias: mean score minus mean label), target, value, low,
        high. The interval of the largest gap does not account for its selection: with many groups, some gap is large
        by chance.
    """
    predictions = pd.concat([scored for scored, _ in folds])
    labels = labels_of(predictions)[is_evaluable(predictions)]
    sources = groups_of(predictions)[labels.index]
    keys = labels.index if groups.index.name == "clip" else pd.Index(sources)
    of_clips = groups.reindex(keys).set_axis(labels.index)
    if of_clips.isna().all(axis=None):
        raise ValueError(
            f"The table of groups has none of the {len(labels):,} evaluated clips: it names {groups.index[0]}, the "
            f"predictions {labels.index[0]}. Expected the same names; give the table of the same split."
        )
    parts = []
    for scored, train in folds:
        mean = None if train is None else rescaled(train.reindex(columns=labels.columns), scale)
        of_fold = labels.loc[labels.index.intersection(scored.index, sort=False)]
        parts.append(predictor_sums([rescaled(scored[[*labels]], scale)], rescaled(of_fold, scale), mean))
    sums = torch.cat(parts)
    tables = [
        _by_group(sums, of_clips[attribute], sources, labels.columns.tolist(), resamples)
        for attribute in groups
        if of_clips[attribute].notna().any()
    ]
    return pd.concat(tables, ignore_index=True)


def _by_group(sums: Tensor, group: pd.Series, source: pd.Series, targets: list[str], resamples: int) -> pd.DataFrame:
    """Evaluate the groups of one attribute, from sums `(clips, 1, 9, targets)`, and group and source of each clip."""
    known = group.notna().to_numpy()
    member = pd.get_dummies(group[known])
    clips = source[known]
    sources = pd.Series({name: clips[member[name].to_numpy()].nunique() for name in member})
    names = member.columns.tolist()
    pairs = list(itertools.permutations(sources.index[sources >= MIN_SOURCES], 2))
    parts = sums[torch.tensor(known)] * torch.tensor(member.to_numpy())[:, :, None, None]
    numbers = estimates(
        parts, clips.tolist(), names, targets, statistic=_with_bias, pairs=pairs, resamples=resamples
    ).rename(columns={"predictor": "subset"})
    groups = numbers[numbers.subset.isin(names)]
    groups = groups.assign(clips=groups.subset.map(member.sum()), sources=groups.subset.map(sources), pair="")
    groups[["low", "high"]] = groups[["low", "high"]].where(groups.sources > 1)
    gaps = numbers[~numbers.subset.isin(names)].dropna(subset="value")
    largest = gaps.loc[gaps.value.groupby([gaps.metric, gaps.target], sort=False).idxmax()]
    largest = largest.assign(pair=largest.subset, subset="largest gap", clips=len(member), sources=clips.nunique())
    columns = ["clips", "sources", "subset", "predictor", "pair", "metric", "target", "value", "low", "high"]
    return pd.concat([groups, largest]).assign(attribute=str(group.name), predictor="model")[["attribute", *columns]]


def _with_bias(sums: Tensor) -> dict[str, Tensor]:
    return metrics_from_sums(sums) | {"bias": calibration_from_sums(sums)["bias"]}
