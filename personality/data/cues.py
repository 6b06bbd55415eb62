"""Where planted and annotated cues lie in a segment."""

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


def mask_cues(cues: pd.DataFrame, modality: Modality, coordinates: Coordinates) -> dict[str, np.ndarray]:
    """Mark the positions of a segment on which planted cues lie.

    Args:
        cues: The rows of `Corpus.cues` of the segment's clip.
        modality: Of the input.
        coordinates: Where the segment lies.

    Returns:
        For each trait a boolean mask of the segment's space, `(*space)`.
    """
    cues = cues[cues["modality"] == modality]
    return {trait: _cover(cues[cues["trait"] == trait], coordinates) for trait in TRAITS}


def mask_annotations(annotations: pd.DataFrame, modality: Modality, coordinates: Coordinates) -> dict[str, np.ndarray]:
    """Mark the positions of a segment on which human annotations lie.

    Args:
        annotations: Of a clip: rows of `personality.corpus.mm_ocean.Annotations`.
        modality: Of the input. On words lie those of words, and those of the voice.
        coordinates: Where the segment lies.

    Returns:
        For each kind and each region of the annotations a boolean mask of the segment's space, `(*space)`; nothing
        where the times and places of the space are unknown.
    """
    if any(name not in EDGES for name in coordinates.positions()):
        return {}
    rows = annotations[annotations["modality"].isin(["audio", "text"] if modality == "text" else [modality])]
    names = [*rows["kind"].unique(), *sorted({*rows["cue"]} - {*rows["kind"]})]
    return {name: _cover(rows[(rows["kind"] == name) | (rows["cue"] == name)], coordinates) for name in names}


def _cover(cues: pd.DataFrame, coordinates: Coordinates) -> np.ndarray:
    """Return a boolean mask of a segment's space, true within any of the cues."""
    mask = np.zeros([len(axis.values) for axis in coordinates.axes], dtype=bool)
    positions = [(values, *EDGES[name]) for name, values in coordinates.positions().items()]
    for cue in cues[(cues["start"] <= coordinates.end) & (cues["end"] > coordinates.start)].to_dict("records"):
        mask |= reduce(
            np.logical_and, [(cue[low] <= values) & (values <= cue[high]) for values, low, high in positions]
        )
    return mask
