"""The table of results: the metrics of a model and of the baselines, with intervals.

There are two subsets: all clips, and the clips of new sources, which have no clip in training. Only the second shows
how a model performs on people whom it has never seen.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from personality.evaluation.baselines import baselines
from personality.evaluation.intervals import RESAMPLES, estimates, predictor_sums
from personality.evaluation.predictions import clip_names, common_labels, is_evaluable, labels_of, scores_of
from personality.traits import source_id

COLUMNS = ["subset", "clips", "labelled", "sources", "predictor", "metric", "target", "value", "low", "high"]


def evaluate(
    predictions: pd.DataFrame,
    train: pd.DataFrame | None = None,
    *,
    count_missing: bool = False,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute the metrics of predictions and, on the same clips, of the mean, the median and the source lookup.

    Args:
        predictions: Scores and labels, see `personality.evaluation.predictions`.
        train: Labels of the training clips. Without them there are no baselines, no skill and no new sources.
        count_missing: Give a clip without a score the mean training label, instead of leaving it out.
        resamples: Number of resamples of the bootstrap.

    Returns:
        One row for each value: subset (`all clips` or `new sources`), clips (evaluated), labelled (clips with a
        label), sources, predictor (`model` or a baseline), metric, target (`mean` is over the traits), value, low,
        high. If the predictions name no clips, sources are 0, and there are no intervals and no source lookup.
    """
    if count_missing:
        if train is None:
            raise ValueError("Got no training labels. Expected them: their mean replaces missing scores; add --train.")
        predictions = predictions.fillna(train.mean())
    labels = labels_of(predictions)
    evaluable = is_evaluable(predictions)
    clips = labels.index[evaluable].tolist()
    scores = {} if train is None else baselines(train.reindex(columns=labels.columns), clips)
    if labels.index.name == "line":  # the sources are unknown
        scores.pop("source lookup", None)
    return _by_subset({**scores, "model": scores_of(predictions)}, labels, evaluable, train, resamples)


def compare(
    first: pd.DataFrame, second: pd.DataFrame, train: pd.DataFrame | None = None, *, resamples: int = RESAMPLES
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
    return _by_subset(scores, labels, both, train, resamples, pairs=[("second", "first")])


def _by_subset(
    scores: Mapping[str, pd.DataFrame],
    labels: pd.DataFrame,
    evaluable: pd.Series,
    train: pd.DataFrame | None,
    resamples: int,
    pairs: Sequence[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Estimate all metrics on all evaluable clips, and on those of new sources."""
    source = pd.Series([source_id(clip) or None for clip in clip_names(labels)], index=labels.index)
    subsets = {"all clips": pd.Series(True, index=labels.index)}
    if train is not None and source.notna().any():
        subsets["new sources"] = ~source.isin([source_id(clip) for clip in train.index])
    results = []
    for name, subset in subsets.items():
        part = labels[subset & evaluable]
        if len(part):
            sums, clips = predictor_sums(scores.values(), part, train), clip_names(part)
            numbers = estimates(sums, clips, list(scores), labels.columns.tolist(), pairs=pairs, resamples=resamples)
            labelled = (subset & labels.notna().any(axis=1)).sum()
            sources = source[part.index].nunique()
            results.append(numbers.assign(subset=name, clips=len(part), labelled=labelled, sources=sources))
    return pd.concat(results, ignore_index=True)[COLUMNS]
