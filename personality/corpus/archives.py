"""Files in zip archives, and in archives within archives, read without unpacking the archive.

Time to open a clip of 2.5 MB on one core:

    in an archive that another one stores uncompressed    5 ms
    encrypted by AES                                      30 ms
    encrypted by ZipCrypto, the older method              2 s: Python decrypts 1.2 MB a second

An archive that is itself compressed or encrypted within another cannot be read in place: it is unpacked first.
"""

import io
import logging
import lzma
import os
import re
import shutil
import stat
import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, NamedTuple

import pyzipper

from personality.atomic import atomic_write

log = logging.getLogger(__name__)

PASSWORDS = ("PERSONALITY_PASSWORD_OUTER", "PERSONALITY_PASSWORD_INNER")
"""Environment variables: the password of encrypted archives, and that of encrypted archives within archives."""
LARGEST = 2**30  # bytes of a file, which is read into memory; a clip has a few million
DAMAGE = (pyzipper.BadZipFile, zlib.error, lzma.LZMAError, EOFError, struct.error, ValueError, RuntimeError)


class Archive(NamedTuple):
    """A zip file, or the part of another zip file that is one."""

    file: str
    start: int
    size: int
    """Position and size in `file`, in bytes."""
    name: str
    """Name for messages: `/data/train-1.zip/training80_01.zip`."""
    inner: bool
    """Whether it is within another archive."""

    @classmethod
    def at(cls, path: Path) -> "Archive":
        """Return the archive that is a file."""
        return cls(str(path), 0, path.stat().st_size, str(path), inner=False)

    @contextmanager
    def contents(self) -> Iterator[Any]:
        """Open it and read its table of contents."""
        with Path(self.file).open("rb") as file:
            part = io.BufferedReader(_Part(file, self.start, self.size))
            with pyzipper.AESZipFile(part) as contents:
                yield contents

    def members(
        self, suffixes: Collection[str], scratch: Callable[[], Path], left_out: list[str]
    ) -> Iterator["Member"]:
        """List the files, also those in archives within this one.

        Args:
            suffixes: Suffixes of the files, such as ".mp4".
            scratch: Makes a folder for archives that cannot be read in place.
            left_out: Gets a line for each file or archive that is locked, damaged or unsafe, with the reason.

        Raises:
            PermissionError: A password is wrong. An archive whose password is missing is left out.
        """
        with _skip_damaged(self.name, left_out), self.contents() as contents:
            entries = {_path(entry): entry for entry in contents.NameToInfo.values() if not entry.is_dir()}
            files = {path: entry for path, entry in entries.items() if _is_one_of(path, suffixes)}
            archives = [] if self.inner else [entry for path, entry in entries.items() if _is_one_of(path, [".zip"])]
            self._check_password(contents, [*files.values(), *archives])
            for path, entry in files.items():
                if reason := _unsafe(path, entry):
                    left_out.append(f"{self.name}/{entry.filename}: {reason}")
                else:
                    yield Member(self, entry.filename, entry.file_size)
            for entry in archives:
                name = f"{self.name}/{entry.filename}"
                with _skip_damaged(name, left_out):
                    yield from self._within(contents, entry, name, scratch).members(suffixes, scratch, left_out)

    def unpack(self, contents: Any, entry: Any, target: BinaryIO) -> None:
        """Write a file's bytes with the right password. One in 256 wrong ones is detected only at the end."""
        failure: Exception = ValueError(f"{self._variable} is not set")
        for password in self._passwords(entry):
            target.seek(0)
            target.truncate()
            try:
                with contents.open(entry, pwd=password) as stream:
                    shutil.copyfileobj(stream, target, 2**20)
                if target.tell() != entry.file_size:
                    raise EOFError(f"it has {target.tell()} bytes instead of {entry.file_size}")
            except DAMAGE as error:
                failure = error
            else:
                return
        raise failure

    @property
    def _variable(self) -> str:
        return PASSWORDS[self.inner]

    def _passwords(self, entry: Any) -> list[bytes | None]:
        """Return the passwords to try, the likelier one first: an inner archive may have been unpacked before."""
        if not entry.flag_bits & 1:
            return [None]
        variables = dict.fromkeys([self._variable, *PASSWORDS])
        return [os.environ[variable].encode() for variable in variables if os.environ.get(variable)]

    def _check_password(self, contents: Any, entries: list[Any]) -> None:
        """Try the passwords on a few files, since ZipCrypto accepts one in 256 wrong ones."""
        for entry in [entry for entry in entries if entry.flag_bits & 1][:3]:
            failure: Exception | None = None
            for password in self._passwords(entry):
                try:
                    contents.open(entry, pwd=password).close()
                except RuntimeError as error:
                    failure = error
                else:
                    break
            else:
                if not os.environ.get(self._variable):
                    raise ValueError(f"it is encrypted; set the environment variable {self._variable} to its password")
                raise PermissionError(
                    f"Got a password in the environment variable {self._variable} that does not open {self.name}. "
                    "Expected the one that the organisers gave for it; correct it, or unset it to skip the archive."
                ) from failure

    def _within(self, contents: Any, entry: Any, name: str, scratch: Callable[[], Path]) -> "Archive":
        """Return an archive within this one, unpacked if it cannot be read in place."""
        if entry.compress_type == pyzipper.ZIP_STORED and not entry.flag_bits & 1:
            with Path(self.file).open("rb") as file, _Part(file, self.start, self.size) as part:
                part.seek(entry.header_offset)
                lengths = struct.unpack("<26xHH", part.read(30))  # of the name and the extra field that follow
            start = self.start + entry.header_offset + 30 + sum(lengths)
            return Archive(self.file, start, entry.file_size, name, inner=True)
        identity = f"{name} {self.size} {entry.header_offset} {entry.compress_size}"
        folder = scratch()
        path = folder / f"{zlib.crc32(identity.encode()):08x}.zip"
        if not path.exists():
            free = shutil.disk_usage(folder).free
            if entry.file_size > free:
                raise ValueError(
                    f"it needs {entry.file_size / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} are free"
                )
            log.info("Unpacking %s, which cannot be read in place: %.1f MB", name, entry.file_size / 1e6)
            with atomic_write(path) as part_path, part_path.open("w+b") as target:
                self.unpack(contents, entry, target)
        return Archive(str(path), 0, entry.file_size, name, inner=True)


class Member(NamedTuple):
    """A file in an archive. It can be pickled and opened in another process."""

    archive: Archive
    name: str
    size: int
    """Unpacked, in bytes."""

    def open(self) -> BinaryIO:
        """Unpack it into memory."""
        content = io.BytesIO()
        try:
            with self.archive.contents() as contents:
                self.archive.unpack(contents, contents.getinfo(self.name), content)
        except (*DAMAGE, KeyError) as error:
            raise ValueError(
                f"{self} cannot be unpacked: {error}. Expected a whole archive, and in {' and '.join(PASSWORDS)} its "
                "passwords if it is encrypted; fetch the archive again."
            ) from error
        content.seek(0)
        return content

    def __str__(self) -> str:
        return f"{self.archive.name}/{self.name}"


class _Part(io.RawIOBase):
    """A part of a file, readable as a file."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self.file, self.start, self.size, self.position = file, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        position = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.size}[whence]
        if position < 0:
            raise ValueError("it points to a position before its beginning")
        self.position = position
        return position

    def readinto(self, buffer: Any) -> int:
        self.file.seek(self.start + self.position)
        content = self.file.read(max(0, min(len(buffer), self.size - self.position)))
        buffer[: len(content)] = content
        self.position += len(content)
        return len(content)


@contextmanager
def _skip_damaged(name: str, left_out: list[str]) -> Iterator[None]:
    """Add an archive that cannot be read to those left out."""
    try:
        yield
    except DAMAGE as error:
        left_out.append(f"{name}: {error}")


def _path(entry: Any) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))  # some programs for Windows write these


def _is_one_of(path: PurePosixPath, suffixes: Collection[str]) -> bool:
    return path.suffix.lower() in suffixes and not path.name.startswith("._")  # macOS puts these beside files


def _unsafe(path: PurePosixPath, entry: Any) -> str:
    """Return why a file must not be unpacked, or an empty string."""
    if path.is_absolute() or ".." in path.parts or re.match("[A-Za-z]:", entry.filename):
        return "its path leads out of the archive"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link"
    if entry.file_size > LARGEST:
        return f"it claims {entry.file_size / 1e9:.1f} GB"
    return ""
