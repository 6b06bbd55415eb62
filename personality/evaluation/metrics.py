"""How well scores agree with labels: six measures, each a formula over sums that run over the clips.

Sums make one formula serve every use: a split is their total, processes and batches add up, and a bootstrap weights
them by how often it drew a clip. torchmetrics brings the state and its way between processes; its formulas take clips
instead of sums, warn where scores are constant, and call R² perfect wherever the squared errors add up to below 1e-4.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

MEASURES = ("accuracy", "r2", "pcc", "ccc", "mse", "skill")
ROUNDING = 1e-6
"""Scores or labels that deviate by less than this share of their size are constant, but for the rounding of float32."""


def clip_sums(scores: Tensor, traits: Tensor, mean: Tensor) -> Tensor:
    """Give each clip's part in the sums that every measure needs.

    Args:
        scores: `(clips, targets)` what was predicted.
        traits: `(clips, targets)` what was labelled; NaN where there is no label, and the part is then 0.
        mean: `(targets,)` mean label of the training clips.

    Returns:
        `(clips, 9, targets)` float64: 1, score, label, their squares and their product, the absolute and the squared
        error, and the absolute error of the training mean. Add them up over the clips of interest.
    """
    x, y, mean = scores.double(), traits.double(), mean.double()
    error = x - y
    parts = [torch.ones_like(x), x, y, x * x, y * y, x * y, error.abs(), error * error, (mean - y).abs()]
    return torch.stack([part.where(y.isfinite(), 0.0) for part in parts], dim=1)


def moments(sums: Tensor) -> tuple[Tensor, ...]:
    """Turn sums of `clip_sums`, `(..., 9, targets)`, into moments over the clips, five of `(..., targets)`.

    Returns:
        Mean score, mean label, variance of the scores, variance of the labels, covariance: all divided by the number
        of clips. The variance and the covariance of what is constant are exactly 0, so that ratios of them are NaN.
    """
    x, y, xx, yy, xy = (sums[..., 1:6, :] / sums[..., :1, :]).unbind(-2)
    x_varies, y_varies = (square - mean**2 > ROUNDING**2 * square for mean, square in [(x, xx), (y, yy)])
    return (
        x,
        y,
        (xx - x * x) * x_varies,
        (yy - y * y) * y_varies,
        (xy - x * y) * x_varies * y_varies,
    )


def measures_from_sums(sums: Tensor) -> dict[str, Tensor]:
    """Compute all measures from sums over clips.

    - accuracy: 1 - mean |score - label|, the measure of the ChaLearn challenge.
    - r2: 1 - mean squared error / variance of the labels; undefined for constant labels.
    - pcc: Pearson's correlation; undefined for constant scores or labels.
    - ccc: Lin's concordance, 2 covariance / (both variances + squared difference of the means).
    - mse: mean squared error.
    - skill: 1 - mean |score - label| / mean |training mean - label|: 0 for who learnt nothing, 1 for who knows all.

    Args:
        sums: `(..., 9, targets)` sums of `clip_sums`.

    Returns:
        `(..., targets)` float64 for each name in `MEASURES`; NaN where a measure is undefined.
    """
    x, y, variance_x, variance_y, covariance = moments(sums)
    error, squared_error, error_of_mean = (sums[..., 6:, :] / sums[..., :1, :]).unbind(-2)
    return {
        "accuracy": 1 - error,
        "r2": 1 - squared_error / variance_y.where(variance_y > 0, torch.nan),
        "pcc": (covariance / (variance_x * variance_y).sqrt()).clamp(-1, 1),
        "ccc": 2 * covariance / (variance_x + variance_y + (x - y) ** 2),
        "mse": squared_error,
        "skill": 1 - error / error_of_mean.where(error_of_mean > 0, torch.nan),
    }


def measures(scores: Tensor, traits: Tensor, mean: Tensor) -> dict[str, Tensor]:
    """Measure each target over the clips that have a label for it.

    Args:
        scores: `(clips, targets)` what was predicted.
        traits: `(clips, targets)` what was labelled; NaN where there is no label.
        mean: `(targets,)` mean label of the training clips, the reference of skill.

    Returns:
        `(targets,)` float64 for each name in `MEASURES`; NaN where a measure is undefined.

    Example:
        >>> labels = torch.tensor([[0.2], [0.4], [0.6]])
        >>> result = measures(labels + 0.1, labels, mean=torch.tensor([0.4]))
        >>> {name: round(value.item(), 3) for name, value in result.items()}
        {'accuracy': 0.9, 'r2': 0.625, 'pcc': 1.0, 'ccc': 0.842, 'mse': 0.01, 'skill': 0.25}
    """
    return measures_from_sums(clip_sums(scores, traits, mean).sum(0))


def over_traits(values: Tensor, targets: Sequence[str]) -> Tensor:
    """Average `(..., targets)` over the targets as published tables do: without `interview`, which is no trait."""
    return values[..., [target != "interview" for target in targets]].mean(-1)


class TraitMetrics(Metric):
    """All measures over the clips of a split, exact under any batch size and number of processes.

    A clip is known by its row in the split: one that a distributed sampler repeats is counted once. `compute` returns
    each measure's mean over the traits under its name, and each target's under `measure/target`.

    Args:
        targets: Names of the scores, in order.
        mean: `(targets,)` mean label of the training clips. It may be set anew at any time: `compute` reads it.

    Example:
        >>> metrics = TraitMetrics(["openness"], torch.tensor([0.5]))
        >>> metrics.update(torch.tensor([[0.5], [0.7]]), torch.tensor([[0.4], [0.7]]), torch.tensor([0, 1]))
        >>> metrics.update(torch.tensor([[0.7]]), torch.tensor([[0.7]]), torch.tensor([1]))
        >>> round(metrics.compute()["accuracy/openness"].item(), 3)
        0.95
    """

    full_state_update = False
    rows: list[Tensor]

    def __init__(self, targets: Sequence[str], mean: Tensor) -> None:
        super().__init__()
        if mean.shape != (len(targets),):
            raise ValueError(
                f"Got a mean of shape {tuple(mean.shape)} for {len(targets)} targets: expected one mean label a target,"
                " in the same order."
            )
        self.targets = list(targets)
        self.mean = mean.clone()
        self.add_state("rows", default=[], dist_reduce_fx="cat")

    def update(self, scores: Tensor, traits: Tensor, clip: Tensor) -> None:
        """Take in a batch: `(B, targets)` scores and labels, and `(B,)` the clips' rows in their split."""
        clip = clip.unsqueeze(1).to(scores.device, non_blocking=True)
        rows = torch.cat([part.detach().float() for part in (clip, scores, traits)], dim=1)
        self.rows.append(rows.flatten())  # flat, as the empty state of a process that saw no clip is
        while len(self.rows) > 1 and len(self.rows[-2]) <= len(self.rows[-1]):
            self.rows[-2:] = [torch.cat(self.rows[-2:])]  # few: one a batch would leave holes between them in memory

    def compute(self) -> dict[str, Tensor]:
        """Measure the clips seen so far, in all processes together."""
        rows = dim_zero_cat(self.rows).cpu().view(-1, 1 + 2 * len(self.targets))  # not every accelerator has float64
        clip, row = rows[:, 0].unique(return_inverse=True)
        first = torch.full(clip.shape, len(rows)).scatter_reduce(0, row, torch.arange(len(rows)), "amin")
        scores, traits = rows[first, 1:].chunk(2, dim=1)
        result = {}
        for name, values in measures(scores, traits, self.mean.cpu()).items():
            result[name] = over_traits(values, self.targets).float()
            result |= {f"{name}/{target}": value.float() for target, value in zip(self.targets, values, strict=True)}
        return result
