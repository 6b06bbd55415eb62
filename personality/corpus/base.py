"""The interface of every corpus: clips with their labels, by split."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pandas as pd

from personality.corpus.files import file_size
from personality.settings import RecordsSettings
from personality.traits import TRAITS

SPLITS = ("train", "val", "test")
"""The parts of a corpus: to train on, to select models with, to report results of."""


class Corpus(RecordsSettings, ABC):
    """A collection of short videos of people who talk, with labels of their apparent personality."""

    name: str
    """A folder name: features of different corpora are cached in different folders."""
    targets: Sequence[str] = TRAITS
    """Names of the labels."""
    pool_above = 0
    """Features of more clips than this are computed by a pool of processes, unless the data module sets their number. A
    pool takes seconds to start, but survives a clip that crashes or hangs."""

    @abstractmethod
    def prepare(self) -> None:
        """Make or check what the corpus needs. May be called repeatedly, by one process at a time."""

    @abstractmethod
    def clips(self, split: str) -> pd.DataFrame:
        """Return the clips of a split.

        Args:
            split: One of `SPLITS`.

        Returns:
            A row a clip, sorted by the index `clip`: its name, with .mp4, as in the label files. Column `path` holds
            a path, or an object whose `open()` returns the bytes, such as a member of an archive. A column for each of
            `TRAITS` holds the label in [0, 1], NaN without one.
        """

    def fingerprint(self, split: str) -> str:
        """Hash the names and sizes of the videos of a split, by which cached features are found again.

        The fingerprint of videos in archives is that of the unpacked videos. It takes about 10 ms for 1,000 clips.
        """
        lines = [f"{clip}\t{file_size(source)}\n" for clip, source in self.clips(split)["path"].items()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    def transcripts(self, split: str) -> pd.Series | None:
        """Return the transcript of each clip, NaN without one; None for a corpus without transcripts.

        For analyses of one's own, and for inputs of text. No input of this package reads it yet.
        """
        return None

    def groups(self, split: str) -> pd.DataFrame | None:
        """Return the gender, ethnicity and age of the person in each clip; None for a corpus without them.

        For analyses of fairness: written as csv, it is a table for `python -m personality.evaluation --groups`. Nothing
        else in this package reads it, and no model sees it.

        Returns:
            Text as in the corpus's own tables, NaN where unknown: index `clip`, the known ones of the columns `gender`,
            `ethnicity` and `age`.
        """
        return None

    def cues(self) -> pd.DataFrame | None:
        """Return where the cues of each trait were planted; None for real videos.

        Returns:
            A row for each appearance of a cue, with columns `clip`, `trait` ("none" for a distractor), `modality`
            ("sound" or "picture"), `cue`, `start` and `end` in seconds, `low` and `high` in Hz (NaN for pictures),
            `left`, `top`, `right`, `bottom` as shares of the frame (NaN for sound), `strength` in [0, 1].
        """
        return None
