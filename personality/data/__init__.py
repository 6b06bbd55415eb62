"""Inputs: what a model sees of a clip. Each is a Lightning data module and a way from a file to segments."""

from personality.data.base import TraitDataModule
from personality.data.clip_spectrogram import ClipSpectrogram

__all__ = ["ClipSpectrogram", "TraitDataModule"]
