"""Inputs: from a corpus to batches of clips."""

from personality.data.base import TraitDataModule
from personality.data.clip_spectrogram import ClipSpectrogram
from personality.data.dataset import ClipDataset
from personality.data.embeddings import Embeddings
from personality.data.face_frames import FaceFrames
from personality.data.joint import Joint
from personality.data.log_filterbank import LogFilterbank
from personality.data.raw_wav_fft import RawWavFFT
from personality.data.summary_spectrogram import SummarySpectrogram
from personality.data.transcript import Transcript
from personality.data.waveform import Waveform

__all__ = [
    "ClipDataset",
    "ClipSpectrogram",
    "Embeddings",
    "FaceFrames",
    "Joint",
    "LogFilterbank",
    "RawWavFFT",
    "SummarySpectrogram",
    "TraitDataModule",
    "Transcript",
    "Waveform",
]
