"""Segments of a split, read again and explained."""

from typing import Any, NamedTuple

import numpy as np
from pytorch_lightning import LightningModule
from torch import Tensor

from personality.explanation import cam

BATCH = 16  # segments that are explained at the same time


class Explained(NamedTuple):
    """One segment and the attribution in it for every trait."""

    inputs: np.ndarray
    """`(channels, *space)` before it was normalised."""
    maps: np.ndarray
    """`(targets, *space)`, enlarged to the input's size."""
    bias: np.ndarray
    """`(targets,)`."""


def explain(
    method: cam.Method, model: LightningModule, data: Any, split: str, segments: np.ndarray
) -> dict[tuple[int, int], Explained]:
    """Explain segments of a split, given as rows `(clip, segment)`."""
    explained = {}
    for start in range(0, len(segments), BATCH):
        clips, places = segments[start : start + BATCH].T
        inputs, raw = read(model, data, split, segments[start : start + BATCH])
        attribution = method(model, inputs)
        maps = cam.resize(attribution.maps, tuple(inputs.shape[2:])).cpu().numpy()
        for clip, place, *found in zip(clips, places, raw, maps, attribution.bias.cpu().numpy(), strict=True):
            explained[int(clip), int(place)] = Explained(*found)
    return explained


def read(model: LightningModule, data: Any, split: str, segments: np.ndarray) -> tuple[Tensor, np.ndarray]:
    """Read segments, given as rows `(clip, segment)`: as the model sees them, on its device, and as they were."""
    clips, places = segments.T
    batch, rows = data.fetch(split, clips), np.arange(len(clips))
    inputs = data.normalise(data.transfer_batch_to_device(batch, model.device, 0)).inputs
    return inputs[rows, places], data.crop(batch).inputs[rows, places].cpu().numpy()
