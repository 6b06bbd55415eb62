"""Files of weights: published ones, or checkpoints of an earlier run.

The format of a file follows from its content, not from its name:

- VGG-Face: MatConvNet's `vgg-face.mat`, or its port to PyTorch, `vgg_face_dag.pth`.
- VGGish: the `.pth` of torchvggish or of torchaudio, or an `.npz` of TensorFlow's variables. Hayat et al. 2019
  saved the latter (`cnn/conv1/weights:0`, ...). TensorFlow converts the release to it:

      checkpoint = tf.train.load_checkpoint("vggish_model.ckpt")
      np.savez("vggish.npz", **{name: checkpoint.get_tensor(name) for name in checkpoint.get_variable_to_shape_map()})

- dlib's face recognition: its own `.dat`, or face-api's manifest (see `dlib_files`).
- A checkpoint of this package: a CAM CNN or a DAN can start from the convolutions of a trained regular CNN.

All of them are read as data: no code in a file runs. Published weights have no batch normalisation.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch
from scipy.io import loadmat
from torch import Tensor

from personality.models.dlib_files import Layers, read_dlib, read_face_api

CONVOLUTIONAL = ("conv", "norm")  # prefixes of the layers of a backbone; all others are fully connected
VGGISH = {"0": "conv1", "3": "conv2", "6": "conv3_1", "8": "conv3_2", "11": "conv4_1", "13": "conv4_2"}
LEARNT = {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"}


def read_weights(path: Path) -> Layers:
    """Read a file of any of the formats above, with the dimensions in PyTorch's order.

    Layers of the backbone have the names of `personality.models.backbones` (`conv1_1`, `norm1_1`), fully connected ones
    those in the file.

    Raises:
        FileNotFoundError: A manifest has no file of bytes beside it, or the other way round.
        ValueError: The file is damaged, unsafe or of an unknown format.
    """
    with path.open("rb") as file:
        start = file.read(10)
    if start.startswith((b"[", b"{")) or (path.suffix == ".bin" and not start.startswith((b"PK", b"\x80"))):
        return read_face_api(path)
    if start.startswith(b"\x01"):  # the version of dlib's file, an integer of one byte
        return read_dlib(path)
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
    except Exception as error:  # a damaged or hostile file can raise any exception
        # The first and last paragraph of PyTorch's message advise to read the file unsafely.
        reason = " ".join(str(error).split("\n\n")[1:-1]).strip() or str(error) or type(error).__name__
        raise ValueError(
            f"{path} cannot be read as weights: {reason}. Expected vgg-face.mat, a PyTorch state dict or checkpoint, "
            "dlib's .dat, or TensorFlow's variables in an .npz; if it is one of these, delete it and fetch it again."
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
            if kind == "weights":  # not an optimiser's state
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
            layers.setdefault(layer if layer.startswith(CONVOLUTIONAL) else name, {})[kind] = tensor
    return _channels_first(layers) if any(name.startswith("embedding") for name in layers) else layers


def _transposed(layers: dict[str, tuple[np.ndarray, np.ndarray]]) -> Layers:
    """Transpose kernels `(height, width, in, out)` and matrices `(in, out)` to PyTorch's order.

    MatConvNet's fully connected layers are kernels of the size of the maps, which are flattened to matrices. Its
    reader drops dimensions of size 1, so the number of outputs is taken from the biases.
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
    """Reorder the inputs of the first fully connected layer from (height, width, channels) to channels first."""
    channels = 1
    for name, tensors in layers.items():
        if not name.startswith(CONVOLUTIONAL):
            tensors["weight"] = tensors["weight"].unflatten(1, (-1, channels)).transpose(1, 2).flatten(1)
            break
        channels = len(tensors["weight"])
    return layers
