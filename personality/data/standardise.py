"""Standardisation of the inputs of each clip."""

import math

import torch
from torch import Tensor


def standardise(inputs: Tensor, segments: Tensor, each_position: bool = False) -> Tensor:
    """Bring inputs to mean 0 and standard deviation 1, for each clip and channel over segments and space.

    Args:
        inputs: `(B, S, channels, *space)`.
        segments: `(B,)`: how many segments are real. Padding counts for nothing and becomes 0.
        each_position: For each position apart, over the segments.
    """
    space = () if each_position else tuple(range(2, inputs.ndim))
    real = torch.arange(inputs.shape[1], device=inputs.device) < segments.unsqueeze(1)
    real = real.view(*real.shape, *[1] * (inputs.ndim - 2)).float()
    count = real.sum(1, keepdim=True) * math.prod(inputs.shape[axis] for axis in space)
    centred = inputs * real
    for _ in range(2):  # the first mean has a rounding error, which would be scaled up where all is silent
        centred = centred - centred.sum((1, *space), keepdim=True) / count * real
    std = (centred.square().sum((1, *space), keepdim=True) / count).sqrt()
    return centred / (std + 1e-8)
