"""Which clips to learn from, to choose by and to report, so that nobody is in two of these parts."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import mean

from personality.corpus.base import SPLITS
from personality.traits import source_id

SHARES = (6, 2, 2)
"""How large the splits are in comparison: as those of First Impressions."""


def split_by_source(clips: Iterable[str], seed: int = 0, shares: Sequence[float] = SHARES) -> list[str]:
    """Split clips so that all clips of a source are in one split.

    Chance decides, through a hash of the source's name: neither the order of the clips nor the machine matters. Sources
    of many clips go first, each to the split that is least full, so that sizes come as near to the shares as they can.

    Args:
        clips: Their names.
        seed: Another one gives other splits.
        shares: How large the splits are in comparison.

    Returns:
        The split of each clip.

    Raises:
        ValueError: The shares are not three numbers above 0.

    Example:
        >>> split_by_source(["b.000.mp4", "a.000.mp4", "b.001.mp4", "c.000.mp4"])
        ['train', 'val', 'train', 'test']
    """
    if len(shares) != len(SPLITS) or min(shares) <= 0:
        raise ValueError(f"Got shares {[*shares]}: expected three above 0, of {', '.join(SPLITS)}.")
    names, share = list(clips), dict(zip(SPLITS, shares, strict=True))
    sizes = Counter(source_id(clip) for clip in names)
    filled = dict.fromkeys(SPLITS, 0)
    place = {}
    for source in sorted(sizes, key=lambda source: (-sizes[source], _chance(source, seed))):
        place[source] = min(SPLITS, key=lambda split: filled[split] / share[split])
        filled[place[source]] += sizes[source]
    return [place[source_id(clip)] for clip in names]


def crossing(clips: Iterable[str], train: Iterable[str]) -> float:
    """Share of clips whose source is also trained on: what is measured on them is partly memory.

    >>> crossing(["a.001.mp4", "b.001.mp4"], train=["a.000.mp4"])
    0.5
    """
    known = {source_id(clip) for clip in train}
    return mean(source_id(clip) in known for clip in clips)


def _chance(source: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {source}".encode()).hexdigest()
