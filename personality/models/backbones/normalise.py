"""The first layer of a pretrained backbone: from pixels to the numbers that it was trained on."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """Subtract a mean and divide by a scale, both in units of pixels from 0 to 255.

    With it as its first layer, `normalise`, every backbone takes the same raw pixels, and no setting of the data has to
    fit the backbone. `(N, channels, *space)` of any type to the same shape in float32 (or the type of the weights under
    autocast).

    Args:
        mean: One number a channel.
        scale: One number a channel, or one for all.
        channels: Of the input. Another number than the mean has gets the average of the mean in each channel.

    >>> Normalise((120.0, 110.0, 100.0), 256.0)(torch.full((1, 3, 1, 1), 238, dtype=torch.uint8)).flatten()
    tensor([0.4609, 0.5000, 0.5391])
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Sequence[float], scale: Sequence[float] | float, channels: int | None = None) -> None:
        super().__init__()
        means, scales = torch.tensor(mean), torch.tensor(scale).expand(len(mean))
        if channels not in (None, len(mean)):
            means, scales = (each.mean().expand(channels) for each in (means, scales))
        for name, values in ("mean", means), ("scale", scales):
            self.register_buffer(name, values.clone().view(-1, 1, 1), persistent=False)  # not learnt: the code knows it

    def forward(self, inputs: Tensor) -> Tensor:
        """Normalise."""
        return (inputs - self.mean) / self.scale
