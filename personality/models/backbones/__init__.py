"""The convolutions of the published networks, without their heads: the part that pretrained weights fit.

A backbone is an `nn.Sequential` whose layers have the names of the publication (`conv1_1`, `relu1_1`, `pool1`, ...).
`width` multiplies every number of channels: `width=0.25` is the same network for a small machine. A backbone for images
takes pixels from 0 to 255, and its first layer, `normalise`, brings them to what it was trained on.

Families are networks of another library, named after a colon: `timm:resnet18`. Their libraries are imported when such a
backbone is built.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module

import torch
from torch import nn

from personality.models.backbones.dlib_face import SMALLEST, dlib_face
from personality.models.backbones.identity import identity
from personality.models.backbones.normalise import Normalise
from personality.models.backbones.spectrum import spectrum
from personality.models.backbones.vgg import VGG_MEAN, vgg_face, vggish
from personality.models.backbones.words import hashed_words, learnt_words
from personality.traits import Modality

BACKBONES: dict[str, Callable[..., nn.Sequential]] = {
    "vggish": vggish,
    "vgg_face": vgg_face,
    "dlib_face": dlib_face,
    "spectrum": spectrum,
    "spectrum_relu": partial(spectrum, relu=True),
    "identity": identity,
    "hashed_words": hashed_words,
    "learnt_words": learnt_words,
}
LINES = "spectrum", "spectrum_relu", "identity", "hashed_words", "learnt_words"
"""Those for inputs with one dimension of space."""
FAMILIES: dict[str, int] = {"timm": 2, "torchaudio": 1, "transformers": 1}
"""The families, which are modules of this package, and the number of dimensions of space of their inputs."""
DEFAULTS: dict[tuple[Modality, int], str] = {
    ("audio", 1): "spectrum",
    ("audio", 2): "vggish",
    ("image", 2): "vgg_face",
    ("vector", 1): "identity",
    ("text", 1): "hashed_words",
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
            with two, `vgg_face` for images, `identity` for embeddings, `hashed_words` for text.
        name: One of `BACKBONES`, or a family and a name of it, to choose another.
        width: Factor on every number of channels.
        batch_norm: Normalise after every convolution. Helps training from scratch; published weights have none.

    Raises:
        ImportError: The library of the family is not installed.
        ValueError: The name is unknown, the backbone has another number of dimensions than the input or needs a larger
            one, or the modality has no backbone of its own.
    """
    _, channels, *space = input_shape
    name = name or DEFAULTS.get((modality, len(space)))
    family, colon, member = (name or "").partition(":")
    if name not in BACKBONES and not (colon and family in FAMILIES):
        got = f"no backbone for {modality} of shape {tuple(input_shape)}" if name is None else f"backbone {name!r}"
        families = " or ".join(f"{each}:NAME" for each in FAMILIES)
        raise ValueError(
            f"Got {got}: expected one of {', '.join(BACKBONES)}, or {families}; choose with model.backbone."
        )
    _check_input(str(name), family, bool(colon), modality, space)
    if colon and (width != 1 or batch_norm):
        raise ValueError(
            f"Got the backbone {name} with width {width} and batch_norm {batch_norm}: expected a width of 1 and no "
            "batch_norm, since the library defines the network; leave both unset."
        )
    layers: nn.Sequential
    if colon:
        layers = import_module(f"{__name__}.{family}").build(member, input_shape=input_shape)
    else:
        layers = BACKBONES[family](channels=channels, width=width, batch_norm=batch_norm)
    if modality == "image" and not isinstance(layers[0], Normalise):
        return nn.Sequential(OrderedDict(normalise=Normalise(VGG_MEAN, 1.0, channels), **dict(layers.named_children())))
    if modality != "image" and isinstance(layers[0], Normalise):
        layers[0] = nn.Identity()  # sound is not in pixels
    return layers


def _check_input(name: str, family: str, is_family: bool, modality: Modality, space: Sequence[int]) -> None:
    """Raise if a backbone does not take an input of this modality and these dimensions."""
    dimensions = FAMILIES[family] if is_family else 1 if family in LINES else 2
    if dimensions != len(space):
        raise ValueError(
            f"Backbone {name!r} does not fit an input of {len(space)} dimensions: leave the backbone unnamed."
        )
    if name == "dlib_face" and min(space) < SMALLEST:
        raise ValueError(
            f"Got inputs of {' x '.join(map(str, space))} for the backbone dlib_face: expected at least {SMALLEST} "
            "pixels a side, best 150; set data.size."
        )
    if (modality == "text") != (family in (*LINES[3:], "transformers")):
        raise ValueError(
            f"Got the backbone {name} for an input of {modality}: words need hashed_words, learnt_words or "
            "transformers:NAME, and these need words; leave the backbone unnamed."
        )


def output_shape(module: nn.Module, shape: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a module's output for one input, without computing it.

    >>> output_shape(vggish(), (1, 96, 64))
    (512, 12, 8)
    """
    return tuple(copy.deepcopy(module).eval().to("meta")(torch.empty(1, *shape, device="meta")).shape[1:])


def require_positions(input_shape: Sequence[int], modality: Modality) -> None:
    """Raise if an input has no positions over which a model could average: a vector of different numbers."""
    if modality == "vector" and input_shape[1] == 1:
        raise ValueError(
            f"Got a vector of {input_shape[2]} numbers a clip for a model that averages over positions, which would "
            "mix these numbers. Expected a sequence (time, numbers) a clip; choose model=linear, model=ridge or "
            "model=regular_cnn."
        )


def last_convolution(backbone: nn.Sequential) -> int:
    """Return the index of the last layer with a convolution; its activation and the last pooling come after it.

    Without any convolution it is the first layer.

    >>> backbone = vgg_face()
    >>> [name for name, _ in backbone.named_children()][last_convolution(backbone) :]
    ['conv5_3', 'relu5_3', 'pool5']
    >>> backbone = dlib_face()
    >>> [name for name, _ in backbone.named_children()][last_convolution(backbone) :]
    ['stage5']
    """
    convolutions = nn.Conv1d | nn.Conv2d
    layers = [any(isinstance(each, convolutions) for each in layer.modules()) for layer in backbone]
    return max((index for index, found in enumerate(layers) if found), default=0)
