"""The base class of every corpus: a table of clips with their labels and groups, and its splits."""

import hashlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pandas as pd

from personality.corpus.files import file_size
from personality.corpus.overview import overview
from personality.corpus.splits import SHARES, SPLITS, fold_by_group, split_by_group
from personality.corpus.transcripts import Transcripts, split_words, words_beside
from personality.features.media import Excerpt
from personality.settings import RecordsSettings
from personality.tables import format_clips
from personality.traits import TRAITS

log = logging.getLogger(__name__)


class Corpus(RecordsSettings, ABC):
    """A collection of short videos of people who talk, with labels of their apparent personality.

    A subclass implements `read`, which returns the table of all clips. Splits, folds, checks and reports are the same
    for all.

    Args:
        split: `official` uses the column `split` of the table; `by_group` makes new splits, each group in one of them;
            None uses the column if the table has it.
        shares: Relative sizes of train, val and test with `by_group`.
        folds: Divide all clips into this many folds instead, each group in one of them, with similar labels.
        fold: The fold to test, by default the first; the next one validates, the others train.
    """

    name: str
    """A folder name: features of different corpora are cached in different folders."""
    targets: Sequence[str] = TRAITS
    """Names of the labels."""
    scale: tuple[float, float] | None = (0.0, 1.0)
    """The lowest and the highest label there can be. None takes those of the training clips."""
    attributes: Sequence[str] = ()
    """Columns of the table that describe the person in a clip, for analyses of fairness. No model sees them."""
    remedy = ""
    """What to do where clips or labels are missing."""
    pool_above = 0
    """Features of more clips than this are computed by a pool of processes, unless the data module sets their number. A
    pool takes seconds to start, but survives a clip that crashes or hangs."""

    def __init__(
        self,
        split: str | None = None,
        shares: Sequence[float] = SHARES,
        folds: int | None = None,
        fold: int | None = None,
    ) -> None:
        if split not in (None, "official", "by_group"):
            raise ValueError(f"Got split {split!r}. Expected official or by_group; choose one.")
        if fold is not None and not 0 <= fold < (folds or 0):
            expected = f"one from 0 to {folds - 1}; choose one" if folds else "the number of folds with it; set folds"
            raise ValueError(f"Got fold {fold} of {folds or 'no'} folds. Expected {expected}.")
        self.split, self.shares, self.folds, self.fold = split, shares, folds, fold or 0

    @abstractmethod
    def read(self) -> pd.DataFrame:
        """Return the table of all clips.

        Returns:
            A row a clip: index `clip`, its name, with .mp4, as in the label files. Column `path` holds a path, an
            `Excerpt` of a file, an object whose `open()` returns the bytes, such as a member of an archive, or None
            where the file is missing. `group` says whose clips belong together. `split` is one of `SPLITS`, None in
            all rows if the corpus has no splits of its own. A column for each of `targets` holds the label, NaN without
            one, and one for each of `attributes` a text.
        """

    def prepare(self) -> None:
        """Make or check what the corpus needs, and log what was found. One process at a time may call it."""
        log.info("%s:\n%s", self.name, overview(self._table, self.targets, self.scale))

    def clips(self, split: str) -> pd.DataFrame:
        """Return the clips of a split.

        Args:
            split: One of `SPLITS`, or `all`.

        Returns:
            The rows of `read` that have a file, sorted by the index `clip`: columns `path`, `group` and `targets`.

        Raises:
            FileNotFoundError: There are none.
        """
        if split not in (*SPLITS, "all"):
            raise ValueError(f"There is no split {split!r}. Expected one of {', '.join(SPLITS)}.")
        clips = self._table[self._table["path"].notna()]
        clips = clips if split == "all" else clips[clips["split"] == split]
        if clips.empty:
            raise FileNotFoundError(f"There are no {split} clips: {self._why_none(split)}.")
        return clips[["path", "group", *self.targets]]

    def stored_split(self, split: str) -> str:
        """Name the clips whose features are stored together: the split, or `all` where splits are made anew.

        So another fold finds the features of every clip.
        """
        return split if not self._table.attrs["made_anew"] else "all"

    def people(self, split: str) -> pd.DataFrame | None:
        """Return the `attributes` of the person in each clip as text, NaN where unknown; None for a corpus without."""
        if not self.attributes:
            return None
        return self._table.loc[self.clips(split).index, [*self.attributes]]

    def transcripts(self, split: str) -> Transcripts:
        """Return the words of each clip that has a transcript: a column of the table, or a file beside the video."""
        table = self._table.loc[self.clips(split).index]
        if "transcript" in table:
            texts = table["transcript"].dropna()
            return {str(clip): split_words(str(text)) for clip, text in texts.items()}
        return words_beside(table["path"])

    def cues(self) -> pd.DataFrame | None:
        """Return where the cues of each trait were planted; None for real videos.

        Returns:
            A row for each appearance of a cue, with columns `clip`, `trait` ("none" for a distractor), `modality`
            ("audio", "image" or "text"), `cue`, `start` and `end` in seconds, `low` and `high` in Hz (NaN for all
            but sound), `left`, `top`, `right`, `bottom` as shares of the frame (NaN for all but pictures), `strength`
            in [0, 1].
        """
        return None

    def fingerprint(self, split: str) -> str:
        """Hash the names and sizes of the videos of a split, by which cached features are found again.

        The fingerprint of videos in archives is that of the unpacked videos. It takes about 10 ms for 1,000 clips.
        """
        lines = [f"{clip}\t{file_size(source)}\n" for clip, source in self.clips(split)["path"].items()]
        lines += [f"{source[1:]}\n" for source in self.clips(split)["path"] if isinstance(source, Excerpt)]
        return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]

    @cached_property
    def _table(self) -> pd.DataFrame:
        """The table of `read`, sorted, with the split of every clip."""
        table = self.read().sort_index()
        groups, official = table["group"].tolist(), table["split"].notna().any()
        table.attrs["made_anew"] = bool(self.folds or not official or self.split == "by_group")
        if self.folds:
            turn = (fold_by_group(groups, table[[*self.targets]], self.folds) - self.fold) % self.folds
            table["split"] = np.select([turn == 0, turn == 1], ["test", "val"], "train")
        elif table.attrs["made_anew"]:
            table["split"] = split_by_group(groups, shares=self.shares)
        missing = table.index[table["path"].isna()]
        if len(missing):
            log.warning("Labels without a clip, left out: %s", format_clips(missing, 20))
        return table

    def _why_none(self, split: str) -> str:
        """Say why a split has no clips, and what to do."""
        return f"no row of the table of {self.name} is in this split; add some, or set corpus.split=by_group"
