"""Splits in which the clips of a source video, and so of a person, stay together."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import mean

from personality.corpus.base import SPLITS
from personality.traits import source_id

SHARES = (6, 2, 2)
"""Relative sizes of the splits: those of First Impressions."""


def split_by_source(clips: Iterable[str], seed: int = 0, shares: Sequence[float] = SHARES) -> list[str]:
    """Split clips so that all clips of a source are in one split.

    Sources of many clips come first, in the order of a hash of their names, and each goes to the split that is least
    full. The splits depend neither on the order of the clips nor on the machine.

    Args:
        clips: Their names.
        seed: Seed of the hash.
        shares: Relative sizes of the splits.

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
    split_of = {}
    for source in sorted(sizes, key=lambda source: (-sizes[source], _hash(source, seed))):
        split_of[source] = min(SPLITS, key=lambda split: filled[split] / share[split])
        filled[split_of[source]] += sizes[source]
    return [split_of[source_id(clip)] for clip in names]


def train_source_share(clips: Iterable[str], train: Iterable[str]) -> float:
    """Return the share of clips whose source is also in train.

    >>> train_source_share(["a.001.mp4", "b.001.mp4"], train=["a.000.mp4"])
    0.5
    """
    known = {source_id(clip) for clip in train}
    return mean(source_id(clip) in known for clip in clips)


def _hash(source: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {source}".encode()).hexdigest()
