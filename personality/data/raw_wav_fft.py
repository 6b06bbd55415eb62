"""Raw-wav FFT: the spectrum of a clip's whole waveform, without a time axis."""

from functools import partial
from typing import Any

import numpy as np
import torch

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.features import audio, media
from personality.traits import Axis, Coordinates

OUTLINE = 80  # samples, 20 ms: the outline of the waveform has their lowest and highest values
MOMENTS = audio.SPECTRUM_SAMPLES // OUTLINE


def extract(source: Any, scale: audio.Scale) -> dict[str, np.ndarray]:
    """Compute the spectrum of a file's sound, `(1, 1, bins)`, and an outline of its waveform, `(1, 2, moments)`."""
    waveform = media.read_waveform(source, audio.SPECTRUM_RATE)
    heard = np.zeros((MOMENTS, OUTLINE), np.float32)
    heard.flat[: len(waveform)] = waveform[: heard.size]
    return {
        "inputs": audio.spectrum(torch.from_numpy(waveform), scale).numpy(),
        "waveform": np.stack([heard.min(1), heard.max(1)])[None],
    }


class RawWavFFT(TraitDataModule):
    """Fourier transform of 15.3 s of the waveform at 4 kHz, `(1, 1, 30605)` a clip (Hayat et al. 2019).

    Args:
        corpus: Where the clips and their labels are.
        scale: `magnitude`, `log` for its logarithm, or `real` for the two-sided real part, as in the original.
        **loading: See `TraitDataModule`.
    """

    modality = "audio"

    def __init__(self, corpus: Corpus, scale: audio.Scale = "magnitude", **loading: Any) -> None:
        self.frequencies = audio.spectrum_frequencies(scale)
        shape, extra_arrays = (1, 1, len(self.frequencies)), {"waveform": ((1, 2, MOMENTS), "float32")}
        super().__init__(corpus, partial(extract, scale=scale), shape, extra_arrays=extra_arrays, **loading)

    def waveform(self, split: str, clip: int) -> np.ndarray:
        """Outline the sound of a clip, `(2, moments)`: lowest and highest values."""
        outline: np.ndarray = self.caches[split].extra("waveform")[clip, 0]
        return outline

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate the one segment, which is the clip; its space is frequency."""
        return Coordinates(0.0, audio.SPECTRUM_SAMPLES / audio.SPECTRUM_RATE, (Axis("frequency", self.frequencies),))
