"""Sums over clips from which ridge regression is solved and validated, without the clips."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

CHUNK = 512
"""Clips that are multiplied at once: a product of few rows would take as long to write as one of many."""


class Block(NamedTuple):
    """Descriptors that belong together."""

    size: int
    """How many."""
    standardise: bool = True
    """Whether the penalty is on weights of standardised descriptors, or of descriptors as they are."""
    factor: float = 1.0
    """How large they are taken to be beside those of other blocks, whatever their number: larger ones are penalised
    less."""


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


def folds_of(groups: Sequence[Any], folds: int, seed: int) -> tuple[Tensor, int]:
    """Put clips into folds, each group into one of them: `(clips,)`, and how many folds there are; of few groups fewer.

    Raises:
        ValueError: All clips are of one group.
    """
    _, codes = np.unique(groups, return_inverse=True)
    count = int(codes.max(initial=0)) + 1
    if count < 2:
        raise ValueError("All training clips are of one group: expected two or more to choose a penalty by folds.")
    folds = min(folds, count)
    return torch.from_numpy(np.random.default_rng(seed).permutation(count)[codes] % folds), folds


class Moments:
    """Sums of products of descriptors and labels, apart for each fold.

    Args:
        folds: How many folds.
        blocks: The descriptors of a clip.
        targets: How many labels a clip has.

    Example:
        >>> moments = Moments(folds=2, blocks=[Block(1)], targets=1)
        >>> x = torch.arange(8.0)[:, None]
        >>> moments.add(x, 0.5 + 2 * x, torch.arange(8) % 2)
        >>> solution = moments.solve([1e-9])
        >>> round(solution.weight.item(), 3), round(solution.bias.item(), 3)
        (2.0, 0.5)
    """

    def __init__(self, folds: int, blocks: Sequence[Block], targets: int) -> None:
        self.folds, self.blocks, self.descriptors = folds, [*blocks], sum(block.size for block in blocks)
        size = 1 + self.descriptors + targets
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

    def impute(self) -> list[Tensor]:
        """Give clips that lack a block the mean of the others there, and take that mean off all clips.

        The last block says for each of the others whether the clip has it, 1 or 0; what it lacks was added as zeros.
        This block is removed.

        Returns:
            The mean of each other block, `(size,)`.
        """
        self.flush()
        *blocks, flags = self.blocks
        total, start, means = self.sums.sum(0), 1, []
        for index, block in enumerate(blocks):
            columns, flag = slice(start, start + block.size), self.descriptors - flags.size + 1 + index
            mean = total[0, columns] / total[0, flag].clamp(min=1)
            self.sums[:, :, columns] -= self.sums[:, :, flag, None] * mean
            self.sums[:, columns] -= mean[:, None] * self.sums[:, flag, None]
            means.append(mean)
            start += block.size
        kept = torch.ones(self.sums.shape[1], dtype=torch.bool)
        kept[start : start + flags.size] = False
        self.sums, self.blocks = self.sums[:, kept][:, :, kept], blocks
        self.descriptors -= flags.size
        return means

    def solve(self, penalties: Sequence[float]) -> Solution:
        r"""Solve ridge regression with the penalty that predicts left-out folds best, for each target.

        With descriptors $z$, standardised or as they are, and $n$ clips it minimises $\sum (y - b - w z)^2 + \lambda n
        \lVert w \rVert^2$ (Hoerl and Kennard 1970). A penalty's error on a fold is computed from the sums of that fold,
        with the solution of the others.

        Args:
            penalties: $\lambda$, to choose from.
        """
        errors = self.errors(penalties)
        total = self.sums.sum(0)
        chosen, choices = errors.argmin(0), torch.tensor(penalties, dtype=torch.float64)
        weights, biases = [], []
        found = {row: solve() for row, solve in enumerate(self._solver(total, penalties)) if row in chosen}
        for target, row in enumerate(chosen.tolist()):
            weight, bias = found[row]
            weights.append(weight[target])
            biases.append(bias[target])
        mean = total[0, 1 : 1 + self.descriptors] / total[0, 0]
        return Solution(torch.stack(weights), torch.stack(biases), mean, choices[chosen], errors)

    def errors(self, penalties: Sequence[float]) -> Tensor:
        """Return the mean squared error of each penalty on left-out folds, `(penalties, targets)`."""
        self.flush()
        total = self.sums.sum(0)
        errors = torch.zeros(len(penalties), total.shape[0] - 1 - self.descriptors, dtype=torch.float64)
        for fold in self.sums if len(penalties) > 1 else ():
            for row, solve in enumerate(self._solver(total - fold, penalties)):
                errors[row] += self._squared_error(fold, *solve())
        return errors / total[0, 0]

    def _scale(self, mean: Tensor, variance: Tensor) -> Tensor:
        """Return the factor of each descriptor, 0 for one that is the same in all clips."""
        varies = variance.sqrt() > 1e-6 * (1 + mean.abs())
        scales = []
        for block, some, power in zip(self.blocks, varies.split(self._sizes), variance.split(self._sizes), strict=True):
            scale = torch.where(some, power.rsqrt() if block.standardise else torch.ones_like(power), 0)
            if len(self.blocks) > 1:
                scale *= block.factor / (power * scale.square()).sum().clamp(min=1e-12).sqrt()
            scales.append(scale)
        return torch.cat(scales)

    @property
    def _sizes(self) -> list[int]:
        return [block.size for block in self.blocks]

    def _solver(self, sums: Tensor, penalties: Sequence[float]) -> list[Callable[[], tuple[Tensor, Tensor]]]:
        """Return for each penalty a function that computes weights `(targets, descriptors)` and biases."""
        clips, end = sums[0, 0], 1 + self.descriptors
        mean_x, mean_y = sums[0, 1:end] / clips, sums[0, end:] / clips
        covariance = sums[1:end, 1:end] / clips - mean_x.outer(mean_x)
        scale = self._scale(mean_x, covariance.diagonal().clamp(min=0))
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
