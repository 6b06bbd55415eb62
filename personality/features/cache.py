"""Features of a split, computed once: two arrays on disk, a row a clip, written by many processes without a lock.

    <folder>/<hash of cache.json>/
        cache.json     how the features were made, and of which clips
        inputs.npy     (clips, segments, channels, *space)
        ledger.npy     (clips,) records: the extra_arrays, why the clip failed, a checksum, how many segments it has
        failures.csv   the clips that are left out, and why; appears when no clip is missing

Three rules keep it whole, whenever and wherever a process is killed. A file or folder appears complete or not at all. A
clip's row is written before its record, and the record ends with the word that the clip is done. Whoever comes next
computes the clips that lack this word; computed twice, a clip has the same bytes, so nobody waits for anybody.
"""

import errno
import hashlib
import json
import logging
import math
import os
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap
from tqdm import tqdm

from personality.features.workers import computed

log = logging.getLogger(__name__)

Extract = Callable[[Any], Mapping[str, np.ndarray]]
"""From a clip's source to its `inputs`, (segments, channels, *space) and its extra arrays."""

MARKS = [("reason", "S400"), ("checksum", "<u4"), ("segments", "<i4")]
"""How a record ends. A clip is missing while `segments` is negative: so is half a number, for its sign comes last."""


class FeatureCache:
    """The features of a list of clips: computed by `fill`, then read as arrays that lie on disk.

    Args:
        folder: Where caches lie; this one is `cache.folder` within.
        parameters: All that the features depend on, in words of JSON. Other parameters, clips or shapes mean another
            cache: none is ever taken for what it is not.
        clips: The clips' names, in the order of the rows.
        row: `(segments, channels, *space)` of a clip.
        dtype: Of the inputs.
        extra_arrays: Shape and dtype of each further array that belongs to a clip.

    Example:
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache = FeatureCache(folder, {"scale": 2.0}, clips=["a.mp4", "b.mp4"], row=(3, 1, 4))
        ...     cache.fill(lambda source: {"inputs": np.full((2, 1, 4), source, "float32")}, [5, 6], processes=0)
        ...     cache.segments.tolist(), cache.inputs[1, :, 0, 0].tolist()
        ([2, 2], [6.0, 6.0, 0.0])
    """

    def __init__(
        self,
        folder: str | Path,
        parameters: Mapping[str, Any],
        clips: Sequence[str],
        row: Sequence[int],
        dtype: str = "float32",
        extra_arrays: Mapping[str, tuple[tuple[int, ...], str]] | None = None,
    ) -> None:
        if not len(clips):
            raise ValueError(f"Got no clips for the features in {folder}: expected at least one; is the split empty?")
        extra_arrays = dict(extra_arrays or {})
        self.clips, self.shape, self.dtype = list(clips), (len(clips), *row), np.dtype(dtype)
        self.record = np.dtype([(name, kind, shape) for name, (shape, kind) in extra_arrays.items()] + MARKS)
        try:
            parameters = json.loads(json.dumps(parameters, sort_keys=True))
        except TypeError as error:
            raise TypeError(
                f"Got the parameters {parameters}: {error}. Expected numbers, strings, lists and dicts, so that "
                "cache.json can say how the features were made."
            ) from error
        identity = {"parameters": parameters, "row": [*row], "dtype": self.dtype.name, "extra_arrays": extra_arrays}
        self.description = json.dumps({**identity, "clips": self.clips}, indent=1)
        self.folder = Path(folder) / hashlib.sha256(self.description.encode()).hexdigest()[:10]

    @cached_property
    def inputs(self) -> np.memmap:
        """`(clips, segments, channels, *space)`, read-only; zeros where a clip has fewer segments or has failed."""
        return self._open("inputs", self.shape, self.dtype)

    @cached_property
    def ledger(self) -> np.memmap:
        """`(clips,)` records, read-only; they change while processes of this machine go on filling the cache."""
        return self._open("ledger", self.shape[:1], self.record)

    @property
    def segments(self) -> np.ndarray:
        """`(clips,)` int32, how many segments are real: 0 for a clip that failed, negative for one that is missing."""
        return self.ledger["segments"]

    def extra(self, name: str) -> np.ndarray:
        """Read a further array of every clip, `(clips, *shape)`, padded with zeros as the inputs are."""
        return self.ledger[name]

    def failures(self) -> pd.DataFrame:
        """Table of the clips that are left out: `clip`, and the `reason` in the words of what went wrong."""
        rows = np.flatnonzero(self.segments == 0)
        reasons = [reason.decode(errors="replace") for reason in self.ledger["reason"][rows]]
        return pd.DataFrame({"clip": [self.clips[row] for row in rows], "reason": reasons})

    def missing(self) -> list[str]:
        """Name the clips that nobody has computed yet; a clip that failed is not missing."""
        return [self.clips[row] for row in np.flatnonzero(self.segments < 0)]

    @property
    def complete(self) -> bool:
        """Whether the cache is there and no clip is missing."""
        return self.folder.exists() and not self.missing()

    def verify(self) -> list[str]:
        """Name the clips whose bytes are not those that were written. To mend them, `forget` them, then `fill`."""
        rows = np.flatnonzero(self.segments >= 0)
        checksums = [_checksum(self.inputs[row], self.ledger[row]) for row in rows]
        return [self.clips[row] for row in rows[self.ledger["checksum"][rows] != checksums]]

    def forget(self, clips: Iterable[str]) -> None:
        """Mark clips as missing, so that `fill` computes them anew: damaged ones, or those that failed."""
        for row in np.flatnonzero(np.isin(self.clips, list(clips))):
            (self.folder / "failures.csv").unlink(missing_ok=True)
            record = self.ledger[[row]]
            record["segments"] = -1
            _put(self.ledger, int(row), record)

    def fill(
        self,
        extract: Extract,
        sources: Iterable[Any],
        *,
        processes: int | None = None,
        time_limit: float = 60.0,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        """Compute the clips that are missing. One that cannot be computed is left out, with its reason.

        Args:
            extract: A function that processes can import, or a `functools.partial` of one.
            sources: What `extract` is called with, clip by clip: the path of a video.
            processes: How many work side by side; by default one for each core. 0 is for notebooks: everything happens
                in this process, where a clip that hangs is not given up.
            time_limit: Seconds after which a clip is given up.
            shard: `(index, count)` computes one of `count` equal parts; other machines compute the others.

        Raises:
            OSError: The disk is full or cannot be written to; what has been computed stays.
            ValueError: `extract` returns other arrays than the cache was made for.
        """
        sources, (index, count) = list(sources), shard
        if len(sources) != len(self.clips):
            raise ValueError(f"Got {len(sources)} sources for {len(self.clips)} clips: expected one each, in order.")
        if not 0 <= index < count:
            raise ValueError(f"Got shard ({index}, {count}): expected one of (0, {count}) to ({count - 1}, {count}).")
        self._create()
        rows = np.array_split(np.arange(len(self.clips)), count)[index]
        tasks = [(int(row), sources[row]) for row in rows if self.segments[row] < 0]
        if tasks:
            compute, name = partial(_compute, self.folder, extract), self.folder.parent.name
            work = computed(compute, tasks, processes, time_limit)
            with closing(work), tqdm(None, name, len(rows), initial=len(rows) - len(tasks), unit="clip") as progress:
                for row, misfortune in work:
                    if misfortune and self.segments[row] < 0:
                        _write(self.folder, row, reason=misfortune)
                    progress.update()
            counts = [int((np.sign(self.segments) == sign).sum()) for sign in (1, 0, -1)]
            log.info(
                "%s: %d clips done, %d failed (failures.csv lists them at the end), %d missing", self.folder, *counts
            )
        if self.complete:
            table = self.folder / "failures.csv"
            with _writing(table):
                _appear(table, lambda draft: self.failures().to_csv(draft, index=False))

    def _create(self) -> None:
        """Make the cache, no clip computed, and take all its space: no disk shall turn out to be full after hours."""
        place = self.folder.parent
        size = math.prod(self.shape) * self.dtype.itemsize + len(self.clips) * self.record.itemsize

        def make(draft: Path) -> None:
            free = shutil.disk_usage(place).free
            if free < size:
                raise OSError(errno.ENOSPC, f"only {free / 1e6:,.1f} MB are free")
            draft.mkdir()
            (draft / "cache.json").write_text(self.description)
            ledger = np.zeros(len(self.clips), self.record)
            ledger["segments"] = -1
            np.save(draft / "ledger.npy", ledger)
            open_memmap(draft / "inputs.npy", "w+", self.dtype, self.shape)
            if sys.platform == "linux":
                with (draft / "inputs.npy").open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)

        with _writing(place, f"with {size / 1e6:,.1f} MB free for {len(self.clips)} clips"):
            place.mkdir(parents=True, exist_ok=True)
            _appear(self.folder, make)

    def _open(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
        """Map an array, after a look at whether it is the one that was asked for."""
        if not self.folder.exists():
            raise FileNotFoundError(
                f"Got no features in {self.folder}: expected those of {len(self.clips)} clips; prepare them first."
            )
        path = self.folder / f"{name}.npy"
        try:
            if (self.folder / "cache.json").read_text() != self.description:
                raise ValueError("cache.json describes other features")
            array = open_memmap(path, "r")
            if (array.shape, array.dtype) != (shape, dtype):
                raise ValueError(f"it holds {array.dtype} {array.shape} instead of {dtype} {shape}")
        except (OSError, ValueError) as error:
            raise ValueError(
                f"Got {path}: expected what the folder's name promises, but {error}. Delete the folder and prepare the "
                "features again."
            ) from error
        return array

    def __getstate__(self) -> dict[str, Any]:
        """A map would travel to another process as all its bytes: there it is opened anew."""
        return {name: value for name, value in vars(self).items() if name not in ("inputs", "ledger")}


def _compute(folder: Path, extract: Extract, row: int, source: Any) -> None:
    """Compute a clip and write it. What is wrong with the clip is written, what is wrong with the disk is raised."""
    try:
        features = extract(source)
    except Exception as error:
        message = " ".join(str(error).split())  # in one line, also where a file's name holds a line break
        _write(folder, row, reason=f"{type(error).__name__}: {message}")
    else:
        _write(folder, row, features)


def _write(folder: Path, row: int, features: Mapping[str, np.ndarray] | None = None, reason: str = "") -> None:
    """Write a clip's row, then its record: its features padded with zeros, or the reason why it has none."""
    inputs, ledger = (open_memmap(folder / f"{name}.npy", "r") for name in ("inputs", "ledger"))
    values, record = np.zeros(inputs.shape[1:], inputs.dtype), np.zeros((), ledger.dtype)
    if features is not None:
        rooms = {"inputs": values, **{name: record[name] for name, *_ in ledger.dtype.descr[: -len(MARKS)]}}
        if features.keys() != rooms.keys():
            raise ValueError(
                f"Got {[*features]} from extract: expected {[*rooms]}; give the cache the same extra_arrays."
            )
        for name, room in rooms.items():
            _lay(name, features[name], room)
        record["segments"] = len(features["inputs"])
        if not record["segments"] or not np.isfinite(values).all():
            flaw = "numbers that are not finite" if record["segments"] else "no segment"
            _write(folder, row, reason=f"ValueError: its features have {flaw}")
            return
    record["reason"] = _shortened(reason, record["reason"].itemsize)
    record["checksum"] = _checksum(values, record)
    _put(inputs, row, values)
    _put(ledger, row, record)


def _shortened(reason: str, size: int) -> bytes:
    """Encode a reason in so many bytes: a long one loses its middle, for it may begin with a long path."""
    whole = reason.encode(errors="replace")
    if len(whole) <= size:
        return whole
    start, end = whole[: size * 3 // 8 - 5], whole[-(size * 5 // 8) :]
    return b" ... ".join(part.decode(errors="ignore").encode() for part in (start, end))


def _lay(name: str, array: np.ndarray, room: np.ndarray) -> None:
    """Lay an array into a room that may be longer; the rest of it stays zero."""
    fits = array.ndim == room.ndim and array.shape[:1] <= room.shape[:1] and array.shape[1:] == room.shape[1:]
    if array.dtype != room.dtype or not fits:
        raise ValueError(
            f"Got {name} from extract as {array.dtype} {array.shape}: expected {room.dtype} {room.shape}, or fewer on "
            "the first axis; mend extract, or make the cache for what it returns."
        )
    room[tuple(map(slice, array.shape))] = array


def _checksum(inputs: np.ndarray, record: Any) -> int:
    """Sum up all that is kept of a clip, but for the checksum itself."""
    record = record.copy()
    record["checksum"] = 0
    return zlib.crc32(record.tobytes(), zlib.crc32(inputs.data))


def _put(array: np.memmap, row: int, value: np.ndarray) -> None:
    """Write one row of an array into its file. Not through the map: there a full disk kills the process.

    The file is opened for writing alone, lest a network file system read the page around a row and write it back over
    what another machine has written meanwhile; and it is closed each time, when such a system tells of a full disk.
    """
    path = Path(str(array.filename))
    with _writing(path), os.fdopen(os.open(path, os.O_WRONLY), "wb") as file:
        file.seek(array.offset + row * value.nbytes)
        file.write(value.data)


@contextmanager
def _writing(path: Path, need: str = "with room") -> Generator[None]:
    """Explain why something cannot be written."""
    try:
        yield
    except OSError as error:
        raise OSError(
            error.errno,
            f"Features cannot be written to {path}: {error.strerror or error}. Expected a folder to write to, {need}: "
            "make room or choose another, then start again; what has been computed stays.",
        ) from error


def _appear(target: Path, make: Callable[[Path], None]) -> None:
    """Let a file or folder appear whole or not at all. When several processes make it, the first one's stays."""
    if not target.exists():
        draft = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent), target.name)
        try:
            make(draft)
            draft.rename(target)
        except OSError:
            if not target.exists():
                raise
        finally:
            shutil.rmtree(draft.parent, ignore_errors=True)
    for leftover in target.parent.glob(f".{target.name}.*"):  # of a process that was killed, or that comes too late
        shutil.rmtree(leftover, ignore_errors=True)
