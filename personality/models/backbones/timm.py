"""Backbones of timm (PyTorch Image Models), by its names: `timm:resnet18`, `timm:vit_small_patch14_dinov2.lvd142m`."""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from personality.models.backbones.normalise import Normalise
from personality.models.backbones.published import PublishedNetwork


def build(name: str, input_shape: Sequence[int]) -> nn.Sequential:
    """Build the layers `normalise` and `network`; `(N, channels, height, width)` to `(N, channels', rows, columns)`.

    Args:
        name: One of `timm.list_models()`, with or without the tag of its weights.
        input_shape: `(segments, channels, height, width)` in pixels from 0 to 255.

    Raises:
        ValueError: timm has no such network, or it does not take inputs of this size.
    """
    timm, (_, channels, *size) = _library(), input_shape
    architecture = name.split(".")[0]
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, timm.list_models(), cutoff=0.5)
        raise ValueError(
            f"Got the backbone timm:{name}, which timm {timm.__version__} does not have: expected a name of "
            f"timm.list_models(){', such as ' if near else ''}{', '.join(near)}; choose with model.backbone."
        )
    try:
        settings = timm.get_pretrained_cfg(name, allow_unregistered=False)
    except RuntimeError as error:
        tags = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "another network"
        raise ValueError(f"Got the backbone timm:{name}, of which timm has no weights: expected {tags}.") from error
    options: dict[str, Any] = {"in_chans": channels, "num_classes": 0}
    if settings.fixed_input_size:
        options["img_size"] = tuple(size)
    try:
        network = TimmMaps(name, options, input_shape[1:])
        copy.deepcopy(network).to("meta")(torch.empty(1, channels, *size, device="meta"))
    except (AssertionError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"The backbone timm:{name} does not take inputs of {' x '.join(map(str, size))}: {error}. "
            f"It was trained on {' x '.join(map(str, settings.input_size[1:]))}; set data.size to that, or "
            "choose another network."
        ) from error
    mean, std = ([255 * value for value in values] for values in (settings.mean, settings.std))
    return nn.Sequential(OrderedDict(normalise=Normalise(mean, std, channels), network=network))


class TimmMaps(PublishedNetwork):
    """The last maps of a network: those of a CNN, or the patches of a vision transformer as a grid.

    Args:
        name: Of the network.
        options: Of `timm.create_model`.
        shape: Of an input, `(channels, height, width)`.
    """

    network: Any  # of timm, which declares no types

    def __init__(self, name: str, options: Mapping[str, Any], shape: Sequence[int]) -> None:
        super().__init__()
        self.name, self.architecture, self.options = f"timm:{name}", name, dict(options)
        self.network = _library().create_model(name, **options)
        network = copy.deepcopy(self.network).to("meta")
        self.patches = network.forward_features(torch.empty(1, *shape, device="meta")).ndim == 3
        self.patches |= getattr(self.network, "output_fmt", "NCHW") != "NCHW"

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps, `(N, channels, rows, columns)`, without the tokens of the class and of registers."""
        if not self.patches:
            found: Tensor = self.network.forward_features(inputs)
            return found
        (found,) = self.network.forward_intermediates(
            inputs, indices=1, norm=True, output_fmt="NCHW", intermediates_only=True
        )
        return found

    def published(self, path: Path | None) -> Mapping[str, Tensor]:
        """See `PublishedNetwork`; also takes weights for inputs of another size or number of channels."""
        source = {"file": str(path)} if path else None
        try:
            network = _library().create_model(
                self.architecture, pretrained=True, pretrained_cfg_overlay=source, **self.options
            )
        except OSError as error:
            raise ConnectionError(
                f"The weights of {self.name} are neither in the cache nor can they be downloaded: "
                f"{str(error).splitlines()[0]} Connect to the network once, or download the file elsewhere and set "
                "model.weights to its path."
            ) from error
        except Exception as error:  # a damaged file can raise any exception
            reason = " ".join(str(error).split())[:300]  # PyTorch lists all tensors
            raise ValueError(
                f"{path or self.name} holds no weights for {self.name}: {reason}. Expected a file of timm "
                "(.safetensors, .pth) for this network; choose another with model.weights or model.backbone."
            ) from error
        state: Mapping[str, Tensor] = network.state_dict()
        return state


def _library() -> Any:
    """Import timm when it is needed."""
    try:
        import timm
    except ImportError as error:
        raise ImportError(
            f"A backbone timm:NAME needs the package timm ({error}): run `uv sync --extra timm`, or choose another "
            "with model.backbone."
        ) from error
    return timm
