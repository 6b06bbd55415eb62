"""The backbone for a spectrum: wide convolutions along frequency."""

from collections import OrderedDict

from torch import Tensor, nn


class SameConv1d(nn.Conv1d):
    """A convolution that keeps the number of positions, zeros padded as TensorFlow does: evenly, the odd one behind."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve."""
        (kernel,) = self.kernel_size
        return super().forward(nn.functional.pad(inputs, ((kernel - 1) // 2, kernel // 2)))


def spectrum(channels: int = 1, width: float = 1.0, batch_norm: bool = False, relu: bool = False) -> nn.Sequential:
    """Three wide stages along frequency (Hayat et al. 2019): sigmoids, pooling by 10, 8 and 8, dropout of one half.

    `(N, channels, bins)` to `(N, 256 * width, bins / 640)`; 61,208 bins give 95 positions.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for stage, (filters, kernel, pool) in enumerate([(64, 8, 10), (128, 6, 8), (256, 6, 8)], start=1):
        filters = max(1, round(filters * width))
        layers[f"conv{stage}"] = SameConv1d(channels, filters, kernel)
        if batch_norm:
            layers[f"norm{stage}"] = nn.BatchNorm1d(filters)
        layers[f"activation{stage}"] = nn.ReLU() if relu else nn.Sigmoid()
        layers[f"pool{stage}"] = nn.MaxPool1d(pool)
        layers[f"dropout{stage}"] = nn.Dropout(0.5)
        channels = filters
    return nn.Sequential(layers)
