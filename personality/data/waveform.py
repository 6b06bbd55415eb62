"""Waveform: sound as it is, the input of networks that were trained on speech."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import media
from personality.traits import Axis, Batch, Coordinates

RATE = 16_000
"""Samples a second."""
LOUDEST = 32_767


def extract(path: str, segments: int, samples: int) -> dict[str, np.ndarray]:
    """Cut a file's sound into segments, `(found, 1, samples)` int16: at most `segments` of them.

    A rest that does not fill a segment is left out, unless it is all there is: then silence follows.
    """
    waveform = media.read_waveform(path, RATE)
    found = min(segments, max(1, len(waveform) // samples))
    cut = np.zeros(found * samples, np.float32)
    heard = waveform[: len(cut)]
    cut[: len(heard)] = heard
    return {"inputs": np.round(cut.clip(-1, 1) * LOUDEST).astype(np.int16).reshape(found, 1, samples)}


class Waveform(TraitDataModule):
    """Sound at 16 kHz in segments of some seconds, `(3, 1, 80000)` a clip of 15.3 s.

    It is stored in 16 bits, as on a compact disc, and served as numbers from -1 to 1. How loud a network wants it, the
    backbone knows.

    Args:
        corpus: Where the clips and their labels are.
        seconds: Length of a segment.
        segments: Highest number of segments of a clip.
        normalise: `none`.
        **loading: See `TraitDataModule`.
    """

    modality = "audio"
    normalisations = ("none",)

    def __init__(
        self, corpus: Corpus, seconds: float = 5.0, segments: int = 3, normalise: str | None = "none", **loading: Any
    ) -> None:
        if seconds <= 0:
            raise ValueError(f"Got seconds {seconds}: expected a number above 0.")
        self.seconds, samples = seconds, round(seconds * RATE)
        super().__init__(
            corpus,
            partial(extract, segments=segments, samples=samples),
            (segments, 1, samples),
            dtype="int16",
            normalise=normalise,
            **loading,
        )

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate a segment; its space is time."""
        start = segment * self.seconds
        times = start + (np.arange(self.input_shape[2]) + 0.5) / RATE
        return Coordinates(start, start + self.seconds, (Axis("time", times),))

    def normalise(self, batch: Batch) -> Batch:
        """Scale a stored batch to [-1, 1]."""
        return batch._replace(inputs=batch.inputs.float() / LOUDEST)

    def baseline(self, inputs: Tensor) -> Tensor:
        """Return silence, in the shape of inputs `(N, 1, samples)`."""
        return torch.zeros_like(inputs)
