"""Where the planted cues of a synthetic clip lie in a segment."""

from functools import reduce

import numpy as np
import pandas as pd

from personality.traits import TRAITS, Coordinates, Modality

EDGES = {
    "time": ("start", "end"),
    "frequency": ("low", "high"),
    "height": ("top", "bottom"),
    "width": ("left", "right"),
}
"""The columns of `Corpus.cues` that bound a cue along each axis."""
MODALITIES = {"audio": "sound", "image": "picture", "text": "words"}
"""An input's modality as `Corpus.cues` names it."""


def mask_cues(cues: pd.DataFrame, modality: Modality, coordinates: Coordinates) -> dict[str, np.ndarray]:
    """Mark the positions of a segment on which cues lie.

    Args:
        cues: The rows of `Corpus.cues` of the segment's clip.
        modality: Of the input.
        coordinates: Where the segment lies.

    Returns:
        For each trait a boolean mask of the segment's space, `(*space)`.
    """
    cues = cues[cues["modality"] == MODALITIES.get(modality)]
    cues = cues[(cues["start"] <= coordinates.end) & (cues["end"] > coordinates.start)]
    times = coordinates.axes[0].times
    masks = {trait: np.zeros([len(axis.values) for axis in coordinates.axes], dtype=bool) for trait in TRAITS}
    positions = coordinates.positions() if times is None else {"time": times.mean(1)}
    for cue in cues[cues["trait"].isin(TRAITS)].to_dict("records"):
        bounds = [(values, *EDGES[name]) for name, values in positions.items()]
        inside = [(cue[low] <= values) & (values <= cue[high]) for values, low, high in bounds]
        masks[cue["trait"]] |= reduce(np.logical_and, inside)
    return masks
