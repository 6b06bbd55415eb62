"""Atomic writes: a file or folder is complete, or not there at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside a file or folder to write to; rename it when the block ends without an error.

    After an error, the old file or folder is as it was. Both are on the same file system, where renaming is atomic.

    Args:
        path: What to write. Its folder exists.

    Yields:
        Where to write it.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with atomic_write(Path(folder, "scores.csv")) as part:
        ...         _ = part.write_text("clip,openness")
        ...     [file.name for file in Path(folder).iterdir()]
        ['scores.csv']
    """
    path = Path(path)
    part = path.with_name(f".{os.getpid()}.{path.name[-50:]}.part")  # a file name has at most 255 bytes
    try:
        yield part
        if path.is_dir():
            shutil.rmtree(path)
        part.replace(path)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        else:
            part.unlink(missing_ok=True)
