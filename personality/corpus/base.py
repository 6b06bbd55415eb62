"""What every corpus offers: its clips split by split, each with its labels."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence

import pandas as pd

from personality.corpus.files import file_size
from personality.traits import TRAITS

SPLITS = ("train", "val", "test")
"""The three parts of a corpus: to learn from, to choose by, to report."""


class Corpus(ABC):
    """A collection of short videos of people who talk, and how others judged their personality."""

    name: str
    """One word, fit for a folder: features of different corpora are kept apart by it."""
    targets: Sequence[str] = TRAITS
    """What its clips are labelled with."""
    pool_above = 0
    """Features of more clips than these are computed by a pool of processes, unless the data module says how many. It
    takes seconds to start, but goes on after a clip that crashes or hangs."""

    @abstractmethod
    def prepare(self) -> None:
        """Make or check what the corpus needs; call it as often as you like, by one process at a time."""

    @abstractmethod
    def clips(self, split: str) -> pd.DataFrame:
        """List the clips of a split.

        Args:
            split: One of `SPLITS`.

        Returns:
            A row a clip, sorted by its name, which is the index `clip` (with .mp4, as in the label files). Column
            `path` says where the video lies: a path, or an object whose `open()` gives the bytes, such as a member of
            an archive. A column for each of `TRAITS` holds its label in [0, 1], NaN for none.
        """

    def fingerprint(self, split: str) -> str:
        """Identify the videos of a split by their names and sizes: features of others are not features of these.

        Wherever the videos lie, in an archive or taken out of it, the fingerprint is the same. It takes about 10 ms for
        1,000 clips.
        """
        lines = [f"{clip}\t{file_size(source)}\n" for clip, source in self.clips(split)["path"].items()]
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    def transcripts(self, split: str) -> pd.Series | None:
        """Read what is said in each clip of a split, missing where nobody wrote it down; None if that is everywhere."""
        return None

    def groups(self, split: str) -> pd.DataFrame | None:
        """Read who is seen in each clip of a split; None if nobody said.

        Returns:
            Text, missing where nothing is known: index `clip`, columns those of `gender`, `ethnicity` and `age` that
            are known, in the words or numbers of the tables that they come from. Written as csv, it is a table of
            groups for `python -m personality.evaluation`.
        """
        return None

    def cues(self) -> pd.DataFrame | None:
        """Say where the evidence for each trait was planted; None for people who were filmed, not made.

        Returns:
            A row for each appearance of a cue, with columns `clip`, `trait` ("none" for a cue that means nothing),
            `modality` ("sound" or "picture"), `cue`, `start` and `end` in seconds, `low` and `high` in Hz (NaN for
            pictures), `left`, `top`, `right`, `bottom` as shares of the frame (NaN for sound), `strength` in [0, 1].
        """
        return None
