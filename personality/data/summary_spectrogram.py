"""Summary spectrogram: the log-mel spectrogram of a whole clip, averaged over each 60 ms."""

from functools import partial
from typing import Any

import numpy as np
import torch

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import audio, media
from personality.traits import Axis, Coordinates

FRAMES = audio.SUMMARY_PATCHES * audio.PATCH


def extract(source: Any) -> dict[str, np.ndarray]:
    """Compute the log-mel summary of a file's sound, `(1, 1, 208, 64)`."""
    waveform = media.read_waveform(source, audio.RATE)
    return {"inputs": audio.summary_spectrogram(torch.from_numpy(waveform)).numpy()}


class SummarySpectrogram(TraitDataModule):
    """Log-mel spectrogram of 12.48 s, averaged over each 60 ms, `(1, 1, 208, 64)` a clip (Hayat et al. 2019).

    Args:
        corpus: Where the clips and their labels are.
        **loading: See `TraitDataModule`.
    """

    modality = "audio"

    def __init__(self, corpus: Corpus, **loading: Any) -> None:
        shape = (1, 1, FRAMES // audio.SUMMARY_POOL, audio.MELS)
        super().__init__(corpus, partial(extract), shape, **loading)

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate the one segment, the start of the clip; its space is time by frequency."""
        times = audio.frame_times(FRAMES).reshape(-1, audio.SUMMARY_POOL).mean(1)
        axes = Axis("time", times), Axis("frequency", audio.mel_frequencies())
        return Coordinates(0.0, FRAMES * audio.HOP_SECONDS, axes)
