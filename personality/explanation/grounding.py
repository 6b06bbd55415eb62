"""Whether attribution maps lie on known cues: the pointing games."""

import numpy as np


def energy_pointing_game(map_: np.ndarray, mask: np.ndarray, occupied: np.ndarray | None = None) -> float:
    """Compare a map with a known cue: energy-based pointing game (Wang et al. 2020), as a ratio.

    Args:
        map_: `(*space)`, signed; only its positive part counts.
        mask: `(*space)` boolean, true on the cue.
        occupied: The positions that hold anything: `Coordinates.occupied`. By default all.

    Returns:
        The share of the map's positive part that lies on the cue, divided by the share that a constant map has there:
        1 for a map that does not know the cue. NaN where there is no positive part or no cue.

    >>> energy_pointing_game(np.array([0.0, 3.0, 1.0, -9.0]), np.array([False, True, False, False]))
    3.0
    >>> energy_pointing_game(np.array([3.0, 1.0, 0.0]), np.array([True, False, False]), np.array([True, True, False]))
    1.5
    """
    if occupied is not None:
        map_, mask = map_[occupied], mask[occupied]
    positive = np.clip(map_, 0, None)
    if not mask.any() or not positive.any():
        return float("nan")
    return float(positive[mask].sum() / positive.sum() / mask.mean())


def pointing_game(map_: np.ndarray, mask: np.ndarray, occupied: np.ndarray | None = None) -> float:
    """Return whether the maximum of a map lies on a known cue (pointing game, Zhang et al. 2018).

    Of several equal maxima, return the share that lies on the cue. NaN where there is no cue.

    >>> pointing_game(np.array([0.0, 3.0, 1.0, -9.0]), np.array([False, True, False, False]))
    1.0
    >>> pointing_game(np.zeros(4), np.array([True, False, False, False]))
    0.25
    """
    if occupied is not None:
        map_, mask = map_[occupied], mask[occupied]
    return float(mask[map_ == map_.max()].mean()) if mask.any() else float("nan")
