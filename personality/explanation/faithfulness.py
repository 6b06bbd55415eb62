"""Whether a map tells the truth, measured."""

import numpy as np


def pointing(map_: np.ndarray, mask: np.ndarray) -> float:
    """Compare a map with the place of evidence that is known: energy-based pointing (Wang et al. 2020), over chance.

    Args:
        map_: `(*space)`, signed; only what speaks for the trait counts.
        mask: `(*space)` boolean, true where the evidence lies.

    Returns:
        The share of the positive energy that lies inside the mask, divided by the share that a constant map would have
        there. 1 is chance; NaN where there is no positive energy or no evidence.

    >>> pointing(np.array([0.0, 3.0, 1.0, -9.0]), np.array([False, True, False, False]))
    3.0
    """
    positive = np.clip(map_, 0, None)
    if not mask.any() or not positive.any():
        return float("nan")
    return float(positive[mask].sum() / positive.sum() / mask.mean())
