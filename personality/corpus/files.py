"""All files of a data set below a folder: as they lie there, or within archives, from which they can be taken out."""

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
from typing import BinaryIO

from tqdm import tqdm

from personality.corpus.archives import Archive, Member
from personality.features.media import Excerpt

if sys.platform != "win32":
    import fcntl

log = logging.getLogger(__name__)

SCRATCH = "personality-archives-"
File = Path | Member
"""A file on the disk, or in an archive."""


def find_files(root: Path, suffixes: Collection[str], kept: Path | None = None) -> list[File]:
    """List the files of some kinds below a folder, those that lie in the open first.

    A warning names each archive that is left out, and why. Archives within archives are unpacked where they cannot be
    read in place (see `archives`): to a temporary folder that goes when this process ends.

    Args:
        root: The folder.
        suffixes: The kinds, such as ".mp4".
        kept: Where `keep_files` has put what lay in archives.
    """
    folders = [root] if kept is None else [root, kept]
    files: list[File] = [*dict.fromkeys(path for folder in folders for path in list_files(folder, suffixes))]
    left_out: list[str] = []
    for path in list_files(root, [".zip"]):
        if kept is None or not _mark(path, kept).exists():
            files += Archive.at(path).members(suffixes, _scratch, left_out)
    for reason in left_out:
        log.warning("Left out: %s", reason)
    return files


def list_files(root: Path, suffixes: Collection[str] | None = None) -> Iterator[Path]:
    """List the files of some kinds, or all, that lie in the open, in the order of their names; hidden ones left out."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and (suffixes is None or Path(name).suffix.lower() in suffixes):
                yield Path(folder, name)


def keep_files(root: Path, suffixes: Collection[str], folder: Path) -> None:
    """Take the files of some kinds out of all archives below a folder: once, and where it was stopped it goes on.

    A file appears whole or not at all, under its own name and no other: no path in an archive decides where it lies.

    Args:
        root: The folder.
        suffixes: The kinds, such as ".mp4".
        folder: Where the files go, all side by side. It needs room for them, and for the largest archive besides.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for part in folder.glob(".*.part"):  # of a process that was killed
        part.unlink()
    scratch = folder / ".unpacked"
    for path in list_files(root, [".zip"]):
        if _mark(path, folder).exists():
            continue
        scratch.mkdir(exist_ok=True)
        left_out: list[str] = []
        members = Archive.at(path).members(suffixes, lambda: scratch, left_out)
        for member in tqdm(members, f"Unpacking {path.name}", unit="file"):
            try:
                _keep(member, folder)
            except ValueError as error:
                left_out.append(str(error))
        if not left_out:
            _mark(path, folder).touch()
        shutil.rmtree(scratch)


def open_file(file: File) -> BinaryIO:
    """Open a file for reading, wherever it lies."""
    return file.open() if isinstance(file, Member) else file.open("rb")


def base_name(file: File) -> str:
    """Name a file without its folders.

    >>> base_name(Path("training80_01/-Ab_x9-7kQz.000.mp4"))
    '-Ab_x9-7kQz.000.mp4'
    """
    return file.name.replace("\\", "/").rpartition("/")[-1]


def file_size(file: File | Excerpt | str) -> int:
    """Count the bytes of a file, or of all files in a folder; 0 where there is none."""
    if isinstance(file, Member):
        return file.size
    path = Path(file.path if isinstance(file, Excerpt) else file)
    if path.is_dir():
        return sum(entry.stat().st_size for entry in path.iterdir())
    return path.stat().st_size if path.exists() else 0


def _mark(archive: Path, folder: Path) -> Path:
    """Name the empty file that says that all of an archive has been kept."""
    return folder / f".{archive.parent.name}.{archive.name}.{archive.stat().st_size}.kept"


def _keep(member: Member, folder: Path) -> None:
    target = folder / base_name(member)
    if not target.exists() or target.stat().st_size != member.size:
        part = folder / f".{os.getpid()}.part"
        with part.open("wb") as file:
            shutil.copyfileobj(member.open(), file)
        part.replace(target)


@cache
def _scratch() -> Path:
    """Make a temporary folder that goes with this process; if that is killed, the next one sees to it."""
    folder = Path(tempfile.mkdtemp(prefix=SCRATCH))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if sys.platform != "win32":
        claim = fcntl.LOCK_EX | fcntl.LOCK_NB
        fcntl.flock(os.open(folder / "in use", os.O_CREAT), claim)  # until the process ends, however it ends
        for old in folder.parent.glob(f"{SCRATCH}*"):
            with suppress(OSError), (old / "in use").open() as file:
                fcntl.flock(file, claim)
                shutil.rmtree(old)
    return folder
