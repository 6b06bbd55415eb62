"""Audio features: log-mel spectrograms, a spectrum, log filterbank energies. Waveforms in, tensors out.

All are computed in double precision and returned in single: otherwise rounding errors of a loud tone would hide quiet
bands. All times and frequencies follow from the constants.
"""

import math
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

# Log-mel spectrograms of VGGish: Hershey et al., "CNN Architectures for Large-Scale Audio Classification", 2017
RATE = 16_000  # Hz
WINDOW = 400  # samples: 25 ms
HOP = 160  # samples: 10 ms
HOP_SECONDS = HOP / RATE
FFT = 512  # samples: a window, padded with zeros
MELS = 64  # bands
MEL_RANGE = (125, 7_500)  # Hz
LOG_OFFSET = 0.01  # silence is ln 0.01 = -4.6
PATCH = 96  # frames: 0.96 s
PATCH_SAMPLES = (PATCH - 1) * HOP + WINDOW  # 15,600: 0.975 s
SUMMARY_PATCHES = 13  # 1,248 frames: 12.48 s
SUMMARY_POOL = 6  # frames: 60 ms

# The spectrum of a clip: Hayat et al., "On the Use of Interpretable CNN for Personality Trait Recognition [...]", 2019
SPECTRUM_RATE = 4_000  # Hz
SPECTRUM_SAMPLES = 61_208  # 15.302 s

# Log filterbank energies: Zhang et al., "Deep Bimodal Regression for Apparent Personality Analysis", 2016
FILTERBANK_RATE = 44_100  # Hz
FILTERBANK_WINDOW = 1_103  # samples: 25 ms
FILTERBANK_HOP = 441  # samples: 10 ms
FILTERBANK_FFT = 2_048  # samples: a window, padded with zeros
PUBLISHED_FFT = 512  # samples: only the first half of a window, as in the paper's code
FILTERS = 26
PREEMPHASIS = 0.97

Scale = Literal["magnitude", "log", "real"]


def log_mel(waveform: Tensor) -> Tensor:
    """Compute the log-mel spectrogram that VGGish was trained on.

    Frame `t` is the `WINDOW` samples from `t * HOP`, without padding, multiplied by a periodic Hann window. The
    magnitudes of its spectrum are summed in triangular bands that are evenly spaced in mel.

    Args:
        waveform: `(..., samples)` in [-1, 1] at `RATE`.

    Returns:
        `(..., frames, 64)` float32: ln(band + 0.01).

    Raises:
        ValueError: The sound is shorter than one window.

    >>> log_mel(torch.zeros(2, RATE)).shape  # two channels of one second
    torch.Size([2, 98, 64])
    """
    if waveform.shape[-1] < WINDOW:
        raise ValueError(
            f"Expected at least one window of {WINDOW} samples, but got {waveform.shape[-1]}; leave it out"
        )
    frames = waveform.double().unfold(-1, WINDOW, HOP) * torch.hann_window(WINDOW, dtype=torch.double)
    magnitudes = torch.fft.rfft(frames, n=FFT).abs()
    bands = triangles(mel(torch.arange(FFT // 2 + 1) * RATE / FFT), mel_edges(MELS, *MEL_RANGE))
    return torch.log(magnitudes @ bands + LOG_OFFSET).float()


def clip_spectrogram(waveform: Tensor) -> Tensor:
    """Compute the log-mel spectrogram in patches of 0.96 s; a rest at the end is left out.

    Args:
        waveform: `(samples,)` in [-1, 1] at `RATE`.

    Returns:
        `(patches, 1, 96, 64)` float32: time by frequency.

    Raises:
        ValueError: The sound is shorter than one patch.

    >>> clip_spectrogram(torch.zeros(round(15.3 * RATE))).shape
    torch.Size([15, 1, 96, 64])
    """
    _expect(waveform, PATCH_SAMPLES, RATE)
    frames = log_mel(waveform)
    return frames[: len(frames) // PATCH * PATCH].reshape(-1, 1, PATCH, MELS)


def summary_spectrogram(waveform: Tensor) -> Tensor:
    """Compute the log-mel spectrogram of the first 12.48 s, averaged over 60 ms. A short clip is padded with silence.

    Args:
        waveform: `(samples,)` in [-1, 1] at `RATE`.

    Returns:
        `(1, 1, 208, 64)` float32: time by frequency.

    Raises:
        ValueError: The sound is shorter than one patch of a clip spectrogram.

    >>> summary_spectrogram(torch.zeros(round(15.3 * RATE))).shape
    torch.Size([1, 1, 208, 64])
    """
    _expect(waveform, PATCH_SAMPLES, RATE)
    frames = log_mel(waveform)
    frames = pad(frames, (0, 0, 0, SUMMARY_PATCHES * PATCH - len(frames)), value=math.log(LOG_OFFSET))
    return frames.unflatten(0, (-1, SUMMARY_POOL)).mean(1)[None, None]


def spectrum(waveform: Tensor, scale: Scale = "magnitude") -> Tensor:
    """Compute the Fourier transform of the first 15.302 s. A short clip is padded with silence.

    Args:
        waveform: `(samples,)` in [-1, 1] at `SPECTRUM_RATE`.
        scale: "magnitude" of the frequencies from 0 to 2 kHz; "log", which is ln(magnitude + 0.01); or "real", the
            two-sided real part of the paper, which changes if a clip begins one sample later.

    Returns:
        `(1, 1, 30605)` float32, or `(1, 1, 61208)` for "real"; not normalised.

    Raises:
        ValueError: The sound is empty, or there is no such scale.

    >>> spectrum(torch.ones(SPECTRUM_SAMPLES)).argmax().item()  # a constant has only 0 Hz
    0
    """
    _expect(waveform, 1, SPECTRUM_RATE)
    _expect_scale(scale)
    waveform = pad(waveform.double(), (0, SPECTRUM_SAMPLES - len(waveform)))
    if scale == "real":
        values = torch.fft.fft(waveform).real
    elif scale == "magnitude":
        values = torch.fft.rfft(waveform).abs()
    else:
        values = torch.log(torch.fft.rfft(waveform).abs() + LOG_OFFSET)
    return values.float()[None, None]


def log_filterbank(waveform: Tensor, *, as_published: bool = False) -> Tensor:
    """Compute log energies of 26 mel bands in 25 ms, every 10 ms, with pre-emphasis. The last frame is zero-padded.

    Args:
        waveform: `(samples,)` in [-1, 1] at `FILTERBANK_RATE`; as published, `(samples, 2)`.
        as_published: Reproduce the code of the paper: alternating left and right samples are read as one channel,
            which halves windows and hops, and only the first 512 of a window's 1,103 samples are used.

    Returns:
        `(1, 1, frames, 26)` float32: ln(energy); with samples as 16-bit integers it would be 20.8 higher.

    Raises:
        ValueError: The sound is empty, or has another shape.

    >>> log_filterbank(torch.zeros(round(15.3 * FILTERBANK_RATE))).shape
    torch.Size([1, 1, 1529, 26])
    >>> log_filterbank(torch.zeros(round(15.3 * FILTERBANK_RATE), 2), as_published=True).shape
    torch.Size([1, 1, 3059, 26])
    """
    if as_published and (waveform.ndim != 2 or waveform.shape[1] != 2):
        raise ValueError(
            f"Expected stereo sound (samples, 2), but got {tuple(waveform.shape)}; read it with channels=2"
        )
    signal = waveform.flatten() if as_published else waveform
    _expect(signal, 1, FILTERBANK_RATE)
    signal = torch.cat([signal[:1].double(), signal[1:].double() - PREEMPHASIS * signal[:-1].double()])
    missing = FILTERBANK_WINDOW - len(signal)  # samples to one window, or to a whole number of hops
    signal = pad(signal, (0, missing if missing > 0 else missing % FILTERBANK_HOP))
    frames = signal.unfold(0, FILTERBANK_WINDOW, FILTERBANK_HOP)
    fft = PUBLISHED_FFT if as_published else FILTERBANK_FFT
    power = torch.fft.rfft(frames, n=fft).abs().square() / fft
    energies = power @ triangles(torch.arange(fft // 2 + 1), filterbank_edges(fft))
    return torch.log(energies.where(energies > 0, torch.finfo(torch.double).eps)).float()[None, None]


def frame_times(frames: int) -> np.ndarray:
    """Return the centre of each frame of a log-mel spectrogram, `(frames,)` in seconds.

    >>> frame_times(2)
    array([0.0125, 0.0225])
    """
    return (np.arange(frames) * HOP + WINDOW / 2) / RATE


def mel_frequencies() -> np.ndarray:
    """Return the centres of the bands of a log-mel spectrogram, `(64,)` in Hz.

    >>> mel_frequencies()[[0, -1]].round()
    array([ 155., 7215.])
    """
    return hertz(mel_edges(MELS, *MEL_RANGE))[1:-1].numpy()


def spectrum_frequencies(scale: Scale = "magnitude") -> np.ndarray:
    """Return the frequencies of a spectrum in Hz: `(30605,)` to 2 kHz; `(61208,)` for "real", mirrored above 2 kHz.

    >>> spectrum_frequencies()[[0, -1]]
    array([   0., 2000.])
    """
    _expect_scale(scale)
    bins = SPECTRUM_SAMPLES if scale == "real" else SPECTRUM_SAMPLES // 2 + 1
    return np.arange(bins) * SPECTRUM_RATE / SPECTRUM_SAMPLES


def filterbank_frequencies() -> np.ndarray:
    """Return the centres of the bands of a log filterbank, `(26,)` in Hz. As published, they are only approximate.

    >>> filterbank_frequencies()[[0, -1]].round()
    array([   86., 19294.])
    """
    return (filterbank_edges(FILTERBANK_FFT)[1:-1] * FILTERBANK_RATE / FILTERBANK_FFT).numpy()


def mel(frequency: Tensor) -> Tensor:
    """Convert frequencies in Hz to mel."""
    return 1127 * torch.log1p(frequency.double() / 700)


def hertz(pitch: Tensor) -> Tensor:
    """Convert mel to frequencies in Hz."""
    return 700 * torch.expm1(pitch / 1127)


def mel_edges(bands: int, lowest: float, highest: float) -> Tensor:
    """Return edges, `(bands + 2,)`, evenly spaced in mel: band `b` rises from edge `b` to `b + 1`, falls to `b + 2`."""
    first, last = mel(torch.tensor([lowest, highest]))
    return torch.linspace(first, last, bands + 2, dtype=torch.double)


def filterbank_edges(fft: int) -> Tensor:
    """Return the edges of the log filterbank, `(28,)`, in bins of the transform, rounded down."""
    return torch.floor((fft + 1) * hertz(mel_edges(FILTERS, 0, FILTERBANK_RATE / 2)) / FILTERBANK_RATE)


def triangles(positions: Tensor, edges: Tensor) -> Tensor:
    """Return the weights of overlapping triangles, `(positions, bands)`: 1 at a peak, 0 at the neighbouring peaks."""
    start, peak, end = edges[:-2], edges[1:-1], edges[2:]
    rising = (positions[:, None] - start) / (peak - start)
    falling = (end - positions[:, None]) / (end - peak)
    return torch.minimum(rising, falling).clamp(min=0)


def _expect_scale(scale: str) -> None:
    if scale not in get_args(Scale):
        raise ValueError(f"Expected a scale among {', '.join(get_args(Scale))}, but got {scale!r}")


def _expect(waveform: Tensor, samples: int, rate: int) -> None:
    if waveform.ndim != 1 or len(waveform) < samples:
        raise ValueError(
            f"Expected mono sound (samples,) of at least {samples / rate:.3f} s ({samples} samples at {rate} Hz), "
            f"but got {tuple(waveform.shape)}, which is {waveform.shape[-1] / rate:.3f} s; leave the clip out"
        )
