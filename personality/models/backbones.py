"""The convolutions of the published networks, without their heads: the part that pre-trained weights fit.

A backbone is an `nn.Sequential` whose layers bear the names of the publication (`conv1_1`, `relu1_1`, `pool1`, ...).
`width` multiplies every number of channels, so that `width=0.25` is the same network for a small machine.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


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
        filters = _scaled(filters, width)
        layers[f"conv{stage}"] = SameConv1d(channels, filters, kernel)
        if batch_norm:
            layers[f"norm{stage}"] = nn.BatchNorm1d(filters)
        layers[f"activation{stage}"] = nn.ReLU() if relu else nn.Sigmoid()
        layers[f"pool{stage}"] = nn.MaxPool1d(pool)
        layers[f"dropout{stage}"] = nn.Dropout(0.5)
        channels = filters
    return nn.Sequential(layers)


BACKBONES: dict[str, Callable[..., nn.Sequential]] = {
    "vggish": vggish,
    "vgg_face": vgg_face,
    "spectrum": spectrum,
    "spectrum_relu": lambda **settings: spectrum(relu=True, **settings),
}


def build_backbone(
    input_shape: Sequence[int], name: str | None = None, width: float = 1.0, batch_norm: bool = False
) -> nn.Sequential:
    """Build the backbone that fits an input: by its name, or by the input's shape.

    Args:
        input_shape: `(segments, channels, *space)`. One dimension of space asks for `spectrum`, three channels for
            `vgg_face`, anything else for `vggish`.
        name: One of `BACKBONES`, to choose another.
        width: Factor on every number of channels.
        batch_norm: Normalise after every convolution. Helps training from scratch; published weights have none.

    Raises:
        ValueError: If the name is unknown or the backbone has another number of dimensions than the input.
    """
    _, channels, *space = input_shape
    name = name or ("spectrum" if len(space) == 1 else "vgg_face" if channels == 3 else "vggish")
    if name not in BACKBONES:
        raise ValueError(f"Unknown backbone {name!r}: expected one of {', '.join(BACKBONES)}.")
    if name.startswith("spectrum") != (len(space) == 1):
        raise ValueError(
            f"Backbone {name!r} does not fit an input of {len(space)} dimensions: leave the backbone unnamed."
        )
    return BACKBONES[name](channels=channels, width=width, batch_norm=batch_norm)


def output_shape(module: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """Tell the shape that a module makes of one input, without computing it.

    >>> output_shape(vggish(), (1, 96, 64))
    (512, 12, 8)
    """
    return tuple(copy.deepcopy(module).eval().to("meta")(torch.empty(1, *shape, device="meta")).shape[1:])


def last_convolution(backbone: nn.Sequential) -> int:
    """Find the place of the last convolution, behind which stand its activation and the last pooling.

    >>> backbone = vgg_face()
    >>> [name for name, _ in backbone.named_children()][last_convolution(backbone) :]
    ['conv5_3', 'relu5_3', 'pool5']
    """
    return max(place for place, layer in enumerate(backbone) if isinstance(layer, nn.Conv1d | nn.Conv2d))


def _scaled(filters: int, width: float) -> int:
    return max(1, round(filters * width))


def _vgg(names: Sequence[str], channels: int, width: float, batch_norm: bool) -> nn.Sequential:
    """Stack 3 × 3 convolutions and 2 × 2 poolings; a block has 64, 128, 256, 512 and again 512 channels."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name in names:
        if name.startswith("P"):
            layers[f"pool{name[1:]}"] = nn.MaxPool2d(2)
            continue
        filters = _scaled(min(64 * 2 ** (int(name[0]) - 1), 512), width)
        layers[f"conv{name}"] = nn.Conv2d(channels, filters, 3, padding=1, bias=not batch_norm)
        if batch_norm:
            layers[f"norm{name}"] = nn.BatchNorm2d(filters)
        layers[f"relu{name}"] = nn.ReLU()
        channels = filters
    return nn.Sequential(layers)
