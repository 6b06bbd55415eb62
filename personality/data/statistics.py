"""Mean and standard deviation of numbers and of their products, computed block by block."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def learn_statistics(blocks: Callable[[], Iterator[Tensor]], pairs: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the mean and the standard deviation of numbers, and of products of the standardised numbers.

    Two passes for the numbers and one for the products, in float64. A number that is always the same gets the deviation
    1, so that it becomes 0.

    Args:
        blocks: Returns an iterator over `(vectors, numbers)`, the same at each call.
        pairs: `(2, products)`: which numbers are multiplied.

    Returns:
        Mean and standard deviation, `(numbers + products,)` float64 each.

    Example:
        >>> numbers = torch.tensor([[1.0, 5.0], [3.0, 9.0]])
        >>> mean, std = learn_statistics(lambda: iter([numbers]), torch.tensor([[0], [1]]))
        >>> mean.tolist(), std.tolist()
        ([2.0, 7.0, 1.0], [1.0, 2.0, 1.0])
    """
    count = sum(len(block) for block in blocks())
    mean = torch.stack([block.double().sum(0) for block in blocks()]).sum(0) / count
    variance = torch.stack([(block.double() - mean).square().sum(0) for block in blocks()]).sum(0) / count
    std = _deviation(variance, mean)
    if not pairs.numel():
        return mean, std
    products = squares = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for block in blocks():
        scaled = (block.double() - mean) / std
        products = products + scaled.T @ scaled
        squares = squares + scaled.square().T @ scaled.square()
    one, two = pairs
    expected = products[one, two] / count
    spread = _deviation((squares[one, two] / count - expected.square()).clamp(min=0), expected)
    return torch.cat([mean, expected]), torch.cat([std, spread])


def _deviation(variance: Tensor, mean: Tensor) -> Tensor:
    """Return the root, and 1 where only rounding differs."""
    std = variance.sqrt()
    return std.where(std > 1e-6 * mean.abs().clamp(min=1e-12), 1.0)
