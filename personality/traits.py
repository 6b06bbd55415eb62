"""What all packages share: the names of the traits, and the types that data and models exchange."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:  # torch takes seconds to import, and makers of clips do without
    from torch import Tensor

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
"""The Big Five in the order of the acronym OCEAN and of published tables. In the labels of First Impressions,
`neuroticism` is emotional *stability*: it correlates positively with the other four."""

CLIP_SECONDS = 15.3
"""Duration of a clip of First Impressions. Longer videos are cut into clips of this duration."""

TARGETS = (*TRAITS, "interview")
"""All labels of First Impressions; `interview` is whether to invite the person to a job interview."""

QUANTILES = 101
"""How many evenly spaced quantiles describe the training labels of a target: one for each percent, with both ends."""

Modality = Literal["audio", "image", "text", "vector", "joint"]
"""What an input shows; backbone, baseline and pictures follow from it. `joint` are several inputs of the same clip."""


class Batch(NamedTuple):
    """One clip, or with a leading batch dimension `B` several: all that a model gets from the data."""

    inputs: Tensor
    """`(segments, channels, *space)`, with one or two dimensions of space."""
    labels: Tensor
    """`(targets,)` labels in the units of the corpus; NaN where a clip has no label."""
    segments: Tensor | int
    """The number of real segments; those after them are padding of a short clip. 0 for one with nothing to score."""
    clip: Tensor | int
    """The clip's row in its split, by which metrics and heatmaps identify it."""
    encoded_by: str = ""
    """If `inputs` are what the frozen part of a model makes of them, `(segments, ...)`: its key."""
    parts: Mapping[str, Batch] = {}
    """Of joint data the inputs of the same clips, by name; its own `inputs` are then empty."""


class Scores(NamedTuple):
    """The scores of a batch of clips."""

    clips: Tensor
    """`(B, targets)`: the mean over the real segments of each clip."""
    segments: Tensor
    """`(B, S, targets)`: the score of each segment, NaN for padding."""
    parts: Tensor | None = None
    """`(B, parts, targets)` of a joint model: what each part adds to the bias, NaN where it is missing in the clip."""


class Axis(NamedTuple):
    """One dimension of an input's space, with the coordinates of its positions."""

    name: str
    """`time` in seconds, `frequency` in Hz, `height` or `width` as a share of the video frame; of embeddings
    `number`, or `frame`, which counts vectors of unknown time; `word` of a transcript."""
    values: np.ndarray
    """`(positions,)` float64, ascending: the centre of each position."""
    names: tuple[str, ...] = ()
    """Of the positions, where they have names: numbers of embeddings, words of a transcript."""
    times: np.ndarray | None = None
    """`(positions, 2)` of words: when each starts and ends, in seconds; NaN where unknown."""


class Coordinates(NamedTuple):
    """The times and axes of a segment in its clip."""

    start: float
    end: float
    """In seconds; the end is NaN where it is unknown."""
    axes: tuple[Axis, ...]
    """One for each dimension of the input's space. For a face that is turned upright, those through its centre."""
    transform: np.ndarray | None = None
    """`(2, 3)` for a face that is turned upright: times `(column, row, 1)` of a position it gives its width and height
    as shares of the video frame."""

    def positions(self) -> dict[str, np.ndarray]:
        """Return the coordinates of every position: for the name of each axis an array that broadcasts to the space.

        >>> turned = np.array([[0.0, 0.1, 0.2], [-0.1, 0.0, 0.9]])  # by 90 degrees
        >>> axes = Axis("height", np.array([0.3, 0.4])), Axis("width", np.array([0.5, 0.6, 0.7]))
        >>> Coordinates(0.0, 0.0, axes).positions()["width"].tolist()
        [[0.5, 0.6, 0.7]]
        >>> Coordinates(0.0, 0.0, axes, turned).positions()["height"].round(1).tolist()
        [[0.9, 0.8, 0.7], [0.9, 0.8, 0.7]]
        """
        if self.axes and self.axes[0].times is not None:
            return {"time": self.axes[0].times.mean(1)}  # of words: when their middle is
        names = [axis.name for axis in self.axes]
        if self.transform is None:
            values = np.meshgrid(*(axis.values for axis in self.axes), indexing="ij", sparse=True)
            return dict(zip(names, values, strict=True))
        rows, columns = np.indices([len(axis.values) for axis in self.axes])
        width, height = np.einsum("ij,jrc->irc", self.transform, np.stack([columns, rows, np.ones_like(rows)]))
        return {"height": height, "width": width}

    def occupied(self) -> np.ndarray:
        """Return which positions of the space hold anything, boolean `(*space)`: after the last word there is nothing.

        >>> words = Axis("word", np.arange(4.0), ("so", "well", "", ""))
        >>> Coordinates(0.0, 1.0, (words,)).occupied().tolist()
        [True, True, False, False]
        """
        full = np.ones([len(axis.values) for axis in self.axes], bool)
        is_text = self.axes and self.axes[0].name == "word"
        return full & np.array([name != "" for name in self.axes[0].names]) if is_text else full


def source_id(clip: str) -> str:
    """Return the name of the video that a clip was cut from. Clips of one source show the same person.

    >>> source_id("-Ab.x_9-7kQ.003.mp4")
    '-Ab.x_9-7kQ'
    >>> source_id("holiday.mp4")
    'holiday'
    >>> source_id("lecture.01000.mp4")  # a video of more than a thousand clips, over four hours
    'lecture'
    """
    return re.sub(r"(\.(\d{3}|\d{5}))?(\.[A-Za-z]\w{1,4})?$", "", clip)
