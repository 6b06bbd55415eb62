"""VGGish and VGG-Face: 3 × 3 convolutions and 2 × 2 poolings."""

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

VGG_MEAN = (129.1863, 104.7624, 93.5940)
"""Of red, green and blue, from 0 to 255, in the portraits that VGG-Face was trained on (Parkhi et al. 2015)."""


def vggish(channels: int = 1, width: float = 1.0, batch_norm: bool = False) -> nn.Sequential:
    """VGGish for spectrograms (Hershey et al. 2017), as Hayat et al. 2019 use it: no pooling after the fourth block.

    `(N, channels, time, mels)` to `(N, 512 * width, time / 8, mels / 8)`.
    """
    return _vgg(["1", "P1", "2", "P2", "3_1", "3_2", "P3", "4_1", "4_2"], channels, width, batch_norm)


def vgg_face(channels: int = 3, width: float = 1.0, batch_norm: bool = False) -> nn.Sequential:
    """VGG-Face for portraits, which is VGG-16 (Parkhi et al. 2015).

    `(N, channels, height, width)` to `(N, 512 * width, height / 32, width / 32)`.
    """
    blocks = [("1", 2), ("2", 2), ("3", 3), ("4", 3), ("5", 3)]
    layers = [name for block, depth in blocks for name in [*(f"{block}_{i + 1}" for i in range(depth)), f"P{block}"]]
    return _vgg(layers, channels, width, batch_norm)


def _vgg(names: Sequence[str], channels: int, width: float, batch_norm: bool) -> nn.Sequential:
    """Stack 3 × 3 convolutions and 2 × 2 poolings; a block has 64, 128, 256, 512 and again 512 channels."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name in names:
        if name.startswith("P"):
            layers[f"pool{name[1:]}"] = nn.MaxPool2d(2)
            continue
        filters = max(1, round(min(64 * 2 ** (int(name[0]) - 1), 512) * width))
        layers[f"conv{name}"] = nn.Conv2d(channels, filters, 3, padding=1, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{name}"] = nn.BatchNorm2d(filters)
        layers[f"relu{name}"] = nn.ReLU()
        channels = filters
    return nn.Sequential(layers)
