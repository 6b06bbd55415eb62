"""Baselines: scores from training labels and the sources of clips alone. A model is worth something only above them."""

from collections.abc import Sequence

import pandas as pd


def baselines(train: pd.DataFrame, train_groups: Sequence[str], groups: pd.Series) -> dict[str, pd.DataFrame]:
    """Score clips by three baselines: mean predictor, median predictor and source lookup.

    Args:
        train: Labels of the training clips: a column a target, NaN where there is no label.
        train_groups: The source of each training clip.
        groups: The source of each clip to score: index clip.

    Returns:
        Scores of each baseline: index clip, the columns of `train`.
    """
    return {
        "mean predictor": pd.DataFrame(train.mean().to_dict(), index=groups.index),
        "median predictor": pd.DataFrame(train.median().to_dict(), index=groups.index),
        "source lookup": source_lookup(train, train_groups, groups),
    }


def source_lookup(train: pd.DataFrame, train_groups: Sequence[str], groups: pd.Series) -> pd.DataFrame:
    """Score a clip by the training labels of its source. It does well where a split separates clips, not sources.

    The mean of a source's n labels is shrunk towards the mean of all: (n * source mean + k * mean) / (n + k). The
    weight k is the variance within sources over the variance between them, estimated for each target from the training
    labels by one-way analysis of variance; this is the best linear prediction for a random source. A source without
    training clips gets the mean. If no source has two clips, the ratio is unknown and k is 1.

    Args:
        train: Labels of the training clips: a column a target, NaN where there is no label.
        train_groups: The source of each training clip.
        groups: The source of each clip to score: index clip.

    Returns:
        Scores: index clip, the columns of `train`.

    Example:
        >>> train = pd.DataFrame({"openness": [0.8, 0.8, 0.2, 0.2]})
        >>> source_lookup(train, ["a", "a", "b", "b"], pd.Series(["a", "c"]))["openness"].tolist()
        [0.8, 0.5]
    """
    labels = train.groupby([*train_groups])
    count, source_mean, mean = labels.count(), labels.mean(), train.mean()
    names, index = groups.tolist(), groups.index
    known = count.reindex(names, fill_value=0).set_axis(index)
    share = (known / (known + _variance_ratio(train, count, source_mean))).fillna(0)
    return mean + share * (source_mean.reindex(names).set_axis(index).fillna(mean) - mean)


def _variance_ratio(train: pd.DataFrame, count: pd.DataFrame, source_mean: pd.DataFrame) -> pd.Series:
    """Estimate k of `source_lookup` for each target: the variance within sources over the variance between them."""
    clips, sources = count.sum(), (count > 0).sum()
    between = (count * (source_mean - train.mean()) ** 2).sum()
    within = ((train - train.mean()) ** 2).sum() - between
    variance_within = within.clip(lower=0) / (clips - sources)
    clips_per_source = (clips - (count**2).sum() / clips) / (sources - 1)
    variance_between = (between / (sources - 1) - variance_within) / clips_per_source
    return (variance_within / variance_between.clip(lower=0)).fillna(1)
