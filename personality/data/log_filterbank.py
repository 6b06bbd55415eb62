"""Log filterbank: the energies of 26 mel bands in windows of 25 ms."""

from functools import partial
from typing import Any

import numpy as np
import torch

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import audio, media
from personality.traits import CLIP_SECONDS, Axis, Coordinates


def extract(source: Any, as_published: bool) -> dict[str, np.ndarray]:
    """Compute the log filterbank energies of the first 15.3 s of a file's sound, `(1, 1, frames, 26)`.

    A shorter clip is padded with silence.
    """
    waveform = torch.from_numpy(media.read_waveform(source, audio.FILTERBANK_RATE, channels=2 if as_published else 1))
    samples = round(CLIP_SECONDS * audio.FILTERBANK_RATE)
    rest = waveform.new_zeros(max(0, samples - len(waveform)), *waveform.shape[1:])
    heard = torch.cat([waveform[:samples], rest])
    return {"inputs": audio.log_filterbank(heard, as_published=as_published).numpy()}


class LogFilterbank(TraitDataModule):
    """Log energies of 26 mel bands every 10 ms, `(1, 1, 1529, 26)` a clip (Zhang et al. 2016).

    Args:
        corpus: Where the clips and their labels are.
        as_published: Compute the 79,534 values a clip of the challenge's winners, who read stereo sound as if it were
            mono (see `audio.log_filterbank`).
        **loading: See `TraitDataModule`.
    """

    modality = "audio"

    def __init__(self, corpus: Corpus, as_published: bool = False, **loading: Any) -> None:
        self.hop = audio.FILTERBANK_HOP / audio.FILTERBANK_RATE / (2 if as_published else 1)
        shape = (1, 1, 3059 if as_published else 1529, audio.FILTERS)
        super().__init__(corpus, partial(extract, as_published=as_published), shape, **loading)

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate the one segment, which is the clip; its space is time by frequency."""
        frames = self.input_shape[2]
        times = (np.arange(frames) + 1.25) * self.hop  # the middle of a window, which is 2.5 hops long
        axes = Axis("time", times), Axis("frequency", audio.filterbank_frequencies())
        return Coordinates(0.0, frames * self.hop, axes)
