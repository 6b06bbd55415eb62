"""The table that every result is read from: a model beside the habits it has to beat, with intervals.

Once over all clips, and once over the new sources: the clips whose source is not in training. Only the second says how
a model fares with people whom it has never seen.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from personality.evaluation.baselines import baselines
from personality.evaluation.intervals import RESAMPLES, estimates, sums_of
from personality.evaluation.predictions import agreed_labels, labels_of, measurable, names_of, scores_of
from personality.traits import source_id


def evaluate(
    predictions: pd.DataFrame,
    train: pd.DataFrame | None = None,
    *,
    count_missing: bool = False,
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Measure predictions and, on the same clips, the mean predictor, the median predictor and the source lookup.

    Args:
        predictions: Scores and labels, see `personality.evaluation.predictions`.
        train: Labels of the training clips. Without them there are no baselines, no skill and no new sources.
        count_missing: Give a clip without a score the mean training label, instead of leaving it out.
        resamples: How many times the bootstrap draws.

    Returns:
        A line a number: over (`all clips` or `new sources`), clips (how many were measured), labelled (how many could
        have been), sources, row (the predictor), measure, target (`mean` is over the traits), value, low, high. Of
        predictions that name no clips, sources are 0, and there are no intervals and no source lookup.
    """
    if count_missing:
        if train is None:
            raise ValueError(
                "Got no training labels. Expected some, whose mean stands in for missing scores; add --train."
            )
        predictions = predictions.fillna(train.mean())
    labels = labels_of(predictions)
    measured = measurable(predictions)
    clips = labels.index[measured].tolist()
    habits = {} if train is None else baselines(train.reindex(columns=labels.columns), clips)
    if labels.index.name == "line":  # nobody knows their sources
        habits.pop("source lookup", None)
    return _over_all_and_new({**habits, "model": scores_of(predictions)}, labels, measured, train, resamples)


def compare(
    first: pd.DataFrame, second: pd.DataFrame, train: pd.DataFrame | None = None, *, resamples: int = RESAMPLES
) -> pd.DataFrame:
    """Measure two models on the clips that both have scored, and the difference, second minus first, clip by clip.

    The difference of two models varies far less from one draw of sources to the next than either model does: its
    interval is the one that tells whether one is better.

    Returns:
        As `evaluate` does, with the rows `first`, `second` and `second - first`.
    """
    labels = agreed_labels([first, second])
    both = pd.concat([measurable(first), measurable(second)], axis=1).reindex(labels.index).eq(True).all(axis=1)
    if not both.any():
        raise ValueError("No clip is scored in both files. Expected predictions for the same split; check the names.")
    scores = {"first": scores_of(first), "second": scores_of(second)}
    return _over_all_and_new(scores, labels, both, train, resamples, pairs=[("second", "first")])


def _over_all_and_new(
    scores: Mapping[str, pd.DataFrame],
    labels: pd.DataFrame,
    measured: pd.Series,
    train: pd.DataFrame | None,
    resamples: int,
    pairs: Sequence[tuple[str, str]] = (),
) -> pd.DataFrame:
    """Estimate all measures over the measured clips, and over those of them that are of new sources."""
    source = pd.Series([source_id(clip) or None for clip in names_of(labels)], index=labels.index)
    divisions = {"all clips": pd.Series(True, index=labels.index)}
    if train is not None and source.notna().any():
        divisions["new sources"] = ~source.isin([source_id(clip) for clip in train.index])
    results = []
    for name, division in divisions.items():
        part = labels[division & measured]
        if len(part):
            sums, clips = sums_of(scores.values(), part, train), names_of(part)
            numbers = estimates(sums, clips, list(scores), labels.columns.tolist(), pairs=pairs, resamples=resamples)
            labelled = (division & labels.notna().any(axis=1)).sum()
            sources = source[part.index].nunique()
            results.append(numbers.assign(over=name, clips=len(part), labelled=labelled, sources=sources))
    columns = ["over", "clips", "labelled", "sources", "row", "measure", "target", "value", "low", "high"]
    return pd.concat(results, ignore_index=True)[columns]
