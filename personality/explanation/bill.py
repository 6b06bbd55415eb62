"""The bill of a score: the bias, what each part of a clip adds, and every moment, place and word of it."""

from collections.abc import Mapping
from typing import NamedTuple, cast

import numpy as np
import pandas as pd
import torch
from torch import nn

from personality.explanation import cam
from personality.explanation.explainer import Explained, Explainer
from personality.explanation.protocols import Data, JointModel, Model
from personality.traits import Coordinates, Modality

NAMES: Mapping[Modality, str] = {"audio": "voice", "image": "face", "text": "words", "vector": "numbers"}
"""What the one part of a model of a single input is called."""


class Segment(NamedTuple):
    """One segment of a part."""

    coordinates: Coordinates
    inputs: np.ndarray
    """`(channels, *space)` before normalisation."""
    shares: np.ndarray
    """`(targets, *space)`: what each position adds to the score of the clip, in units of the label."""


class Part(NamedTuple):
    """What one input of a clip adds to its score."""

    modality: Modality
    segments: list[Segment]

    @property
    def total(self) -> np.ndarray:
        """`(targets,)`: the sum over all positions of all segments."""
        found: np.ndarray = np.sum([each.shares.reshape(len(each.shares), -1).sum(1) for each in self.segments], axis=0)
        return found


class Bill(NamedTuple):
    """Score = bias + the sum of all parts; a part is the sum of its segments, and a segment that of its positions."""

    clip: str
    targets: list[str]
    bias: np.ndarray
    """`(targets,)`, in units of the label; of a joint model the same for all clips."""
    parts: dict[str, Part]
    missing: list[str]
    """The parts that this clip lacks. They add nothing."""

    @property
    def score(self) -> np.ndarray:
        """`(targets,)`: of the clip."""
        found: np.ndarray = self.bias + sum(part.total for part in self.parts.values())
        return found

    def table(self) -> pd.DataFrame:
        """Return the bill as a table.

        Returns:
            For each trait a row for the bias, and one for each moment of a part: a segment of sound, a frame, a word,
            or a named number. Columns trait, part, what, start and end in seconds, share, and place: the position with
            the largest share of the row. The shares of a trait add up to its score.
        """
        rows = []
        for index, target in enumerate(self.targets):
            rows.append((target, "bias", "", np.nan, np.nan, self.bias[index], ""))
            for name, part in self.parts.items():
                for segment in part.segments:
                    rows += [(target, name, *row) for row in _rows(segment, index)]
        return pd.DataFrame(rows, columns=["trait", "part", "what", "start", "end", "share", "place"])


def _rows(segment: Segment, target: int) -> list[tuple[str, float, float, float, str]]:
    """List the moments of a segment: what, start, end, share, place."""
    coordinates, shares = segment.coordinates, segment.shares[target]
    axis = coordinates.axes[0]
    if axis.names:
        times = np.full((len(shares), 2), np.nan) if axis.times is None else axis.times
        named = zip(axis.names, *times.T.tolist(), shares.tolist(), strict=True)
        return [(name, start, end, share, "") for name, start, end, share in named if name]
    highest = np.unravel_index(np.abs(shares).argmax(), shares.shape)
    positions = {
        name: float(np.broadcast_to(values, shares.shape)[highest]) for name, values in coordinates.positions().items()
    }
    place = ", ".join(f"{name} {value:.4g}" for name, value in positions.items())
    return [("", coordinates.start, coordinates.end, float(shares.sum()), place)]


def bill_of(model: Model, data: Data, split: str, clip: int, method: cam.Method = cam.best) -> Bill:
    """Explain the score of a whole clip.

    The parts of a joint model are relative to the average clip: what its map leaves of the average is spread evenly
    over its positions.

    Args:
        model: Of one input, or joint.
        data: The data module that it was trained on.
        split: The split of the clip.
        clip: Its row.
        method: A function of `cam.METHODS`; with those that are exact for the model the bill adds up by itself, with
            others the rest is in the bias.
    """
    name = str(data.clips(split).index[clip])
    if not data.parts:
        part, bias = _explain(model, data, split, clip, method)
        return Bill(name, data.targets, bias, {NAMES[data.modality]: part} if part.segments else {}, [])
    joint = cast(JointModel, model)
    low, high = (end.cpu().numpy().astype(float) for end in joint.target_scale)
    parts, missing = {}, []
    for index, (key, network) in enumerate(joint.models.items()):
        part, bias = _explain(network, data.parts[key], split, clip, method)
        if not part.segments:
            missing.append(key)
            continue
        gate, expected = (each[index].detach().cpu().numpy().astype(float) for each in (joint.gate, joint.expected))
        rest = gate * (bias - low - (high - low) * expected)  # of the average clip, that is in no position
        parts[key] = _relative(part, gate, rest)
    bias = low + (high - low) * joint.intercept.detach().cpu().numpy().astype(float)
    return Bill(name, data.targets, bias, parts, missing)


def _explain(model: Model, data: Data, split: str, clip: int, method: cam.Method) -> tuple[Part, np.ndarray]:
    """Return a part with its shares, and the mean bias of its segments, `(targets,)`."""
    count = int(data.segments(split)[clip])
    rows = np.stack([np.full(count, clip), np.arange(count)], axis=1)
    explained = Explainer(model, data, split, method).explain(rows) if count else []
    if not isinstance(model.head[-1], nn.Identity):
        explained = [_activate(model, each) for each in explained]
    segments = [
        Segment(
            data.coordinates(split, clip, row),
            each.inputs,
            each.maps.astype(float) / (count * np.prod(each.maps.shape[1:])),
        )
        for row, each in enumerate(explained)
    ]
    bias = np.mean([each.bias for each in explained], axis=0) if count else np.zeros(len(data.targets))
    return Part(data.modality, segments), bias


def _activate(model: Model, explained: Explained) -> Explained:
    """Carry the maps of a segment through the last activation, so that they add up to what comes out of it.

    All positions are multiplied by the slope of the secant from the bias to the score: the rescale rule of DeepLIFT
    (Shrikumar et al. 2017).
    """
    low, high = (end.cpu().numpy().astype(float) for end in model.target_scale)
    size = high - low
    bias = (explained.bias.astype(float) - low) / size
    maps = explained.maps.astype(float) / size.reshape(-1, *[1] * (explained.maps.ndim - 1))
    added = maps.reshape(len(maps), -1).mean(1)
    with torch.inference_mode():
        start, end = model.head[-1](torch.from_numpy(np.stack([bias, bias + added]))).numpy()
    slope = size * np.divide(end - start, added, out=np.zeros_like(added), where=added != 0)
    return explained._replace(maps=maps * slope.reshape(-1, *[1] * (maps.ndim - 1)), bias=low + size * start)


def _relative(part: Part, gate: np.ndarray, rest: np.ndarray) -> Part:
    """Multiply shares by the gate of the part, and spread the rest over its positions."""
    segments = []
    for segment in part.segments:
        names, space = segment.coordinates.axes[0].names, segment.shares.shape[1:]
        real = np.array([bool(name) for name in names]) if names else np.ones(space, bool)
        share = rest / (len(part.segments) * real.sum())
        shape = (-1, *[1] * len(space))
        segments.append(segment._replace(shares=gate.reshape(shape) * segment.shares + share.reshape(shape) * real))
    return part._replace(segments=segments)
