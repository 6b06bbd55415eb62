"""The table of results: the metrics of a model and of the baselines, with intervals.

There are two subsets: all clips, and the clips of new sources, which have no clip in training. Only the second shows
how a model performs on people whom it has never seen. A source is what clips have in common, such as a video or a
person: the column `group` of a table, or what the names of clips say.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.baselines import baselines
from personality.evaluation.intervals import RESAMPLES, estimates, predictor_sums
from personality.evaluation.predictions import (
    UNIT,
    Scale,
    common_groups,
    common_labels,
    groups_of,
    is_evaluable,
    labels_of,
    rescaled,
    scores_of,
)

COLUMNS = ["subset", "clips", "labelled", "sources", "predictor", "metric", "target", "value", "low", "high"]


class Part(NamedTuple):
    """Clips whose predictors learnt from the same training clips."""

    sums: Tensor
    """`(clips, predictors, 9, targets)` of the evaluated clips."""
    clips: pd.DataFrame
    """A row for each clip of the predictions: columns `group`, `evaluated`, `labelled`, and `new`, of a new source."""
    predictors: list[str]
    targets: list[str]


def evaluate(
    predictions: pd.DataFrame,
    train: pd.DataFrame | None = None,
    *,
    scale: Scale = UNIT,
    count_missing: bool = False,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute the metrics of predictions and, on the same clips, of the mean, the median and the source lookup.

    Args:
        predictions: Scores and labels, see `personality.evaluation.predictions`.
        train: Labels of the training clips. Without them there are no baselines, no skill and no new sources.
        scale: The lowest and the highest label there can be. Accuracy and MSE are those on a scale of length 1.
        count_missing: Give a clip without a score the mean training label, instead of leaving it out.
        resamples: Number of resamples of the bootstrap.

    Returns:
        One row for each value: subset (`all clips` or `new sources`), clips (evaluated), labelled (clips with a
        label), sources, predictor (`model` or a baseline), metric, target (`mean` is over the traits), value, low,
        high. If the predictions name no clips, sources are 0, and there are no intervals and no source lookup.
    """
    return evaluate_folds([(predictions, train)], scale=scale, count_missing=count_missing, resamples=resamples)


def evaluate_folds(
    folds: Iterable[tuple[pd.DataFrame, pd.DataFrame | None]],
    *,
    scale: Scale = UNIT,
    count_missing: bool = False,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute the metrics of out-of-fold predictions: as `evaluate`, with the baselines of each fold's training clips.

    Args:
        folds: The predictions and the training labels of each fold.
        scale: See `evaluate`.
        count_missing: See `evaluate`.
        resamples: See `evaluate`.
    """
    parts = []
    for scored, train in folds:
        predictions = scored
        if count_missing:
            if train is None:
                raise ValueError(
                    "Got no training labels. Expected them: their mean replaces missing scores; add --train."
                )
            predictions = scored.fillna(train.drop(columns="group", errors="ignore").mean())
        labels, evaluable = labels_of(predictions), is_evaluable(predictions)
        groups = groups_of(predictions)[evaluable]
        scores = {} if train is None else baselines(train.reindex(columns=labels.columns), [*groups_of(train)], groups)
        if labels.index.name == "line":  # the sources are unknown
            scores.pop("source lookup", None)
        parts.append(_part({**scores, "model": scores_of(predictions)}, predictions, labels, evaluable, train, scale))
    return _by_subset(parts, resamples)


def compare(
    first: pd.DataFrame,
    second: pd.DataFrame,
    train: pd.DataFrame | None = None,
    *,
    scale: Scale = UNIT,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute the metrics of two models on the clips that both have scored, and the paired difference.

    The difference varies far less between resamples than the metrics of either model: its interval shows whether one
    model is better.

    Returns:
        As from `evaluate`, with the predictors `first`, `second` and `second - first`.
    """
    labels = common_labels([first, second])
    both = pd.concat([is_evaluable(first), is_evaluable(second)], axis=1).reindex(labels.index).eq(True).all(axis=1)
    if not both.any():
        raise ValueError("No clip is scored in both files. Expected predictions for the same split; check the names.")
    scores = {"first": scores_of(first), "second": scores_of(second)}
    clips = common_groups([first, second]).reindex(labels.index).to_frame()
    return _by_subset([_part(scores, clips, labels, both, train, scale)], resamples, pairs=[("second", "first")])


def _part(
    scores: Mapping[str, pd.DataFrame],
    clips: pd.DataFrame,
    labels: pd.DataFrame,
    evaluable: pd.Series,
    train: pd.DataFrame | None,
    scale: Scale,
) -> Part:
    """Compute the sums of all predictors on the evaluable clips."""
    group = groups_of(clips)
    columns = {
        "group": group,
        "evaluated": evaluable,
        "labelled": labels.notna().any(axis=1),
        "new": ~group.isin(groups_of(train)) if train is not None and group.any() else False,
    }
    sums = predictor_sums(
        [rescaled(table, scale) for table in scores.values()],
        rescaled(labels[evaluable], scale),
        None if train is None else rescaled(train.reindex(columns=labels.columns), scale),
    )
    return Part(sums, pd.DataFrame(columns), [*scores], [*labels])


def _by_subset(parts: Sequence[Part], resamples: int, pairs: Sequence[tuple[str, str]] = ()) -> pd.DataFrame:
    """Estimate all metrics on all evaluable clips, and on those of new sources."""
    sums, clips = torch.cat([part.sums for part in parts]), pd.concat([part.clips for part in parts])
    evaluated, results = clips[clips["evaluated"]], []
    order = np.array(evaluated.index.argsort(kind="stable"))
    sums, evaluated = sums[torch.tensor(order)], evaluated.iloc[order]
    for name, subset in {"all clips": pd.Series(True, index=clips.index), "new sources": clips["new"]}.items():
        inside = subset[evaluated.index].to_numpy(copy=True)
        if inside.any():
            part = evaluated[inside]
            numbers = estimates(
                sums[torch.tensor(inside)],
                part["group"].tolist(),
                parts[0].predictors,
                parts[0].targets,
                pairs=pairs,
                resamples=resamples,
            )
            labelled = (subset & clips["labelled"]).sum()
            sources = part["group"].replace("", None).nunique()
            results.append(numbers.assign(subset=name, clips=len(part), labelled=labelled, sources=sources))
    return pd.concat(results, ignore_index=True)[COLUMNS]
