"""Segments of a split, read once and explained."""

import copy
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.explanation import cam
from personality.explanation.protocols import Data, Model

BATCH = 16
"""How many segments are explained at once."""
REMEMBERED = 128
"""How many segments stay in memory."""


class Explained(NamedTuple):
    """One segment with its attribution maps."""

    inputs: np.ndarray
    """`(channels, *space)` before normalisation."""
    maps: np.ndarray
    """`(targets, *space)`, enlarged to the input's size, in units of the labels."""
    bias: np.ndarray
    """`(targets,)`, in units of the labels."""


class Explainer:
    """Explains segments of a split by one method.

    It keeps the segments that it read last, so that pictures, measures and controls read each segment once.

    Args:
        model: The network.
        data: The data module that it was trained on.
        split: The split whose segments are explained.
        method: A function of `cam.METHODS`, or a `functools.partial` of one.
    """

    def __init__(self, model: Model, data: Data, split: str, method: cam.Method = cam.best) -> None:
        self.model, self.data, self.split = model, data, split
        self.method = cam.with_baseline(method, data.baseline)
        self._read: dict[tuple[int, int], tuple[Tensor, np.ndarray]] = {}

    def read(self, segments: np.ndarray) -> tuple[Tensor, np.ndarray]:
        """Read segments.

        Args:
            segments: Rows `(clip, segment)`.

        Returns:
            The model's inputs `(N, channels, *space)` on its device, and the same before normalisation.
        """
        keys = [(int(clip), int(segment)) for clip, segment in segments]
        missing = np.array(sorted(set(keys) - self._read.keys())).reshape(-1, 2)
        for start in range(0, len(missing), BATCH):
            clips, rows = np.unique(missing[start : start + BATCH, 0], return_inverse=True)
            columns = missing[start : start + BATCH, 1]
            batch = self.data.fetch(self.split, clips)
            moved = self.data.transfer_batch_to_device(batch, self.model.device, 0)
            inputs = self.data.normalise(moved).inputs[rows, columns]
            stored = self.data.crop(batch).inputs[rows, columns].cpu().numpy()
            for key, *arrays in zip(missing[start : start + BATCH].tolist(), inputs, stored, strict=True):
                self._read[key[0], key[1]] = arrays[0], arrays[1]
        found = [self._read[key] for key in keys]
        for key in list(self._read)[:-REMEMBERED]:
            del self._read[key]
        return torch.stack([inputs for inputs, _ in found]), np.stack([stored for _, stored in found])

    def explain(self, segments: np.ndarray) -> list[Explained]:
        """Explain segments, given as rows `(clip, segment)`."""
        explained: list[Explained] = []
        for start in range(0, len(segments), BATCH):
            inputs, stored = self.read(segments[start : start + BATCH])
            attribution = self.method(self.model, inputs)
            low, high = self.model.target_scale
            maps = cam.resize(attribution.maps, tuple(inputs.shape[2:])) * (high - low).view(
                -1, *[1] * (inputs.ndim - 2)
            )
            bias = low + (high - low) * attribution.bias
            explained += map(Explained, stored, maps.cpu().numpy(), bias.cpu().numpy())
        return explained

    def scores(self, segments: np.ndarray) -> np.ndarray:
        """Score segments, given as rows `(clip, segment)`, before the last activation: `(segments, targets)`."""
        low, high = self.model.target_scale
        found = []
        with torch.inference_mode():
            for start in range(0, len(segments), BATCH):
                inputs, _ = self.read(segments[start : start + BATCH])
                found.append(low + (high - low) * self.model.head[:-1](self.model.backbone(inputs)))
        return torch.cat(found).cpu().numpy()

    def batches(self, selection: pd.DataFrame) -> Iterator[tuple[str, np.ndarray]]:
        """Iterate over a table of `Highest`: a trait and up to `BATCH` of its segments, rows `(clip, segment)`."""
        for trait, rows in selection.groupby("trait", sort=False):
            segments = rows[["clip", "segment"]].to_numpy()
            for start in range(0, len(segments), BATCH):
                yield str(trait), segments[start : start + BATCH]

    def names(self, trait: str, segments: np.ndarray) -> pd.DataFrame:
        """Return the columns that name segments of a trait in a table: `trait`, `clip`, `group`, `segment`."""
        clips = self.data.clips(self.split).iloc[segments[:, 0]]
        return pd.DataFrame(
            {"trait": trait, "clip": clips.index, "group": [*clips["group"]], "segment": segments[:, 1]}
        )

    def cue_masks(self, segments: np.ndarray) -> list[dict[str, np.ndarray]]:
        """Return where the cues of each trait lie in segments: boolean masks `(*space)`, all false without a cue."""
        masks = []
        for clip, segment in segments.tolist():
            space = [len(axis.values) for axis in self.data.coordinates(self.split, clip, segment).axes]
            nowhere = dict.fromkeys(self.data.targets, np.zeros(space, bool))
            masks.append(nowhere | self.data.cues(self.split, clip, segment))
        return masks

    def occupied(self, segments: np.ndarray) -> list[np.ndarray]:
        """Return which positions of segments hold anything: boolean `(*space)` each."""
        return [self.data.coordinates(self.split, *each).occupied() for each in segments.tolist()]

    def untrained(self) -> "Explainer":
        """Return the explainer of the same network before its training, as a control."""
        build: Callable[..., Model] = type(self.model)
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):  # its parameters can be differentiated
            torch.default_generator.manual_seed(0)  # the CPU's; an accelerator's generator is not used
            model = build(**self.model.hparams)
        return self.alter(model=model.to(self.model.device))

    def alter(self, model: Model | None = None, method: cam.Method | None = None) -> "Explainer":
        """Return an explainer of the same segments with another model or another method."""
        other = copy.copy(self)
        other.model, other.method = model or self.model, method or self.method
        return other
