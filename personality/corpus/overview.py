"""What a corpus holds, in a few lines of text: clips, groups, splits, and the distribution of every label."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from personality.corpus.splits import SPLITS, known_share
from personality.tables import format_clips, join_names

BLOCKS = "▁▂▃▄▅▆▇█"
BINS = 12


def overview(table: pd.DataFrame, targets: Sequence[str], scale: tuple[float, float] | None) -> str:
    """Describe a table of `Corpus.read`.

    Args:
        table: With the split of every clip.
        targets: Names of the labels.
        scale: The lowest and highest label there can be, if that is known.

    Returns:
        Lines of text: each split with its clips and groups, and how many of its clips are of a group that is also in
        train; each label with its range, mean, standard deviation and histogram; labels that are constant.
    """
    sizes = table["group"].value_counts()
    counts = f"{sizes.min()} to {sizes.max()} clips" if sizes.min() < sizes.max() else f"{sizes.min()} each"
    lines = [f"{format_clips(table.index, 2)} in {len(sizes):,} groups ({counts})"]
    found = table[table["path"].notna()]
    train = found.loc[found["split"] == "train", "group"].tolist()
    for split in SPLITS:
        labelled = int((table["split"] == split).sum())
        if not labelled:
            lines.append(f"  {split}: no labels")
            continue
        groups = found.loc[found["split"] == split, "group"]
        count = groups.nunique()
        line = f"  {split}: {len(groups):,} of {labelled:,} labelled clips found, {count:,} group{'s' * (count != 1)}"
        if split != "train" and len(groups) and train:
            line += f"; {known_share(groups.tolist(), train):.1%} of its clips are of a group that is also in train"
        lines.append(line)
    width = max(map(len, targets), default=0)
    lines += [f"  {target:{width}} {_describe(table[target], scale)}" for target in targets]
    constant = [target for target in targets if table[target].nunique() < 2]
    if constant:
        lines.append(f"  constant, so nothing can be learnt of it: {join_names(constant, 10)}")
    return "\n".join(lines)


def _describe(labels: pd.Series, scale: tuple[float, float] | None) -> str:
    known = labels.dropna()
    if known.empty:
        return "no label"
    low, high = scale or (known.min(), known.max())
    counts, _ = np.histogram(known, BINS, (low, high if high > low else low + 1))
    heights = np.ceil(counts / counts.max() * (len(BLOCKS) - 1)).astype(int) if counts.any() else counts
    bars = "".join(BLOCKS[height] for height in heights)
    missing = f", {labels.isna().sum():,} missing" if len(known) < len(labels) else ""
    return (
        f"{known.min():.4g} to {known.max():.4g}, mean {known.mean():.4g}, std {known.std():.3g}{missing}  "
        f"{low:.4g} {bars} {high:.4g}"
    )
