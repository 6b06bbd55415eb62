"""What every corpus offers: its clips split by split, each with its labels."""

from abc import ABC, abstractmethod

import pandas as pd

SPLITS = ("train", "val", "test")
"""The three parts of a corpus: to learn from, to choose by, to report."""


class Corpus(ABC):
    """A collection of short videos of people who talk, and how others judged their personality."""

    name: str
    """One word, fit for a folder: features of different corpora are kept apart by it."""

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
            `path` says where the video lies; a column for each of `TRAITS` holds its label in [0, 1], NaN for none.
        """

    def evidence(self) -> pd.DataFrame | None:
        """Say where the evidence for each trait was planted; None for people who were filmed, not made.

        Returns:
            A row for each appearance of a cue, with columns `clip`, `trait` ("none" for a cue that means nothing),
            `modality` ("sound" or "picture"), `cue`, `start` and `end` in seconds, `low` and `high` in Hz (NaN for
            pictures), `left`, `top`, `right`, `bottom` as shares of the frame (NaN for sound), `strength` in [0, 1].
        """
        return None
