"""The clips of a corpus and their features on disk: computed once, in any number of processes."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pytorch_lightning import LightningDataModule
from pytorch_lightning.trainer.states import TrainerFn

from personality.corpus import SPLITS, Corpus
from personality.data.cache_rows import CacheRows
from personality.features.cache import FeatureCache
from personality.features.media import DECODING

log = logging.getLogger(__name__)


class StoredClips(LightningDataModule):
    """What all inputs do before a batch is read; see `TraitDataModule` for the arguments."""

    test_split = "test"

    def __init__(
        self,
        corpus: Corpus,
        extract: partial[dict[str, np.ndarray]],
        stored_shape: tuple[int, ...],
        extra_arrays: Mapping[str, tuple[tuple[int, ...], str]],
        dtype: str,
        cache: str,
        targets: Sequence[str] | None,
        processes: int | None,
        time_limit: float,
    ) -> None:
        super().__init__()
        self.corpus, self.extract, self.targets = corpus, extract, list(targets or corpus.targets)
        self.stored_shape, self.extra_arrays, self.dtype = stored_shape, extra_arrays, dtype
        self.folder, self.processes, self.time_limit = Path(cache), processes, time_limit
        self.tables: dict[str, pd.DataFrame] = {}
        self.caches: dict[str, FeatureCache | CacheRows] = {}

    def prepare_data(self, shard: tuple[int, int] = (0, 1)) -> None:
        """Prepare the corpus and compute the features that are missing.

        Args:
            shard: `(index, count)`: compute the features of one of `count` equal parts; other machines compute the
                others.
        """
        self.corpus.prepare()
        for split in self._needed():
            self.clips(split)  # raises before features take hours
        for split in self.stored_splits():
            cache, sources = self.stored(split), self.sources(split)
            pool = len(sources) > self.corpus.pool_above
            processes = 0 if self.processes is None and not pool else self.processes
            cache.fill(self.extract, sources, processes=processes, time_limit=self.time_limit, shard=shard)
            failures = cache.failures()
            if len(failures):
                log.warning(
                    "%d of %d %s clips are left out; the first: %s: %s. All of them: %s",
                    *(
                        len(failures),
                        len(self.clips(split)),
                        split,
                        *(text.rstrip(".") for text in failures.iloc[0]),
                        cache.folder / "failures.csv",
                    ),
                )

    def sources(self, split: str) -> Sequence[Any]:
        """Return what `extract` takes of each clip of a split: its video."""
        return [*self.clips(split).path]

    def _needed(self) -> list[str]:
        """Name the splits that the trainer is about to read."""
        function = self.trainer and self.trainer.state.fn
        if function == TrainerFn.FITTING:
            return ["train", "val"] if self.trainer.limit_val_batches else ["train"]  # type: ignore[union-attr]
        if function == TrainerFn.VALIDATING:
            return ["val"]
        return [self.test_split] if function == TrainerFn.TESTING else []

    def setup(self, stage: str | None = None) -> None:
        """Open the features that `prepare_data` computed."""
        self.caches = {split: self.open(split) for split in self.splits()}

    def usable(self, split: str) -> np.ndarray:
        """List the rows of a split's clips whose features could be computed."""
        return np.flatnonzero(self.caches[split].segments > 0)

    def segments(self, split: str) -> np.ndarray:
        """Return how many segments each clip of a split has, `(clips,)`; 0 where it has nothing to score."""
        return self.caches[split].segments.clip(min=0)

    def fingerprint(self, split: str) -> str:
        """Hash what the features of a split are computed from."""
        return self.corpus.fingerprint(split)

    def splits(self) -> list[str]:
        """Name the splits that the corpus has."""
        found = []
        for split in SPLITS:
            with suppress(FileNotFoundError):
                self.clips(split)
                found.append(split)
        return found

    def clips(self, split: str) -> pd.DataFrame:
        """Return the table of a split's clips: index `clip`, the video's `path`, its `group`, a column a target."""
        if split not in self.tables:
            table = self.corpus.clips(split)
            if missing := [target for target in self.targets if target not in table]:
                raise ValueError(
                    f"The {split} clips of {self.corpus.name} have no labels of {', '.join(missing)}: expected targets "
                    f"among {', '.join(self.corpus.targets)}."
                )
            self.tables[split] = table
        return self.tables[split]

    def stored_splits(self) -> list[str]:
        """Name the splits whose features are stored together: see `Corpus.stored_split`."""
        return [*dict.fromkeys(map(self.corpus.stored_split, self.splits()))]

    def open(self, split: str) -> FeatureCache | CacheRows:
        """Open the features of a split's clips."""
        stored = self.corpus.stored_split(split)
        cache = self.stored(stored)
        return cache if split == stored else CacheRows(cache, [*self.clips(split).index])

    def stored(self, split: str) -> FeatureCache:
        """Open the cache of the clips of a `Corpus.stored_split`. Other parameters or videos have another cache."""
        parameters = {
            **self.extract.keywords,
            "extract": self.extract.func.__qualname__,
            "decoding": DECODING,
            "videos": self.fingerprint(split),
        }
        return FeatureCache(
            self.folder / self.corpus.name / type(self).__name__ / split,
            parameters=parameters,
            clips=list(self.clips(split).index),
            stored_shape=self.stored_shape,
            dtype=self.dtype,
            extra_arrays=self.extra_arrays,
        )
