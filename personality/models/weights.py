"""Weights to start training from, by path or URL; see `weight_files` for the formats."""

import hashlib
import logging
import zipfile
from http.client import HTTPException
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import torch
from torch import Tensor, nn

from personality.models.backbones import FAMILIES
from personality.models.backbones.published import PublishedNetwork
from personality.models.dlib_files import packaged_weights
from personality.models.weight_files import CONVOLUTIONAL, Layers, read_weights

if TYPE_CHECKING:
    from personality.models.base import TraitRegressor

logger = logging.getLogger(__name__)


def default_weights(backbone: str | None, width: float = 1.0, batch_norm: bool = False) -> str | None:
    """Return the weights that a backbone starts from when none are named: a source for `load_weights`, or none.

    Args:
        backbone: A name of `build_backbone`.
        width: Of the backbone; there are weights for 1 alone.
        batch_norm: Of the backbone; there are weights without it alone.

    Raises:
        FileNotFoundError: The weights come with a package that is not installed.

    >>> default_weights("timm:resnet18"), default_weights("vggish")
    ('timm:resnet18', None)
    """
    if backbone is None or width != 1 or batch_norm:
        return None
    if backbone.partition(":")[0] in FAMILIES:
        return backbone
    return str(packaged_weights()) if backbone == "dlib_face" else None


def load_weights(model: "TraitRegressor", source: str, sha256: str | None = None) -> list[str]:
    """Load a model's backbone from a file, and its fully connected layers up to the first that does not fit.

    The last linear layer stays as initialised. After an error the model is unchanged.

    Args:
        model: The model.
        source: A path, or a URL. Downloads are kept in the cache of `torch.hub`. Or the backbone's own name, if it is
            that of a family (`timm:resnet18`): its library fetches the weights.
        sha256: The checksum that the file must have, 64 hexadecimal digits.

    Returns:
        The names of the loaded layers in the file.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: The file cannot be downloaded.
        ValueError: The file has another checksum, cannot be read, or belongs to another network.
    """
    for layer in model.backbone.modules():
        if isinstance(layer, PublishedNetwork):
            return _load_network(layer, source, sha256)
    path = _fetch(source, sha256)
    found = read_weights(path)
    wanted = {name.split(".")[-1]: dict(layer.state_dict()) for name, layer in model.backbone.named_modules()}
    wanted = {name: tensors for name, tensors in wanted.items() if name.startswith(CONVOLUTIONAL) and tensors}
    _check_backbone(path, {name: tensors for name, tensors in found.items() if name.startswith(CONVOLUTIONAL)}, wanted)

    head = {name: layer for name, layer in model.head.named_modules() if isinstance(layer, nn.Linear)}
    left = [f"head.{name}" for name in head]
    connected = [name for name in found if not name.startswith(CONVOLUTIONAL)]
    for layer, name in zip([layer for layer in head if layer.startswith("pool.")], connected, strict=False):
        tensors = dict(head[layer].state_dict())
        if _shapes(found[name]) != _shapes(tensors):
            break  # layers after one with new weights need new weights, too
        wanted[name] = tensors
        left.remove(f"head.{layer}")

    for name, tensors in wanted.items():
        for kind, tensor in tensors.items():
            tensor.copy_(found[name][kind])
    logger.info("Took %s from %s; left as initialised: %s", ", ".join(wanted), path, ", ".join(left))
    return list(wanted)


def _load_network(layer: PublishedNetwork, source: str, sha256: str | None) -> list[str]:
    """Load the network of another library: from a checkpoint of this package, or as the library does."""
    if source == layer.name and sha256:
        raise ValueError(
            f"Got a checksum for the weights of {source}, which the library fetches: expected it for a file. Set "
            "model.weights to a path, or leave model.sha256 unset."
        )
    path = None if source == layer.name else _fetch(source, sha256)
    state = _read_checkpoint(path) if path and zipfile.is_zipfile(path) else {}
    try:
        layer.network.load_state_dict(state or layer.published(path))
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]  # PyTorch lists all tensors
        raise ValueError(
            f"{path} is a checkpoint of another network: {reason}. Choose its own with model.backbone, or another file "
            "with model.weights."
        ) from error
    logger.info("Took the backbone from %s; left as initialised: the head", source)
    return list(layer.network.state_dict())


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Return the network of another library in a checkpoint of this package; nothing for another file."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, UnpicklingError):
        return {}
    own = (key.partition("network.network.") for key in content.get("state_dict", ()) if key.startswith("backbone."))
    return {name: content["state_dict"][start + cut + name] for start, cut, name in own if cut}


def _check_backbone(path: Path, found: Layers, wanted: Layers) -> None:
    """Raise an error for the weights of another network."""
    got, expected = ([name for name in layers if name.startswith("conv")] for layers in (found, wanted))
    if set(got) != set(expected):
        raise ValueError(
            f"{path} has the convolutions {', '.join(got) or 'none'}; expected {', '.join(expected) or 'none'}. "
            "It belongs to another network: choose its own with model.backbone, or another file with model.weights."
        )
    if found.keys() != wanted.keys():
        normalised = len(found) > len(got)
        raise ValueError(
            f"{path} has a backbone {'with' if normalised else 'without'} batch normalisation; expected one "
            f"{'without' if normalised else 'with'}. Set model.batch_norm={str(normalised).lower()}."
        )
    for name, tensors in wanted.items():
        if _shapes(found[name]) != _shapes(tensors):
            raise ValueError(
                f"{path} has the layer {name} with {_shapes(found[name])}; expected {_shapes(tensors)}. Set "
                "model.width=1 for published weights, or to the width of the checkpoint's run. VGGish has inputs of 1 "
                "channel, dlib_face and VGG-Face of 3."
            )


def _shapes(tensors: dict[str, Tensor]) -> str:
    return ", ".join(f"{kind} {tuple(tensor.shape)}" for kind, tensor in sorted(tensors.items()))


def _fetch(source: str, sha256: str | None) -> Path:
    """Download a URL, unless it is in the cache, and check the file."""
    remote = "://" in source
    if remote:
        name = f"{hashlib.sha256(source.encode()).hexdigest()[:8]}-{Path(urlsplit(source).path).name}"
        path = Path(torch.hub.get_dir(), "checkpoints", name)
        if not path.is_file():
            logger.info("Downloading %s to %s", source, path)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(source, str(path), progress=False)
            except (OSError, HTTPException) as error:
                raise ConnectionError(
                    f"{source} cannot be downloaded: {error}. Expected the address of a weight file; check it and the "
                    "connection, or download the file elsewhere and set model.weights to its path."
                ) from error
    else:
        path = Path(source).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist. Expected a weight file or a URL; check model.weights.")
    if sha256:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != sha256.lower():
            if remote:
                path.unlink(missing_ok=True)
            raise ValueError(
                f"{source} has the SHA-256 checksum {digest}, expected {sha256}: it is damaged or another file. "
                "Fetch it again, or correct model.sha256."
            )
    return path
