"""dlib's face recognition: a residual network for aligned faces."""

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

from personality.models.backbones.normalise import Normalise

MEAN = (122.782, 117.001, 104.298)
"""Of red, green and blue, from 0 to 255, as the published file says."""
SCALE = 256.0
SIZE = 150
"""Height and width in pixels of the faces that the network was trained on."""
SMALLEST = 103
"""Pixels of a side below which the last stage has no position left."""
BLOCKS = {
    "stage1": ("32_1", "32_2", "32_3"),
    "stage2": ("64_down", "64_1", "64_2", "64_3"),
    "stage3": ("128_down", "128_1", "128_2"),
    "stage4": ("256_down", "256_1", "256_2"),
    "stage5": ("256_down_out",),
}
"""The residual blocks of each stage: their filters, and which of them halve the maps."""


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions, and a shortcut around them.

    A block "down" has stride 2 in its first convolution, which has no padding there, and averages 2 × 2 positions in
    its shortcut. The smaller of the two is padded with zeros: channels behind, rows and columns at the end.

    Args:
        name: Of the block. `<name>_1` and `<name>_2` are its convolutions.
        channels: Of the input.
        filters: Of both convolutions.
        down: Whether to halve the maps.
        batch_norm: Normalise after every convolution.
    """

    def __init__(self, name: str, channels: int, filters: int, down: bool, batch_norm: bool) -> None:
        super().__init__()
        first = nn.Conv2d(channels, filters, 3, 2 if down else 1, 0 if down else 1, bias=not batch_norm)
        second = nn.Conv2d(filters, filters, 3, padding=1, bias=not batch_norm)
        layers: dict[str, nn.Module] = {f"conv{name}_1": first, f"norm{name}_1": nn.BatchNorm2d(filters)}
        layers |= {f"relu{name}_1": nn.ReLU(), f"conv{name}_2": second, f"norm{name}_2": nn.BatchNorm2d(filters)}
        kept = OrderedDict((key, layer) for key, layer in layers.items() if batch_norm or not key.startswith("norm"))
        self.residual = nn.Sequential(kept)
        self.shortcut = nn.AvgPool2d(2) if down else nn.Identity()
        self.relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps, `(N, max(channels, filters), height', width')`."""
        residual, shortcut = self.residual(inputs), self.shortcut(inputs)
        if residual.shape != shortcut.shape:
            shape = [max(sizes) for sizes in zip(residual.shape[1:], shortcut.shape[1:], strict=True)]
            residual, shortcut = _pad(residual, shape), _pad(shortcut, shape)
        maps: Tensor = self.relu(residual + shortcut)
        return maps


def dlib_face(channels: int = 3, width: float = 1.0, batch_norm: bool = False) -> nn.Sequential:
    """Dlib's face recognition for faces aligned to 150 × 150 pixels (King 2017), 29 convolutions.

    Takes pixels from 0 to 255. `(N, channels, 150, 150)` to `(N, 256 * width, 2, 2)`; the layers `stage1` to `stage5`
    have maps of 35, 17, 8, 4 and 2 positions a side and 32, 64, 128, 256 and 256 channels. The scale and the shift
    after each published convolution are part of its kernel and bias. Training from scratch needs `batch_norm`.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(normalise=Normalise(MEAN, SCALE, channels))
    filters = max(1, round(32 * width))
    layers["conv32_down"] = nn.Conv2d(channels, filters, 7, stride=2, bias=not batch_norm)
    if batch_norm:
        layers["norm32_down"] = nn.BatchNorm2d(filters)
    layers |= {"relu32_down": nn.ReLU(), "pool32_down": nn.MaxPool2d(3, stride=2)}
    channels = filters
    for stage, names in BLOCKS.items():
        blocks = nn.Sequential()
        for name in names:
            filters = max(1, round(int(name.split("_")[0]) * width))
            blocks.append(ResidualBlock(name, channels, filters, "down" in name, batch_norm))
            channels = filters
        layers[stage] = blocks
    return nn.Sequential(layers)


def descriptor(maps: Tensor, matrix: Tensor) -> Tensor:
    """Return dlib's face descriptors: faces of one person are less than 0.6 apart.

    Args:
        maps: `(N, 256, rows, columns)` of the backbone.
        matrix: `(128, 256)`, the layer `fc` of the published file.

    Returns:
        `(N, 128)`.
    """
    return functional.linear(maps.mean((2, 3)), matrix)


def _pad(maps: Tensor, shape: list[int]) -> Tensor:
    """Pad maps with zeros to `(N, *shape)`, behind and at the end."""
    channels, rows, columns = (wanted - size for wanted, size in zip(shape, maps.shape[1:], strict=True))
    return functional.pad(maps, (0, columns, 0, rows, 0, channels))
