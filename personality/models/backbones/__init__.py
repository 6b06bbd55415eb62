"""The convolutions of the published networks, without their heads: the part that pretrained weights fit.

A backbone is an `nn.Sequential` whose layers have the names of the publication (`conv1_1`, `relu1_1`, `pool1`, ...).
`width` multiplies every number of channels: `width=0.25` is the same network for a small machine.
"""

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from personality.models.backbones.spectrum import spectrum
from personality.models.backbones.vgg import vgg_face, vggish
from personality.traits import Modality

BACKBONES: dict[str, Callable[..., nn.Sequential]] = {
    "vggish": vggish,
    "vgg_face": vgg_face,
    "spectrum": spectrum,
    "spectrum_relu": partial(spectrum, relu=True),
}
DEFAULTS: dict[tuple[Modality, int], str] = {
    ("audio", 1): "spectrum",
    ("audio", 2): "vggish",
    ("image", 2): "vgg_face",
}
"""The backbone of each modality and number of dimensions of space."""


def build_backbone(
    input_shape: Sequence[int],
    modality: Modality = "audio",
    name: str | None = None,
    width: float = 1.0,
    batch_norm: bool = False,
) -> nn.Sequential:
    """Build the backbone of a name, or the one that fits an input.

    Args:
        input_shape: `(segments, channels, *space)`.
        modality: What the input shows: `spectrum` is built for audio with one dimension of space, `vggish` for audio
            with two, `vgg_face` for images.
        name: One of `BACKBONES`, to choose another.
        width: Factor on every number of channels.
        batch_norm: Normalise after every convolution. Helps training from scratch; published weights have none.

    Raises:
        ValueError: The name is unknown, the backbone has another number of dimensions than the input, or the modality
            has no backbone of its own.
    """
    _, channels, *space = input_shape
    name = name or DEFAULTS.get((modality, len(space)))
    if name not in BACKBONES:
        got = f"no backbone for {modality} of shape {tuple(input_shape)}" if name is None else f"backbone {name!r}"
        raise ValueError(f"Got {got}: expected one of {', '.join(BACKBONES)}; choose with model.backbone.")
    if name.startswith("spectrum") != (len(space) == 1):
        raise ValueError(
            f"Backbone {name!r} does not fit an input of {len(space)} dimensions: leave the backbone unnamed."
        )
    return BACKBONES[name](channels=channels, width=width, batch_norm=batch_norm)


def output_shape(module: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a module's output for one input, without computing it.

    >>> output_shape(vggish(), (1, 96, 64))
    (512, 12, 8)
    """
    return tuple(copy.deepcopy(module).eval().to("meta")(torch.empty(1, *shape, device="meta")).shape[1:])


def last_convolution(backbone: nn.Sequential) -> int:
    """Return the index of the last convolution; its activation and the last pooling come after it.

    >>> backbone = vgg_face()
    >>> [name for name, _ in backbone.named_children()][last_convolution(backbone) :]
    ['conv5_3', 'relu5_3', 'pool5']
    """
    return max(index for index, layer in enumerate(backbone) if isinstance(layer, nn.Conv1d | nn.Conv2d))
