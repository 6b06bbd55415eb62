"""Sums over clips from which ridge regression is solved and validated, without the clips."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 512
"""Clips that are multiplied at once: a product of few rows would take as long to write as one of many."""


class Solution(NamedTuple):
    """A linear model of descriptors as they are: standardisation is part of it."""

    weight: Tensor
    """`(targets, descriptors)`."""
    bias: Tensor
    """`(targets,)`."""
    mean: Tensor
    """`(descriptors,)`: the mean descriptors of all clips."""
    penalties: Tensor
    """`(targets,)`: the penalty of each target."""
    errors: Tensor
    """`(penalties, targets)`: the mean squared error on left-out folds."""


class Moments:
    """Sums of products of descriptors and labels, apart for each fold.

    Args:
        folds: How many folds.
        descriptors: How many numbers describe a clip.
        targets: How many labels a clip has.

    Example:
        >>> moments = Moments(folds=2, descriptors=1, targets=1)
        >>> x = torch.arange(8.0)[:, None]
        >>> moments.add(x, 0.5 + 2 * x, torch.arange(8) % 2)
        >>> solution = moments.solve([1e-9])
        >>> round(solution.weight.item(), 3), round(solution.bias.item(), 3)
        (2.0, 0.5)
    """

    def __init__(self, folds: int, descriptors: int, targets: int) -> None:
        size = 1 + descriptors + targets
        self.folds, self.descriptors = folds, descriptors
        self.sums = torch.zeros(folds, size, size, dtype=torch.float64)
        self._rows: list[tuple[Tensor, Tensor]] = []

    def add(self, inputs: Tensor, labels: Tensor, folds: Tensor) -> None:
        """Add clips.

        Args:
            inputs: `(clips, descriptors)`.
            labels: `(clips, targets)`, none of them missing.
            folds: `(clips,)`: the fold of each.
        """
        rows = torch.cat([torch.ones(len(inputs), 1, dtype=torch.float64), inputs.cpu(), labels.cpu()], dim=1)
        self._rows.append((rows, folds.cpu()))
        if sum(len(rows) for rows, _ in self._rows) >= CHUNK:
            self.flush()

    def flush(self) -> None:
        """Add the rows that wait to the sums."""
        if self._rows:
            rows, folds = (torch.cat(parts) for parts in zip(*self._rows, strict=True))
            for fold in range(self.folds):
                some = rows[folds == fold]
                self.sums[fold].addmm_(some.T, some)
            self._rows = []

    def solve(self, penalties: Sequence[float]) -> Solution:
        r"""Solve ridge regression with the penalty that predicts left-out folds best, for each target.

        With standardised descriptors $z$ and $n$ clips it minimises $\sum (y - b - w z)^2 + \lambda n \lVert w
        \rVert^2$ (Hoerl and Kennard 1970). A penalty's error on a fold is computed from the sums of that fold, with the
        solution of the others.

        Args:
            penalties: $\lambda$, to choose from.
        """
        self.flush()
        total = self.sums.sum(0)
        errors = torch.zeros(len(penalties), total.shape[0] - 1 - self.descriptors, dtype=torch.float64)
        for fold in self.sums if len(penalties) > 1 else ():
            for row, solve in enumerate(self._solver(total - fold, penalties)):
                errors[row] += self._squared_error(fold, *solve())
        errors /= total[0, 0]
        chosen, choices = errors.argmin(0), torch.tensor(penalties, dtype=torch.float64)
        weights, biases = [], []
        found = {row: solve() for row, solve in enumerate(self._solver(total, penalties)) if row in chosen}
        for target, row in enumerate(chosen.tolist()):
            weight, bias = found[row]
            weights.append(weight[target])
            biases.append(bias[target])
        mean = total[0, 1 : 1 + self.descriptors] / total[0, 0]
        return Solution(torch.stack(weights), torch.stack(biases), mean, choices[chosen], errors)

    def _solver(self, sums: Tensor, penalties: Sequence[float]) -> list[Callable[[], tuple[Tensor, Tensor]]]:
        """Return for each penalty a function that computes weights `(targets, descriptors)` and biases."""
        clips, end = sums[0, 0], 1 + self.descriptors
        mean_x, mean_y = sums[0, 1:end] / clips, sums[0, end:] / clips
        covariance = sums[1:end, 1:end] / clips - mean_x.outer(mean_x)
        deviation = covariance.diagonal().clamp(min=0).sqrt()
        scale = torch.where(deviation > 1e-6 * (1 + mean_x.abs()), 1 / deviation, 0)  # 0: the same in all clips
        covariance *= scale.outer(scale)
        products = (sums[1:end, end:] / clips - mean_x.outer(mean_y)) * scale[:, None]

        def solve(penalty: float) -> tuple[Tensor, Tensor]:
            matrix = covariance.clone()
            matrix.diagonal().add_(penalty)
            weight = (torch.cholesky_solve(products, torch.linalg.cholesky(matrix)) * scale[:, None]).T
            return weight, mean_y - weight @ mean_x

        return [lambda penalty=penalty: solve(penalty) for penalty in penalties]  # type: ignore[misc]

    def _squared_error(self, sums: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """Return the sum of squared errors on the clips of a fold, `(targets,)`."""
        coefficients = torch.cat([-bias[:, None], -weight, torch.eye(len(bias), dtype=torch.float64)], dim=1)
        return torch.einsum("ti,ij,tj->t", coefficients, sums, coefficients)
