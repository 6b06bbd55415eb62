"""The words that every part shares: the five traits, one clip of a batch, the axes of an input."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:  # torch takes seconds to import, and makers of clips do without
    from torch import Tensor

TRAITS = ("openness", "conscientiousness", "extraversion", "agreeableness", "neuroticism")
"""The Big Five in the order of the acronym OCEAN and of the published tables. As labelled in First Impressions,
`neuroticism` is emotional *stability*: it correlates positively with the other four."""

CLIP_SECONDS = 15.3
"""How long a clip of First Impressions is; longer videos are cut into clips of this length."""

TARGETS = (*TRAITS, "interview")
"""All that clips of First Impressions are labelled with; the last is whether to invite the person to an interview."""


class Batch(NamedTuple):
    """One clip, or with a leading batch dimension a batch of clips: all that a model learns of the data."""

    inputs: Tensor
    """`(segments, channels, *space)`: one or two dimensions of space."""
    labels: Tensor
    """`(targets,)` labels in [0, 1]; NaN where a clip has no label."""
    segments: Tensor | int
    """How many of the segments are real: those after them pad a clip that is shorter than the others."""
    clip: Tensor | int
    """The clip's row in its split: metrics and heatmaps know a clip by it."""


class Scores(NamedTuple):
    """What a model makes of a batch of clips."""

    clips: Tensor
    """`(B, targets)`: the score of each clip, the mean over its real segments."""
    segments: Tensor
    """`(B, S, targets)`: the score of each segment; NaN for segments that pad a short clip."""


class Axis(NamedTuple):
    """One dimension of an input's space and what its positions mean."""

    name: str
    """`time` in seconds, `frequency` in Hz, `height` or `width` as a share of the video frame."""
    values: np.ndarray
    """`(positions,)` float64, ascending: the centre of each position."""


class Coordinates(NamedTuple):
    """Where in its clip a segment lies."""

    start: float
    end: float
    """In seconds."""
    axes: tuple[Axis, ...]
    """One for each dimension of the input's space."""


def source_id(clip: str) -> str:
    """Name the video that a clip was cut from: clips of one source show the same person.

    >>> source_id("-Ab.x_9-7kQ.003.mp4")
    '-Ab.x_9-7kQ'
    >>> source_id("holiday.mp4")
    'holiday'

    A recording of more than four hours has more than a thousand clips, which five digits number:

    >>> source_id("lecture.01000.mp4")
    'lecture'
    """
    return re.sub(r"(\.(\d{3}|\d{5}))?(\.[A-Za-z]\w{1,4})?$", "", clip)
