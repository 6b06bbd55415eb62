"""How well scores agree with labels: seven metrics, each a formula over sums that run over the clips.

Sums serve every use: those of a split, of processes and of batches add up, and a bootstrap weights each clip's sums by
how often it drew the clip. The formulas of torchmetrics take clips instead of sums, warn about constant scores, and
return an R² of 1 wherever the sum of squared errors is below 1e-4.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

METRICS = ("accuracy", "r2", "pcc", "ccc", "std_ratio", "mse", "skill")
ROUNDING = 1e-6
"""Scores or labels are constant if their standard deviation is below this share of their size: float32 rounds."""


class Sums(NamedTuple):
    """The sums that every metric needs, in the order of their dimension in `clip_sums`. Each is `(..., targets)`."""

    clips: Tensor
    """Number of labelled clips."""
    score: Tensor
    label: Tensor
    score_squared: Tensor
    label_squared: Tensor
    product: Tensor
    """Score times label."""
    absolute_error: Tensor
    squared_error: Tensor
    baseline_error: Tensor
    """Absolute error of the mean training label."""


class Moments(NamedTuple):
    """Means, variances and covariance over the clips, divided by the number of clips. Each is `(..., targets)`.

    The variance and the covariance of constant scores or labels are exactly 0, so that ratios of them are NaN.
    """

    score: Tensor
    label: Tensor
    score_variance: Tensor
    label_variance: Tensor
    covariance: Tensor


def clip_sums(scores: Tensor, labels: Tensor, mean: Tensor) -> Tensor:
    """Compute each clip's share of `Sums`.

    Args:
        scores: `(clips, targets)`.
        labels: `(clips, targets)`; NaN where there is no label: all sums of that clip and target are 0.
        mean: `(targets,)` mean label of the training clips.

    Returns:
        `(clips, 9, targets)` float64, the fields of `Sums` along the second dimension.
    """
    x, y, mean = scores.double(), labels.double(), mean.double()
    error = x - y
    sums = Sums(torch.ones_like(x), x, y, x * x, y * y, x * y, error.abs(), error * error, (mean - y).abs())
    return torch.stack([part.where(y.isfinite(), 0.0) for part in sums], dim=1)


def clip_means(sums: Tensor) -> Sums:
    """Divide sums `(..., 9, targets)` by the number of clips."""
    return Sums(*(sums / sums[..., :1, :]).unbind(-2))


def moments(sums: Tensor) -> Moments:
    """Compute moments over the clips from sums `(..., 9, targets)` of `clip_sums`."""
    mean = clip_means(sums)
    score_varies = mean.score_squared - mean.score**2 > ROUNDING**2 * mean.score_squared
    label_varies = mean.label_squared - mean.label**2 > ROUNDING**2 * mean.label_squared
    return Moments(
        mean.score,
        mean.label,
        (mean.score_squared - mean.score * mean.score) * score_varies,
        (mean.label_squared - mean.label * mean.label) * label_varies,
        (mean.product - mean.score * mean.label) * score_varies * label_varies,
    )


def metrics_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """Compute all metrics from sums over clips.

    - accuracy: 1 - mean |score - label|, as in the ChaLearn challenge.
    - r2: 1 - mean squared error / variance of the labels; undefined for constant labels.
    - pcc: Pearson's correlation; undefined for constant scores or labels.
    - ccc: Lin's concordance, 2 covariance / (both variances + squared difference of the means).
    - std_ratio: standard deviation of the scores / that of the labels: below 1, scores shrink to the mean.
    - mse: mean squared error.
    - skill: 1 - mean |score - label| / mean |training mean - label|: 0 for the mean predictor, 1 for perfect scores.

    Args:
        sums: `(..., 9, targets)` sums of `clip_sums`.

    Returns:
        `(..., targets)` float64 for each name in `METRICS`; NaN where a metric is undefined.
    """
    mean, of = clip_means(sums), moments(sums)
    difference = of.score - of.label
    return {
        "accuracy": 1 - mean.absolute_error,
        "r2": 1 - mean.squared_error / of.label_variance.where(of.label_variance > 0, torch.nan),
        "pcc": (of.covariance / (of.score_variance * of.label_variance).sqrt()).clamp(-1, 1),
        "ccc": 2 * of.covariance / (of.score_variance + of.label_variance + difference**2),
        "std_ratio": (of.score_variance / of.label_variance.where(of.label_variance > 0, torch.nan)).sqrt(),
        "mse": mean.squared_error,
        "skill": 1 - mean.absolute_error / mean.baseline_error.where(mean.baseline_error > 0, torch.nan),
    }


def compute_metrics(scores: Tensor, labels: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """Compute the metrics of each target over the clips that have a label for it.

    Args:
        scores: `(clips, targets)`.
        labels: `(clips, targets)`; NaN where there is no label.
        mean: `(targets,)` mean label of the training clips, the reference of skill.

    Returns:
        `(targets,)` float64 for each name in `METRICS`; NaN where a metric is undefined.

    Example:
        >>> labels = torch.tensor([[0.2], [0.4], [0.6]])
        >>> result = compute_metrics(labels + 0.1, labels, mean=torch.tensor([0.4]))
        >>> {name: round(value.item(), 3) for name, value in result.items()}
        {'accuracy': 0.9, 'r2': 0.625, 'pcc': 1.0, 'ccc': 0.842, 'std_ratio': 1.0, 'mse': 0.01, 'skill': 0.25}
    """
    return metrics_from_sums(clip_sums(scores, labels, mean).sum(0))


def trait_mean(values: Tensor, targets: Sequence[str]) -> Tensor:
    """Average `(..., targets)` over the traits as published tables do: `interview` is not a trait."""
    return values[..., [target != "interview" for target in targets]].mean(-1)
