"""Safe reading of pickles of labels and transcripts: no code in them can run."""

import io
import pickle
import pickletools
import re
from typing import Any

import numpy as np

SCALAR = re.compile(r"[<>=|]?(b1|f[248]|[iu][1248]|[SU]\d{1,6})")
"""Codes of the NumPy types that a label or a name can have: not objects, records or arrays."""


def unpickle(content: bytes, path: object, what: str) -> Any:
    """Read the dicts, strings and numbers of a pickle, of any protocol, Python 2 or 3 and NumPy 1 or 2.

    A pickle can call any function of any installed package by its name. Only the names in `ALLOWED` are accepted, and
    each is replaced by a function of this file that builds plain data.

    Args:
        content: The bytes of the file.
        path: The name of the file in an error.
        what: The expected content, a noun first, such as "labels in an official pickle".

    Returns:
        Dicts, lists, tuples, strings, bytes and numbers. NumPy's numbers and strings become Python's. Byte strings of
        Python 2 become strings, decoded as Latin-1.

    Raises:
        ValueError: The file is not a pickle, is truncated, or contains another name, which has not been called.

    Example:
        >>> unpickle(pickle.dumps({"openness": {"a.000.mp4": np.float32(0.5)}}), "labels.pkl", "labels")
        {'openness': {'a.000.mp4': 0.5}}
    """
    remedy = "fetch the file again from where it was published"
    try:
        _refuse_large_memo(content)
        return _DataUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a file that is not a complete pickle can raise any error
        if isinstance(error, _ForbiddenNameError) and error.package in ("numpy", "pandas"):
            remedy = (
                "ask its author for a csv file, written with "
                "pandas.DataFrame(labels).to_csv('labels.csv', index_label='clip')"
            )
        noun = what.partition(" ")[0]
        raise ValueError(f"{path} cannot be read as {noun}: {error}. Expected {what}; {remedy}.") from error


class _ForbiddenNameError(pickle.UnpicklingError):
    """A pickle contains a name that is not in `ALLOWED`."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__(f"it asks for {module}.{name}, and labels need only dicts, strings and numbers")
        self.package = module.partition(".")[0]


class _DataUnpickler(pickle.Unpickler):
    """Raises for each name that is not in `ALLOWED`, without importing its package."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[f"{module}.{name}"]
        except KeyError:
            raise _ForbiddenNameError(module, name) from None


class _Type:
    """Replaces `numpy.dtype`: its code and, set afterwards, its byte order."""

    def __init__(self, code: str, align: bool = False, copy: bool = False) -> None:
        self.code, self.order = code, "="

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]


def _scalar(kind: _Type, content: bytes | str) -> float | str | bytes:
    """Replaces `numpy._core.multiarray.scalar`, for the types of `SCALAR` only."""
    if not SCALAR.fullmatch(kind.code):
        raise pickle.UnpicklingError(f"it holds a NumPy value of type {kind.code}, and labels need numbers")
    raw = content.encode("latin1") if isinstance(content, str) else content
    dtype = np.dtype(kind.code).newbyteorder(kind.order)  # type: ignore[arg-type]
    if len(raw) != dtype.itemsize:
        raise pickle.UnpicklingError(f"it holds a NumPy value of {len(raw)} bytes instead of {dtype.itemsize}")
    return np.frombuffer(raw, dtype)[0].item()


def _encode(text: str, encoding: str) -> bytes:
    """Replaces `codecs.encode`, by which Python 3 writes bytes for Python 2, always in Latin-1."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}, and labels need only latin1")
    return text.encode("latin1")


def _dict_without_default(factory: None) -> dict:
    """Replaces `defaultdict`; the default is not needed."""
    return {}


ALLOWED: dict[str, Any] = {
    "numpy.dtype": _Type,
    "numpy.core.multiarray.scalar": _scalar,
    "numpy._core.multiarray.scalar": _scalar,
    "_codecs.encode": _encode,
    "collections.OrderedDict": dict,
    "collections.defaultdict": _dict_without_default,
    **{f"{module}.{name}": None for module in ("builtins", "__builtin__") for name in ("dict", "float", "int", "list")},
    **{f"numpy.{name}": None for name in ("float16", "float32", "float64", "int32", "int64")},
}
"""All names that a pickle may contain, with their replacements. Types that are the default of a `defaultdict` become
None, which cannot be called: some of them could fill the memory."""


def _refuse_large_memo(content: bytes) -> None:
    """Raise if a few bytes would make the unpickler allocate gigabytes."""
    for operation, argument, _ in pickletools.genops(content):
        if operation.name in ("PUT", "LONG_BINPUT") and (argument or 0) > len(content):
            raise pickle.UnpicklingError(f"it numbers an object {argument} in a file of {len(content)} bytes")
