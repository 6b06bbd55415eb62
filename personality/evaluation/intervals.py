"""How far a measure could be off by the luck of the clips: a bootstrap over sources, all resamples in one product.

Clips of one source show one person and share what a model makes of that person, so whole sources are drawn, not clips.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.evaluation.metrics import clip_sums, measures_from_sums, over_traits
from personality.traits import source_id

RESAMPLES = 2000


def resampled(sums: Tensor, clips: Sequence[str], resamples: int = RESAMPLES, seed: int = 0) -> Tensor:
    """Draw as many sources as there are, with replacement, and add up their clips: again and again.

    A resample is the product of how often each source was drawn and of that source's sums, so that all of them are
    one product of matrices (Efron and Tibshirani 1993; Cameron, Gelbach and Miller 2008 on clusters).

    Args:
        sums: `(clips, *rest)` what each clip adds, see `personality.evaluation.metrics.clip_sums`.
        clips: Names of the clips, which tell their sources.
        resamples: How many times to draw.
        seed: The same seed draws the same sources.

    Returns:
        `(resamples, *rest)` sums over the clips of each draw.
    """
    source, sources = pd.factorize(np.array([source_id(clip) for clip in clips], dtype=object))
    by_source = sums.new_zeros(len(sources), *sums.shape[1:]).index_add_(0, torch.from_numpy(source), sums)
    share = np.full(len(sources), 1 / len(sources))
    drawn = np.random.default_rng(seed).multinomial(len(sources), share, size=resamples)
    return (torch.from_numpy(drawn).to(sums) @ by_source.flatten(1)).unflatten(1, sums.shape[1:])


def sums_of(scores: Iterable[pd.DataFrame], labels: pd.DataFrame, train: pd.DataFrame | None) -> Tensor:
    """Give each labelled clip's part in the sums of several predictors: `(clips, predictors, 9, targets)`.

    Args:
        scores: Tables of scores that hold at least the labelled clips and their targets.
        labels: Index clip, a column a target.
        train: Labels of the training clips; without them skill is undefined.
    """
    mean = pd.Series() if train is None else train.mean()
    truth, reference = torch.tensor(labels.to_numpy()), torch.tensor(mean.reindex(labels.columns).to_numpy(float))
    tables = [torch.tensor(table.loc[labels.index, labels.columns].to_numpy()) for table in scores]
    return torch.stack([clip_sums(table, truth, reference) for table in tables], dim=1)


def estimates(
    sums: Tensor,
    clips: Sequence[str],
    rows: Sequence[str],
    targets: Sequence[str],
    *,
    statistic: Callable[[Tensor], dict[str, Tensor]] = measures_from_sums,
    pairs: Sequence[tuple[str, str]] = (),
    resamples: int = RESAMPLES,
) -> pd.DataFrame:
    """Compute a statistic of several rows, say predictors or groups, each with its 95 % interval.

    All rows see the same resamples, so that the difference of two of them gets a paired interval.

    Args:
        sums: `(clips, rows, 9, targets)` the sums of each clip.
        clips: Names of the clips.
        rows: Names of the rows.
        targets: Names of the targets.
        statistic: From sums `(..., 9, targets)` to named numbers `(..., targets)`.
        pairs: Rows to compare: (a, b) makes another row, `a - b`.
        resamples: How many times to draw.

    Returns:
        A line a number: columns row, measure, target (`mean` is the mean over the traits), value, low, high. No
        interval where the number is undefined or the clips come from fewer than two sources.
    """

    def measured(sums: Tensor) -> Tensor:
        values = torch.stack(list(statistic(sums).values()), dim=-2)
        values = torch.cat([over_traits(values, targets).unsqueeze(-1), values], dim=-1)
        gaps = [values[..., [rows.index(a)], :, :] - values[..., [rows.index(b)], :, :] for a, b in pairs]
        return torch.cat([values, *gaps], dim=-3)

    value = measured(sums.sum(0))
    low, high = torch.full_like(value, torch.nan), torch.full_like(value, torch.nan)
    if len({source_id(clip) for clip in clips}) > 1:
        drawn = measured(resampled(sums, clips, resamples))
        low, high = drawn.nanquantile(drawn.new_tensor([0.025, 0.975]), dim=0).where(value.isfinite(), torch.nan)
    names = [[*rows, *(f"{a} - {b}" for a, b in pairs)], list(statistic(sums[:1])), ["mean", *targets]]
    index = pd.MultiIndex.from_product(names, names=["row", "measure", "target"])
    numbers = {name: part.flatten().numpy() for name, part in [("value", value), ("low", low), ("high", high)]}
    return pd.DataFrame(numbers, index=index).reset_index()
