"""Transcript: the words of a clip, one position each."""

import hashlib
import json
import logging
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from personality.corpus import Corpus
from personality.corpus.transcripts import Transcripts, Word, read_transcript_files
from personality.data.base import TraitDataModule
from personality.tables import format_clips
from personality.traits import Axis, Coordinates

log = logging.getLogger(__name__)

LETTERS = 48
"""Bytes of UTF-8 of a word that are kept."""


def extract(source: list[Word], words: int) -> dict[str, np.ndarray]:
    """Write the words of a clip as bytes, `(1, 48, words)` uint8, and their times.

    Args:
        source: The words.
        words: How many of them to keep.
    """
    letters, times = np.zeros((words, LETTERS), np.uint8), np.full((words, 2), np.nan, np.float32)
    for position, word in enumerate(source[:words]):
        code = np.frombuffer(word.text.encode(errors="ignore")[:LETTERS], np.uint8)
        letters[position, : len(code)] = code
        times[position] = word.start, word.end
    return {
        "inputs": letters.T[None],
        "times": times,
        "count": np.array([min(len(source), words)], np.int32),
    }


class Transcript(TraitDataModule):
    """The words of each clip, `(1, 48, 128)`: a position a word, and as its channels the bytes of its UTF-8.

    So the input is the text itself, and a backbone for text turns bytes into vectors in its own way. A clip without
    words has no segments, and its score is the mean of the training labels; no clip is left out.

    Args:
        corpus: Where the clips, their labels and, without `files`, their transcripts are: see `Corpus.transcripts`.
        files: Files or folders of transcripts, see `corpus.transcripts`: organisers' pickles, csv, srt, vtt, txt, json.
        words: Positions. The words after them are left out, with a warning.
        normalise: `none`.
        **loading: See `TraitDataModule`.
    """

    modality = "text"
    normalisations = ("none",)

    def __init__(
        self,
        corpus: Corpus,
        files: str | Path | Sequence[str | Path] | None = None,
        words: int = 128,
        normalise: str | None = "none",
        **loading: Any,
    ) -> None:
        listed = [files] if isinstance(files, str | Path) else [*(files or ())]
        self.files = [Path(file) for file in listed]
        super().__init__(
            corpus,
            partial(extract, words=words),
            (1, LETTERS, words),
            extra_arrays={"times": ((words, 2), "float32"), "count": ((1,), "int32")},
            dtype="uint8",
            normalise=normalise,
            **(loading | {"processes": loading.get("processes") or 0}),
        )

    @cached_property
    def _of_files(self) -> Transcripts:
        return read_transcript_files(self.files)

    def transcripts(self, split: str) -> Transcripts:
        """Return the words of each clip of a split that has a transcript."""
        if not self.files:
            return self.corpus.transcripts(split)
        return {clip: words for clip, words in self._of_files.items() if clip in self.clips(split).index}

    def sources(self, split: str) -> list[list[Word]]:
        """Return the words of each clip; none where it has no transcript."""
        known = self.transcripts(split)
        return [known.get(clip, []) for clip in self.clips(split).index]

    def fingerprint(self, split: str) -> str:
        """Hash the words of a split, and their times."""
        return hashlib.sha256(json.dumps(self.sources(split)).encode()).hexdigest()[:16]

    def prepare_data(self, shard: tuple[int, int] = (0, 1)) -> None:
        """Write the words to the cache; warn of clips without a transcript, and of transcripts without a clip."""
        super().prepare_data(shard)
        for split in self.stored_splits():
            clips, sources = self.clips(split).index, self.sources(split)
            if not any(sources) and split in ("train", "all"):
                raise ValueError(
                    f"None of the {len(clips)} {split} clips of {self.corpus.name} has a transcript. Expected "
                    "transcription_*.pkl in the folder of the corpus, a column transcript, subtitles (.srt, .vtt) "
                    "beside the videos, or data.files; add them."
                )
            silent = [clip for clip, words in zip(clips, sources, strict=True) if not words]
            long = [clip for clip, words in zip(clips, sources, strict=True) if len(words) > self.input_shape[2]]
            for some, text in (
                (silent, "have no words; their score is the mean"),
                (long, f"have more than {self.input_shape[2]} words, and the last are left out: see data.words"),
            ):
                if some:
                    log.warning("%d of %d %s clips %s: %s", len(some), len(clips), split, text, format_clips(some))
        known = {clip for split in self.stored_splits() for clip in self.clips(split).index}
        if self.files and (foreign := sorted({*self._of_files} - known)):
            log.warning("%d transcripts belong to no clip of the corpus: %s", len(foreign), format_clips(foreign))

    def segments(self, split: str) -> np.ndarray:
        """Return for each clip whether it has words, `(clips,)`."""
        return (self.caches[split].extra("count")[:, 0] > 0).astype(np.int32)

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate the one segment, which is the clip; its space is the words, and where known their times."""
        count = int(self.caches[split].extra("count")[clip, 0])
        times = self.caches[split].extra("times")[clip].astype(float)
        names = (*decode_words(np.asarray(self.caches[split].inputs[clip, 0])), *[""] * self.input_shape[2])
        axis = Axis("word", np.arange(self.input_shape[2], dtype=float), names[: self.input_shape[2]], times)
        end = float(times[:count, 1].max(initial=0.0)) if count else 0.0
        return Coordinates(0.0, end or float("nan"), (axis,))

    def baseline(self, inputs: Tensor) -> Tensor:
        """Return what deletion leaves, no word, in the shape of inputs `(N, 48, words)`."""
        return torch.zeros_like(inputs)


def decode_words(letters: np.ndarray) -> list[str]:
    """Return the words of a clip, `(48, words)` uint8, without the empty positions at the end.

    >>> found = extract([Word("naïve"), Word("idea.")], words=4)
    >>> decode_words(found["inputs"][0])
    ['naïve', 'idea.']
    """
    rows = [bytes(column[column > 0]).decode(errors="ignore") for column in letters.T]
    return [row for row in rows if row]
