"""Some rows of a feature cache, under the names that the cache has for all of them."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from personality.features.cache import FeatureCache


class ArrayRows:
    """Rows of an array on disk, which are read only where they are asked for.

    Args:
        array: `(all rows, *rest)`.
        rows: Which rows, in order.

    Example:
        >>> part = ArrayRows(np.arange(10).reshape(5, 2), np.array([4, 0]))
        >>> part.shape, part[np.array([0])].tolist()
        ((2, 2), [[8, 9]])
    """

    def __init__(self, array: np.ndarray, rows: np.ndarray) -> None:
        self.array, self.rows = array, rows
        self.shape, self.dtype, self.ndim = (len(rows), *array.shape[1:]), array.dtype, array.ndim

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> np.ndarray:
        """Read rows, by what NumPy takes as an index of the first dimension or, in a tuple, of several."""
        first, *rest = index if isinstance(index, tuple) else (index,)
        found: np.ndarray = self.array[(self.rows[first], *rest)]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)


class CacheRows:
    """Features of some of the clips of a cache: what `FeatureCache` offers to readers.

    Args:
        cache: The cache.
        clips: Names of the clips, in order.
    """

    def __init__(self, cache: FeatureCache, clips: Sequence[str]) -> None:
        self.cache, self.clips = cache, [*clips]
        self.rows = pd.Index(cache.clips).get_indexer(pd.Index(self.clips))

    @property
    def folder(self) -> Path:
        """The folder of the cache."""
        return self.cache.folder

    @cached_property
    def inputs(self) -> ArrayRows:
        """`(clips, segments, channels, *space)`, read where it is indexed."""
        return ArrayRows(self.cache.inputs, self.rows)

    @property
    def segments(self) -> np.ndarray:
        """`(clips,)` int32, as `FeatureCache.segments`."""
        return self.cache.segments[self.rows]

    def extra(self, name: str) -> np.ndarray:
        """Return an extra array of the clips, `(clips, *shape)`."""
        return self.cache.extra(name)[self.rows]

    def failures(self) -> pd.DataFrame:
        """Return the clips that failed, as `FeatureCache.failures`."""
        failures = self.cache.failures()
        return failures[failures["clip"].isin(self.clips)].reset_index(drop=True)
