"""Clip spectrogram: log-mel patches of 0.96 s, the input of VGGish."""

from functools import partial
from typing import Any

import numpy as np
import torch

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import audio, media
from personality.traits import Axis, Coordinates


def extract(path: str, segments: int) -> dict[str, np.ndarray]:
    """Compute the log-mel patches of a file's sound, `(patches, 1, 96, 64)`: at most `segments` of them."""
    waveform = media.read_waveform(path, audio.RATE)
    return {"inputs": audio.clip_spectrogram(torch.from_numpy(waveform))[:segments].numpy()}


class ClipSpectrogram(TraitDataModule):
    """Log-mel patches of 0.96 s without overlap, `(15, 1, 96, 64)` a clip of 15.3 s (Hershey et al. 2017).

    Args:
        corpus: Where the clips and their labels are.
        segments: Highest number of patches of a clip.
        **loading: See `TraitDataModule`.
    """

    modality = "audio"

    def __init__(self, corpus: Corpus, segments: int = 15, **loading: Any) -> None:
        shape = (segments, 1, audio.PATCH, audio.MELS)
        super().__init__(corpus, partial(extract, segments=segments), shape, **loading)

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate a patch of 0.96 s; its space is time by frequency."""
        start = segment * audio.PATCH * audio.HOP_SECONDS
        axes = Axis("time", start + audio.frame_times(audio.PATCH)), Axis("frequency", audio.mel_frequencies())
        return Coordinates(start, start + audio.PATCH * audio.HOP_SECONDS, axes)
