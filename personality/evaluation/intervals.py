"""95 % intervals of metrics: a bootstrap over sources, all resamples in one matrix product.

Clips of one source show one person, and a model's errors on them are correlated. So sources are resampled, not clips.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.metrics import clip_sums, metrics_from_sums, trait_mean

RESAMPLES = 2000


def resample(sums: Tensor, groups: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Tensor:
    """Draw as many sources as there are, with replacement, and add up their clips, `resamples` times.

    All resamples are one matrix product: how often each source was drawn, times the sums of each source (Efron and
    Tibshirani 1993; Cameron, Gelbach and Miller 2008 on clusters).

    Args:
        sums: `(clips, *rest)` sums of each clip, see `personality.evaluation.metrics.clip_sums`.
        groups: The source of each clip: clips of one are drawn together.
        resamples: Number of resamples.
        seed: The same seed draws the same sources.

    Returns:
        `(resamples, *rest)` sums over the clips of each resample.
    """
    source, sources = pd.factorize(np.array(groups, dtype=object))
    by_source = sums.new_zeros(len(sources), *sums.shape[1:]).index_add_(0, torch.from_numpy(source), sums)
    share = np.full(len(sources), 1 / len(sources))
    drawn = np.random.default_rng(seed).multinomial(len(sources), share, size=resamples)
    return (torch.from_numpy(drawn).to(sums) @ by_source.flatten(1)).unflatten(1, sums.shape[1:])


def predictor_sums(scores: Iterable[pd.DataFrame], labels: pd.DataFrame, train: pd.DataFrame | None) -> Tensor:
    """Compute the sums of each labelled clip for several predictors: `(clips, predictors, 9, targets)`.

    Args:
        scores: Tables of scores that contain at least the labelled clips and their targets.
        labels: Index clip, a column a target.
        train: Labels of the training clips; without them skill is undefined.
    """
    mean = pd.Series() if train is None else train.mean()
    truth, reference = torch.tensor(labels.to_numpy()), torch.tensor(mean.reindex(labels.columns).to_numpy(float))
    tables = [torch.tensor(table.loc[labels.index, labels.columns].to_numpy()) for table in scores]
    return torch.stack([clip_sums(table, truth, reference) for table in tables], dim=1)


def estimates(
    sums: Tensor,
    groups: Sequence[str],
    predictors: Sequence[str],
    targets: Sequence[str],
    *,
    statistic: Callable[[Tensor], dict[str, Tensor]] = metrics_from_sums,
    pairs: Sequence[tuple[str, str]] = (),
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute statistics of several predictors, or of several groups of clips, with their 95 % intervals.

    All predictors see the same resamples, so the difference of two of them has a paired interval.

    Args:
        sums: `(clips, predictors, n, targets)` sums of each clip.
        groups: The source of each clip.
        predictors: Names of the predictors, or of the subsets.
        targets: Names of the targets.
        statistic: From sums `(..., n, targets)` to named values `(..., targets)`; the metrics by default.
        pairs: Predictors to compare: (a, b) adds the predictor `a - b`.
        resamples: Number of resamples.

    Returns:
        One row for each value: columns predictor, metric, target (`mean` is the mean over the traits), value, low,
        high. There is no interval where the value is undefined or the clips come from fewer than two sources.
    """

    def compute(sums: Tensor) -> Tensor:
        values = torch.stack(list(statistic(sums).values()), dim=-2)
        values = torch.cat([trait_mean(values, targets).unsqueeze(-1), values], dim=-1)
        first, second = ([predictors.index(pair[side]) for pair in pairs] for side in (0, 1))
        return torch.cat([values, values[..., first, :, :] - values[..., second, :, :]], dim=-3)

    value = compute(sums.sum(0))
    low, high = torch.full_like(value, torch.nan), torch.full_like(value, torch.nan)
    if len({*groups}) > 1:
        resampled = compute(resample(sums, groups, resamples))
        quantiles = resampled.nanquantile(resampled.new_tensor([0.025, 0.975]), dim=0)
        low, high = quantiles.where(value.isfinite(), torch.nan)
    names = [[*predictors, *(f"{a} - {b}" for a, b in pairs)], list(statistic(sums[:1])), ["mean", *targets]]
    index = pd.MultiIndex.from_product(names, names=["predictor", "metric", "target"])
    columns = {"value": value, "low": low, "high": high}
    return pd.DataFrame({name: part.flatten().numpy() for name, part in columns.items()}, index=index).reset_index()
