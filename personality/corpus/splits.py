"""Splits and folds in which the clips of a group, such as a person or a source video, stay together."""

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from statistics import mean

import numpy as np
import pandas as pd

SPLITS = ("train", "val", "test")
"""The parts of a corpus: to train on, to select models with, to report results of."""
SHARES = (6, 2, 2)
"""Relative sizes of the splits: those of First Impressions."""


def split_by_group(groups: Sequence[str], seed: int = 0, shares: Sequence[float] = SHARES) -> list[str]:
    """Split clips so that all clips of a group are in one split.

    Groups of many clips come first, in the order of a hash of their names, and each goes to the split that is least
    full. The splits depend neither on the order of the clips nor on the machine.

    Args:
        groups: The group of each clip.
        seed: Seed of the hash.
        shares: Relative sizes of train, val and test.

    Returns:
        The split of each clip.

    Raises:
        ValueError: The shares are not three numbers above 0, or there are fewer groups than splits.

    Example:
        >>> split_by_group(["b", "a", "b", "c"])
        ['train', 'val', 'train', 'test']
    """
    if len(shares) != len(SPLITS) or min(shares) <= 0:
        raise ValueError(f"Got shares {[*shares]}: expected three above 0, of {', '.join(SPLITS)}.")
    share, sizes = dict(zip(SPLITS, shares, strict=True)), Counter(groups)
    _require_groups(sizes, len(SPLITS), "splits")
    filled = dict.fromkeys(SPLITS, 0)
    split_of = {}
    for group in sorted(sizes, key=lambda group: (-sizes[group], _hash(group, seed))):
        split_of[group] = min(SPLITS, key=lambda split: filled[split] / share[split])
        filled[split_of[group]] += sizes[group]
    return [split_of[group] for group in groups]


def fold_by_group(groups: Sequence[str], labels: pd.DataFrame, folds: int, seed: int = 0) -> np.ndarray:
    """Divide clips into folds of about equal size and equal labels, so that all clips of a group are in one fold.

    Groups are ordered by their mean label, standardised and averaged over the labels. Of each `folds` neighbours in
    that order every fold gets one, the least full fold the largest. The folds depend neither on the order of the clips
    nor on the machine.

    Args:
        groups: The group of each clip.
        labels: A row a clip, a column a label, NaN where there is none.
        folds: Their number.
        seed: Seed of the hash that orders groups with the same labels.

    Returns:
        `(clips,)` the fold of each clip, from 0 on.

    Raises:
        ValueError: There are fewer groups than folds, or fewer than three folds.
    """
    if folds < 3:
        raise ValueError(f"Got folds={folds}: expected at least 3, one to test, one to validate, the rest to train on.")
    sizes = Counter(groups)
    _require_groups(sizes, folds, "folds")
    std = labels.std(ddof=0).replace(0, 1)
    level = ((labels - labels.mean()) / std).mean(axis=1).groupby([*groups]).mean().fillna(0)
    order = sorted(sizes, key=lambda group: (round(level[group], 9), _hash(group, seed)))
    filled, fold_of = np.zeros(folds, dtype=int), dict[str, int]()
    for start in range(0, len(order), folds):
        free = [*range(folds)]
        for group in sorted(order[start : start + folds], key=lambda group: (-sizes[group], _hash(group, seed))):
            fold_of[group] = min(free, key=lambda fold: filled[fold])
            free.remove(fold_of[group])
            filled[fold_of[group]] += sizes[group]
    return np.array([fold_of[group] for group in groups])


def known_share(groups: Collection[str], train: Collection[str]) -> float:
    """Return the share of clips whose group is also in train.

    >>> known_share(["a", "b"], train=["a", "a"])
    0.5
    """
    known = {*train}
    return mean(group in known for group in groups)


def _require_groups(sizes: Counter[str], count: int, parts: str) -> None:
    if len(sizes) < count:
        remedy = "choose fewer folds, or another corpus.group" if parts == "folds" else "choose another corpus.group"
        raise ValueError(
            f"Got {len(sizes)} group{'s' * (len(sizes) != 1)} of clips for {count} {parts}: expected at least one "
            f"group for each; {remedy}."
        )


def _hash(group: str, seed: int) -> str:
    return hashlib.sha256(f"{seed} {group}".encode()).hexdigest()
