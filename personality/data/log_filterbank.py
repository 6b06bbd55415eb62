"""Log filterbank: the energies of 26 bands in each 25 ms of a clip."""

from functools import partial
from typing import Any

import numpy as np
import torch

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import audio, media
from personality.traits import Axis, Coordinates

SECONDS = 15.3


def extract(source: Any, as_published: bool) -> dict[str, np.ndarray]:
    """Compute the log filterbank energies of the first 15.3 s of a file's sound, `(1, 1, frames, 26)`.

    Silence follows a clip that is shorter.
    """
    waveform = torch.from_numpy(media.read_waveform(source, audio.FILTERBANK_RATE, channels=2 if as_published else 1))
    samples = round(SECONDS * audio.FILTERBANK_RATE)
    rest = waveform.new_zeros(max(0, samples - len(waveform)), *waveform.shape[1:])
    heard = torch.cat([waveform[:samples], rest])
    return {"inputs": audio.log_filterbank(heard, as_published=as_published).numpy()}


class LogFilterbank(TraitDataModule):
    """Log energies of 26 mel bands every 10 ms, `(1, 1, 1529, 26)` a clip (Zhang et al. 2016).

    Args:
        corpus: Where the clips and their labels are.
        as_published: The numbers as the winners of the challenge made them, 79,534 a clip, where stereo sound was taken
            for mono (see `audio.log_filterbank`).
        **loading: See `TraitDataModule`.
    """

    def __init__(self, corpus: Corpus, as_published: bool = False, **loading: Any) -> None:
        self.hop = audio.FILTERBANK_HOP / audio.FILTERBANK_RATE / (2 if as_published else 1)
        shape = (1, 1, 3059 if as_published else 1529, audio.FILTERS)
        super().__init__(corpus, partial(extract, as_published=as_published), shape, **loading)

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """The one segment is the clip; its space is time by frequency."""
        frames = self.input_shape[2]
        times = (np.arange(frames) + 1.25) * self.hop  # the middle of a window, which is 2.5 hops long
        axes = Axis("time", times), Axis("frequency", audio.filterbank_frequencies())
        return Coordinates(0.0, frames * self.hop, axes)
