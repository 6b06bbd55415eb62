"""Weights to start from: published ones, or those of an earlier run.

A file is known by its content, not by its name:

- VGG-Face: MatConvNet's `vgg-face.mat`, or its port to PyTorch, `vgg_face_dag.pth`.
- VGGish: the `.pth` of torchvggish or of torchaudio, or an `.npz` of TensorFlow's variables. The latter is what Hayat
  et al. 2019 saved (`cnn/conv1/weights:0`, ...), and where TensorFlow is installed the release becomes one by

      checkpoint = tf.train.load_checkpoint("vggish_model.ckpt")
      np.savez("vggish.npz", **{name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()})

- A checkpoint of our own: a CAM CNN or a DAN starts from the convolutions of a trained regular CNN.

Whatever it is, it is read as data, and nothing in it runs. Published weights have no batch normalisation.
"""

import hashlib
import logging
import zipfile
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor, nn

logger = logging.getLogger(__name__)

Layers = dict[str, dict[str, Tensor]]
"""Layer by layer what it learnt (`weight`, `bias`, ...), in the order in which an input meets them."""

TRUNK = ("conv", "norm")  # how the names of a backbone's layers begin; the others are fully connected
VGGISH = {"0": "conv1", "3": "conv2", "6": "conv3_1", "8": "conv3_2", "11": "conv4_1", "13": "conv4_2"}
LEARNT = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def load_weights(model: Any, source: str, sha256: str | None = None) -> list[str]:
    """Fill a model's backbone from a file, and as many of its fully connected layers as fit, beginning with the first.

    The layer that makes the scores stays as it is. Either all is taken or, after an error, nothing.

    Args:
        model: The model.
        source: A path, or a URL whose file is kept in the cache of `torch.hub`.
        sha256: The checksum that the file must have, 64 hexadecimal digits.

    Returns:
        The names of the layers taken, as the file has them.

    Raises:
        FileNotFoundError: There is no such file.
        ConnectionError: The file cannot be downloaded.
        ValueError: The file has another checksum, cannot be read, or belongs to another network.
    """
    path = _fetch(source, sha256)
    found = read_weights(path)
    wanted = {name.split(".")[-1]: dict(layer.state_dict()) for name, layer in model.backbone.named_modules()}
    wanted = {name: tensors for name, tensors in wanted.items() if name.startswith(TRUNK)}
    _check_backbone(path, {name: tensors for name, tensors in found.items() if name.startswith(TRUNK)}, wanted)

    head = {name: layer for name, layer in model.head.named_modules() if isinstance(layer, nn.Linear)}
    left = [f"head.{name}" for name in head]
    connected = [name for name in found if not name.startswith(TRUNK)]
    for place, name in zip([place for place in head if place.startswith("pool.")], connected, strict=False):
        tensors = dict(head[place].state_dict())
        if _shapes(found[name]) != _shapes(tensors):
            break  # what stands behind a layer that has to be learnt anew has to be learnt anew itself
        wanted[name] = tensors
        left.remove(f"head.{place}")

    for name, tensors in wanted.items():
        for kind, tensor in tensors.items():
            tensor.copy_(found[name][kind])
    logger.info("Took %s from %s; left as initialised: %s", ", ".join(wanted), path, ", ".join(left))
    return list(wanted)


def read_weights(path: Path) -> Layers:
    """Read a file of any of the formats above as PyTorch arranges weights.

    Layers of the backbone bear the names of `personality.models.backbones` (`conv1_1`, `norm1_1`), fully connected ones
    those of the file.

    Raises:
        ValueError: The file is damaged, unsafe or of a format that is not known.
    """
    with path.open("rb") as file:
        start = file.read(10)
    if start.startswith((b"MATLAB 7.3", b"\x89HDF")):
        raise ValueError(
            f"{path} is an HDF5 file, MATLAB's format 7.3. Expected format 5 or 7: in MATLAB, "
            "`net = load(FILE); save(OTHER_FILE, '-struct', 'net', '-v7')`, or take vgg_face_dag.pth."
        )
    try:
        if start.startswith(b"MATLAB"):
            return _read_matconvnet(path)
        if zipfile.is_zipfile(path) and any(name.endswith(".npy") for name in zipfile.ZipFile(path).namelist()):
            return _read_tensorflow(path)
        return _read_torch(path)
    except Exception as error:  # half a file, or a hostile one, can raise anything
        # PyTorch wraps its reason into advice to read the file unsafely, which is not passed on.
        words = " ".join(str(error).split("\n\n")[1:-1]).strip() or str(error) or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as weights: {words}. Expected vgg-face.mat, a PyTorch state dict or checkpoint, or "
            "TensorFlow's variables in an .npz; if it is one of these, delete it and fetch it again."
        ) from error


def _read_matconvnet(path: Path) -> Layers:
    content = loadmat(path, simplify_cells=True)
    layers = content.get("net", content)["layers"]
    return _transposed({layer["name"]: tuple(layer["weights"]) for layer in layers if len(layer.get("weights", ()))})


def _read_tensorflow(path: Path) -> Layers:
    layers = {}
    with np.load(path, allow_pickle=False) as variables:
        for name in sorted(variables):
            *scope, kind = name.split(":")[0].split("/")
            if kind == "weights":  # not what an optimiser keeps beside them
                layers[scope[-1]] = variables[name], variables[name.replace("/weights", "/biases")]
    return _transposed(layers)


def _read_torch(path: Path) -> Layers:
    content = torch.load(path, map_location="cpu", weights_only=True)
    layers: Layers = {}
    for key, tensor in content.get("state_dict", content).items():
        name, _, kind = key.rpartition(".")
        part, _, layer = name.rpartition(".")
        if part in ("features", "features_network"):
            layer = VGGISH.get(layer, layer)
        if name and kind in LEARNT and isinstance(tensor, Tensor):
            layers.setdefault(layer if layer.startswith(TRUNK) else name, {})[kind] = tensor
    return _channels_first(layers) if any(name.startswith("embedding") for name in layers) else layers


def _transposed(layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> Layers:
    """Bring kernels `(height, width, in, out)` and matrices `(in, out)` into PyTorch's order.

    MatConvNet's fully connected layers are kernels as large as the maps, which is a matrix once flattened. Its reader
    drops dimensions of size 1, so the number of biases tells how many outputs a layer has.
    """
    transposed = {}
    for name, (kernel, bias) in layers.items():
        outputs = np.size(bias)
        if name.startswith("conv"):
            weight = kernel.reshape(*kernel.shape[:2], -1, outputs).transpose(3, 2, 0, 1)
        else:
            weight = kernel.reshape(-1, outputs).T
        transposed[name] = {
            "weight": torch.from_numpy(np.ascontiguousarray(weight, np.float32)),
            "bias": torch.from_numpy(np.array(bias, np.float32).reshape(outputs)),
        }
    return _channels_first(transposed)


def _channels_first(layers: Layers) -> Layers:
    """Let the first fully connected layer take maps flattened as (channels, height, width), no longer channels last."""
    channels = 1
    for name, tensors in layers.items():
        if not name.startswith(TRUNK):
            tensors["weight"] = tensors["weight"].unflatten(1, (-1, channels)).transpose(1, 2).flatten(1)
            break
        channels = len(tensors["weight"])
    return layers


def _check_backbone(path: Path, found: Layers, wanted: Layers) -> None:
    """Refuse the weights of another network."""
    got, expected = ([name for name in layers if name.startswith("conv")] for layers in (found, wanted))
    if set(got) != set(expected):
        raise ValueError(
            f"{path} holds the convolutions {', '.join(got) or 'none'}; expected {', '.join(expected) or 'none'}. "
            "It belongs to another network: choose its own with model.backbone, or another file with model.weights."
        )
    if found.keys() != wanted.keys():
        normalised = len(found) > len(got)
        raise ValueError(
            f"{path} holds a backbone {'with' if normalised else 'without'} batch normalisation; expected one "
            f"{'without' if normalised else 'with'}. Set model.batch_norm={str(normalised).lower()}."
        )
    for name, tensors in wanted.items():
        if _shapes(found[name]) != _shapes(tensors):
            raise ValueError(
                f"{path} holds the layer {name} with {_shapes(found[name])}; expected {_shapes(tensors)}. Set "
                "model.width=1 for published weights, or to the width of the run whose checkpoint this is, and mind "
                "that VGGish takes inputs of 1 channel and VGG-Face of 3."
            )


def _shapes(tensors: dict[str, Tensor]) -> str:
    return ", ".join(f"{kind} {tuple(tensor.shape)}" for kind, tensor in sorted(tensors.items()))


def _fetch(source: str, sha256: str | None) -> Path:
    """Download what is a URL, unless that was done before, and check the file."""
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
