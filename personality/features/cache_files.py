"""How a cache of features is written: rows, checksums, and files that are created once."""

import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

Extract = Callable[[Any], Mapping[str, np.ndarray]]
"""Computes `inputs`, (segments, channels, *space), and the extra arrays from a clip's source."""

STATUS = [("reason", "S400"), ("checksum", "<u4"), ("segments", "<i4")]
"""The last fields of the index. A clip is missing while `segments` is negative, also after half of that number is
written, since the byte with the sign comes last."""


def compute_clip(folder: Path, extract: Extract, row: int, source: Any) -> None:
    """Compute a clip and write it. An error of `extract` is written as the reason; an error of writing is raised."""
    try:
        features = extract(source)
    except Exception as error:
        message = " ".join(str(error).split())  # a file name may contain a line break
        write_clip(folder, row, reason=f"{type(error).__name__}: {message}")
    else:
        write_clip(folder, row, features)


def write_clip(folder: Path, row: int, features: Mapping[str, np.ndarray] | None = None, reason: str = "") -> None:
    """Write a clip's features, padded with zeros, or the reason of its failure; then its row of the index."""
    inputs, index = (open_memmap(folder / f"{name}.npy", "r") for name in ("inputs", "index"))
    values, entry = np.zeros(inputs.shape[1:], inputs.dtype), np.zeros((), index.dtype)
    if features is not None:
        targets = {"inputs": values, **{name: entry[name] for name, *_ in index.dtype.descr[: -len(STATUS)]}}
        if features.keys() != targets.keys():
            raise ValueError(
                f"Got {[*features]} from extract: expected {[*targets]}; give the cache the same extra_arrays."
            )
        for name, target in targets.items():
            _copy_padded(name, features[name], target)
        entry["segments"] = len(features["inputs"])
        if not entry["segments"] or not np.isfinite(values).all():
            problem = "numbers that are not finite" if entry["segments"] else "no segment"
            write_clip(folder, row, reason=f"ValueError: its features have {problem}")
            return
    entry["reason"] = _shorten(reason, entry["reason"].itemsize)
    entry["checksum"] = checksum(values, entry)
    write_row(inputs, row, values)
    write_row(index, row, entry)


def _shorten(reason: str, size: int) -> bytes:
    """Encode a text in at most `size` bytes. The middle is cut, since it may begin with a long path."""
    encoded = reason.encode(errors="replace")
    if len(encoded) <= size:
        return encoded
    start, end = encoded[: size * 3 // 8 - 5], encoded[-(size * 5 // 8) :]
    return b" ... ".join(part.decode(errors="ignore").encode() for part in (start, end))


def _copy_padded(name: str, array: np.ndarray, target: np.ndarray) -> None:
    """Copy an array to a target of zeros that may be longer on the first axis."""
    fits = array.ndim == target.ndim and array.shape[:1] <= target.shape[:1] and array.shape[1:] == target.shape[1:]
    if array.dtype != target.dtype or not fits:
        raise ValueError(
            f"Got {name} from extract as {array.dtype} {array.shape}: expected {target.dtype} {target.shape}, or fewer "
            "on the first axis; correct extract, or make the cache for what it returns."
        )
    target[tuple(map(slice, array.shape))] = array


def checksum(inputs: np.ndarray, entry: Any) -> int:
    """Return the CRC-32 of a clip's inputs and its row of the index, without the checksum itself."""
    entry = entry.copy()
    entry["checksum"] = 0
    return zlib.crc32(entry.tobytes(), zlib.crc32(inputs.data))


def write_row(array: np.memmap, row: int, value: np.ndarray) -> None:
    """Write one row of an array to its file. Writing to the memory map would crash the process on a full disk.

    The file is opened write-only: otherwise a network file system may read the page around the row and later overwrite
    rows of other machines. It is closed each time, since such a file system may only then report a full disk.
    """
    path = Path(str(array.filename))
    with explain_write_error(path), os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
        file.seek(array.offset + row * value.nbytes)
        file.write(value.data)


@contextmanager
def explain_write_error(path: Path, need: str = "with free space") -> Generator[None]:
    """Add to an error of writing what to do."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"Features cannot be written to {path}: {error.strerror or error}. Expected a folder to write to, {need}: "
            "free space or choose another folder, then start again; clips that are computed stay.",
        ) from error


def create_once(target: Path, make: Callable[[Path], None]) -> None:
    """Create a file or folder atomically; if several processes or machines do, the first one's stays.

    Unlike `atomic_write` it never replaces, and it removes what processes that were killed left behind.
    """
    if not target.exists():
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent), target.name)
        try:
            make(part)
            part.rename(target)
        except OSError:
            if not target.exists():
                raise
        finally:
            shutil.rmtree(part.parent, ignore_errors=True)
    for leftover in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(leftover, ignore_errors=True)
