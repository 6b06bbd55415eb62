"""Cached features of a split: two arrays on disk, a row a clip, which many processes write without a lock.

    <folder>/<hash of cache.json>/
        cache.json     how the features were computed, and the names of the clips
        inputs.npy     (clips, segments, channels, *space)
        index.npy      (clips,) structured: the extra arrays, reason of a failure, checksum, number of segments
        failures.csv   the clips that failed, with the reason; written when no clip is missing

A process may be killed at any time. Files and folders are created atomically. A clip's features are written before its
row of the index, which ends with the number of segments: until that is written, the clip counts as missing, and the
next run computes it again. Two processes that compute the same clip write the same bytes.
"""

import errno
import hashlib
import json
import logging
import math
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import open_memmap

from personality.features.cache_files import (
    STATUS,
    Extract,
    checksum,
    compute_clip,
    create_once,
    explain_write_error,
    write_clip,
    write_row,
)
from personality.features.workers import run_tasks
from personality.progress import progress

log = logging.getLogger(__name__)


class FeatureCache:
    """Features of a list of clips, which `fill` computes and which are then read as memory-mapped arrays.

    Args:
        folder: Parent folder. Each combination of the other arguments has its own folder there, `cache.folder`.
        parameters: Everything that the features depend on, as JSON values.
        clips: The clips' names, in the order of the rows.
        stored_shape: `(segments, channels, *space)` of a clip. A clip with fewer segments is padded with zeros.
        dtype: Dtype of the inputs.
        extra_arrays: Shape and dtype of each further array of a clip.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     cache = FeatureCache(folder, {"scale": 2.0}, clips=["a.mp4", "b.mp4"], stored_shape=(3, 1, 4))
        ...     cache.fill(lambda source: {"inputs": np.full((2, 1, 4), source, "float32")}, [5, 6], processes=0)
        ...     cache.segments.tolist(), cache.inputs[1, :, 0, 0].tolist()
        ([2, 2], [6.0, 6.0, 0.0])
    """

    def __init__(
        self,
        folder: str | Path,
        parameters: Mapping[str, Any],
        clips: Sequence[str],
        stored_shape: Sequence[int],
        dtype: str = "float32",
        extra_arrays: Mapping[str, tuple[tuple[int, ...], str]] | None = None,
    ) -> None:
        if not len(clips):
            raise ValueError(f"Got no clips for the features in {folder}: expected at least one; is the split empty?")
        extra_arrays = dict(extra_arrays or {})
        self.clips, self.shape, self.dtype = list(clips), (len(clips), *stored_shape), np.dtype(dtype)
        self.index_dtype = np.dtype([(name, kind, shape) for name, (shape, kind) in extra_arrays.items()] + STATUS)
        try:
            parameters = json.loads(json.dumps(parameters, sort_keys=True))
        except TypeError as error:
            raise TypeError(
                f"Got the parameters {parameters}: {error}. Expected numbers, strings, lists and dicts, which "
                "can be written to cache.json."
            ) from error
        identity = {
            "parameters": parameters,
            "stored_shape": [*stored_shape],
            "dtype": self.dtype.name,
            "extra_arrays": extra_arrays,
            "clips": self.clips,
        }
        self.description = json.dumps(identity, indent=1)
        self.folder = Path(folder) / hashlib.sha256(self.description.encode()).hexdigest()[:10]

    @cached_property
    def inputs(self) -> np.memmap:
        """`(clips, segments, channels, *space)`, read-only; zeros for padding and for clips that failed."""
        return self._open("inputs", self.shape, self.dtype)

    @cached_property
    def index(self) -> np.memmap:
        """`(clips,)` structured array, read-only; it changes while processes fill the cache."""
        return self._open("index", self.shape[:1], self.index_dtype)

    @property
    def segments(self) -> np.ndarray:
        """`(clips,)` int32, the number of real segments: 0 for a clip that failed, negative for a missing one."""
        return self.index["segments"]

    def extra(self, name: str) -> np.ndarray:
        """Return an extra array of all clips, `(clips, *shape)`, padded with zeros."""
        return self.index[name]

    def failures(self) -> pd.DataFrame:
        """Return the clips that failed: a table with the columns `clip` and `reason`, the text of the error."""
        rows = np.flatnonzero(self.segments == 0)
        reasons = [reason.decode(errors="replace") for reason in self.index["reason"][rows]]
        return pd.DataFrame({"clip": [self.clips[row] for row in rows], "reason": reasons})

    def missing(self) -> list[str]:
        """Return the names of the clips that are not computed yet; a clip that failed is not missing."""
        return [self.clips[row] for row in np.flatnonzero(self.segments < 0)]

    @property
    def complete(self) -> bool:
        """Whether the cache exists and no clip is missing."""
        return self.folder.exists() and not self.missing()

    def verify(self) -> list[str]:
        """Return the names of the clips with a wrong checksum. To repair them, call `invalidate`, then `fill`."""
        rows = np.flatnonzero(self.segments >= 0)
        checksums = [checksum(self.inputs[row], self.index[row]) for row in rows]
        return [self.clips[row] for row in rows[self.index["checksum"][rows] != checksums]]

    def invalidate(self, clips: Iterable[str]) -> None:
        """Mark clips as missing, so that `fill` computes them again: damaged ones, or those that failed."""
        for row in np.flatnonzero(np.isin(self.clips, list(clips))):
            (self.folder / "failures.csv").unlink(missing_ok=True)
            entry = self.index[[row]]
            entry["segments"] = -1
            write_row(self.index, int(row), entry)

    def fill(
        self,
        extract: Extract,
        sources: Iterable[Any],
        *,
        processes: int | None = None,
        time_limit: float = 60.0,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        """Compute the missing clips. A clip that raises an error has failed: it has no features, but a reason.

        Args:
            extract: A function that other processes can import, or a `functools.partial` of one.
            sources: The argument of `extract` for each clip, such as the path of a video.
            processes: Number of processes; by default one for each core. 0 computes in this process, without a time
                limit.
            time_limit: Seconds after which a clip has failed.
            shard: `(index, count)` computes one of `count` equal parts, so that several machines share the work.

        Raises:
            OSError: The disk is full or read-only; clips that are computed stay.
            ValueError: `extract` returned other arrays than the cache was made for.
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
            compute, name = partial(compute_clip, self.folder, extract), f"Features of {self.folder.parent.name}"
            work = run_tasks(compute, tasks, processes, time_limit)
            with closing(work):
                for row, error in progress(work, name, len(rows), "clips", len(rows) - len(tasks)):
                    if error and self.segments[row] < 0:
                        write_clip(self.folder, row, reason=error)
            counts = [int((np.sign(self.segments) == sign).sum()) for sign in (1, 0, -1)]
            log.info(
                "%s: %d clips done, %d failed (failures.csv lists them at the end), %d missing", self.folder, *counts
            )
        if self.complete:
            table = self.folder / "failures.csv"
            with explain_write_error(table):
                create_once(table, lambda part: self.failures().to_csv(part, index=False))

    def _create(self) -> None:
        """Create the cache without clips, and reserve its disk space, so that a full disk is an error at the start."""
        parent = self.folder.parent
        size = math.prod(self.shape) * self.dtype.itemsize + len(self.clips) * self.index_dtype.itemsize

        def make(part: Path) -> None:
            free = shutil.disk_usage(parent).free
            if free < size:
                raise OSError(errno.ENOSPC, f"only {free / 1e6:,.1f} MB are free")
            part.mkdir()
            (part / "cache.json").write_text(self.description)
            index = np.zeros(len(self.clips), self.index_dtype)
            index["segments"] = -1
            np.save(part / "index.npy", index)
            open_memmap(part / "inputs.npy", "w+", self.dtype, self.shape)
            if sys.platform == "linux":
                with (part / "inputs.npy").open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)

        with explain_write_error(parent, f"with {size / 1e6:,.1f} MB free for {len(self.clips)} clips"):
            parent.mkdir(parents=True, exist_ok=True)
            create_once(self.folder, make)

    def _open(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> np.memmap:
        """Memory-map an array after checking that it is the right one."""
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
                f"Got {path}: expected the features that belong in this folder, but {error}. Delete the folder and "
                "prepare the features again."
            ) from error
        return array

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the arrays: another process opens them again instead of getting a copy."""
        return {name: value for name, value in vars(self).items() if name not in ("inputs", "index")}
