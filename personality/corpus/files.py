"""The files of a data set below a folder: unpacked, or in archives, from which they can be unpacked."""

import atexit
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from personality.atomic import atomic_write
from personality.corpus.archives import Archive, Member
from personality.features.media import Excerpt
from personality.progress import progress

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

SCRATCH = "personality-archives-"
File = Path | Member
"""A file on disk, or in an archive."""


def find_files(root: Path, suffixes: Collection[str], kept: Path | None = None) -> list[File]:
    """List the files below a folder, first the unpacked ones, then those in archives.

    A warning names each archive that cannot be read, and why. Archives within archives that cannot be read in place
    (see `archives`) are unpacked to a temporary folder, which is removed when this process ends.

    Args:
        root: The folder.
        suffixes: Suffixes of the files, such as ".mp4".
        kept: The folder to which `keep_files` has unpacked archives.
    """
    folders = [root] if kept is None else [root, kept]
    files: list[File] = [*dict.fromkeys(path for folder in folders for path in list_files(folder, suffixes))]
    left_out: list[str] = []
    for path in list_files(root, [".zip"]):
        if kept is None or not _marker(path, kept).exists():
            files += Archive.at(path).members(suffixes, _scratch, left_out)
    for reason in left_out:
        log.warning("Left out: %s", reason)
    return files


def list_files(root: Path, suffixes: Collection[str] | None = None) -> Iterator[Path]:
    """List the unpacked files below a folder in the order of their names, without hidden ones."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and (suffixes is None or Path(name).suffix.lower() in suffixes):
                yield Path(folder, name)


def keep_files(root: Path, suffixes: Collection[str], folder: Path) -> None:
    """Unpack files of all archives below a folder, once; a run that was stopped continues.

    Files are written atomically and without folders: paths in archives have no effect.

    Args:
        root: The folder.
        suffixes: Suffixes of the files, such as ".mp4".
        folder: The folder to unpack to. Its disk needs space for the files and for the largest archive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(".*.part"):  # of a process that was killed
        part.unlink()
    scratch = folder / ".unpacked"
    for path in list_files(root, [".zip"]):
        if _marker(path, folder).exists():
            continue
        scratch.mkdir(exist_ok=True)
        left_out: list[str] = []
        members = Archive.at(path).members(suffixes, lambda: scratch, left_out)
        for member in progress(members, f"Unpacking {path.name}", None, "files"):
            try:
                _unpack(member, folder)
            except ValueError as error:
                left_out.append(str(error))
        if not left_out:
            _marker(path, folder).touch()
        shutil.rmtree(scratch)


def base_name(file: File) -> str:
    """Return the name of a file without its folders.

    >>> base_name(Path("training80_01/-Ab_x9-7kQz.000.mp4"))
    '-Ab_x9-7kQz.000.mp4'
    """
    return file.name.replace("\\", "/").rpartition("/")[-1]


def file_size(file: File | Excerpt | str) -> int:
    """Return the size in bytes of a file, or of all files in a folder; 0 for a missing file."""
    if isinstance(file, Member):
        return file.size
    path = Path(file.path if isinstance(file, Excerpt) else file)
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.iterdir())
    return path.stat().st_size if path.exists() else 0


def _marker(archive: Path, folder: Path) -> Path:
    """Return the empty file that marks an archive as unpacked."""
    return folder / f".{archive.parent.name}.{archive.name}.{archive.stat().st_size}.kept"


def _unpack(member: Member, folder: Path) -> None:
    target = folder / base_name(member)
    if not target.exists() or target.stat().st_size != member.size:
        with atomic_write(target) as part, part.open("wb") as file:
            shutil.copyfileobj(member.open(), file)


@cache
def _scratch() -> Path:
    """Make a temporary folder that is removed when this process ends; after a kill, the next process removes it."""
    folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if sys.platform != "win32":
        lock = fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.flock(os.open(folder / "in use", os.O_CREAT), lock)  # until the process ends, in any way
        for old in folder.parent.glob(f"{SCRATCH}*"):
            with suppress(OSError), (old / "in use").open() as file:
                fcntl.flock(file, lock)
                shutil.rmtree(old)
    return folder
