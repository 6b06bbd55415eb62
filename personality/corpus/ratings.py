"""Labels of several raters: their mean, and how far they agree, which is the ceiling of every model."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

log = logging.getLogger(__name__)


def average_raters(rows: pd.DataFrame, targets: Sequence[str], file: Path) -> pd.DataFrame:
    """Average the labels of a clip over its rows, one a rater, and log how far the raters agree.

    Args:
        rows: Index `clip`; the columns `targets` hold labels, `rater` names the rater, if there are several.
        targets: Names of the labels.
        file: The table, for errors.

    Returns:
        One row a clip, in the order of the first rows.

    Raises:
        ValueError: A clip has several rows and no raters, or two by the same rater, or its rows differ in more than
            labels.
    """
    keys = [rows.index, rows["rater"]] if "rater" in rows else [rows.index]
    doubled = rows.groupby(keys, dropna=False).cumcount() > 0
    if doubled.any():
        clip, line = rows.index[doubled][0], rows.loc[doubled.to_numpy(), "line"].iloc[0]
        by = f" by the rater {rows.loc[doubled.to_numpy(), 'rater'].iloc[0]}" if "rater" in rows else ""
        raise ValueError(
            f"{file} has {clip} twice{by}, the second time in {line}. Expected a row a clip, or a column rater that "
            "tells the rows of a clip apart; remove the row, or add the column."
        )
    if not rows.index.has_duplicates:
        return rows
    same = rows.drop(columns=[*targets, "rater", "line"])
    first = same[~same.index.duplicated()]
    expected = first.loc[same.index]
    for row, column in np.argwhere(((same != expected) & (same.notna() | expected.notna())).to_numpy())[:1]:
        raise ValueError(
            f"The rows of {same.index[row]} in {file} have different values of {same.columns[column]}. Expected raters "
            "to differ in labels alone; correct them."
        )
    log.info("%s: %d clips, each the mean of %s raters. %s", file, *_describe(rows, targets))
    return first.join(rows[[*targets]].groupby(level="clip").mean())


def agreement(ratings: pd.DataFrame) -> tuple[float, float]:
    """Compute how far raters agree, and the ceiling that this sets for a model.

    Args:
        ratings: A row a clip, a column a rater, NaN where a rater did not see a clip.

    Returns:
        Krippendorff's alpha for interval data (1 is perfect, 0 is chance; 1 less the variance within clips over that of
        all ratings), and the highest correlation with the mean
        of the raters that a model can be expected to reach: the square root of their reliability, k * alpha / (1 +
        (k - 1) * alpha) for k ratings a clip (Spearman and Brown 1910). NaN where no clip has two ratings.
    """
    paired = ratings[ratings.notna().sum(axis=1) > 1]
    counts, values = paired.notna().sum(axis=1), paired.to_numpy(float)
    everything = values[np.isfinite(values)]
    if len(everything) < 2 or not np.ptp(everything):
        return np.nan, np.nan
    within = float((counts * paired.var(axis=1)).sum() / counts.sum())
    alpha = 1 - within / float(everything.var(ddof=1))
    count = float(counts.mean())
    reliability = count * alpha / (1 + (count - 1) * alpha)
    return alpha, float(np.sqrt(max(reliability, 0)))


def _describe(rows: pd.DataFrame, targets: Sequence[str]) -> tuple[int, str, str]:
    counts = rows.groupby(level="clip").size()
    raters = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    parts = []
    for target in targets:
        alpha, ceiling = agreement(rows.reset_index().pivot_table(target, "clip", "rater"))
        parts.append(f"{target} {alpha:.2f} ({ceiling:.2f})")
    about = "Krippendorff's alpha (and the correlation that no model exceeds by more than chance): "
    return len(counts), raters, about + ", ".join(parts)
