"""Line charts of the report, bar charts of named numbers, and stacked bars."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from personality.atomic import atomic_write

COLOURS = ("#c0392b", "#2471a3", "#d68910", "#229954", "#884ea0")
PIECES = ("#1b7837", "#d8b365", "#bdbdbd")
"""Colours of the pieces of stacked bars, from the bottom up."""
RAISES, LOWERS = "#b2182b", "#2166ac"
BARS = 15
"""How many named numbers have a bar of their own."""
LONGEST = 34
"""How many characters of a name are shown."""


def draw_lines(lines: Mapping[str, np.ndarray], unit: str) -> bytes:
    """Draw lines, each given as points `(points, 2)`, above a horizontal axis that counts in `unit`; return a PNG."""
    figure = Figure(figsize=(6, 2.6), dpi=110, layout="constrained")
    axes = figure.subplots()
    for (name, points), colour in zip(lines.items(), COLOURS, strict=False):
        axes.plot(*points.T, color=colour, linewidth=1.5, label=name, marker="." if len(points) < 20 else None)
    axes.set_xlabel(unit, fontsize=8)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def draw_stacked_bars(path: Path, table: pd.DataFrame, unit: str) -> None:
    """Draw a stacked bar for each column of a table, a piece for each row; negative ones go below 0. Save a PNG."""
    figure = Figure(figsize=(7, 3.2), dpi=110, layout="constrained")
    axes = figure.subplots()
    values = np.nan_to_num(table.to_numpy(float))
    for row, (name, colour) in enumerate(zip(table.index, PIECES, strict=False)):
        before = values[:row] * (np.sign(values[:row]) == np.sign(values[row]))
        axes.bar(range(values.shape[1]), values[row], 0.6, bottom=before.sum(0), color=colour, label=name)
    axes.axhline(0, color="0.4", linewidth=0.7)
    axes.set_xticks(range(values.shape[1]), [*table.columns], fontsize=8)
    axes.set_ylabel(unit, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    with atomic_write(path) as part:
        figure.savefig(part, format="png")


def largest(sizes: np.ndarray) -> np.ndarray:
    """Return the indices of the `BARS` largest numbers, the largest first."""
    return np.argsort(-sizes, kind="stable")[:BARS]


def with_rest(shares: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Return the shown shares, and the sum of the others if there are any."""
    rest = [shares.sum() - shares[shown].sum()] if len(shown) < len(shares) else []
    return np.array([*shares[shown], *rest])


def bar_names(names: Sequence[str], count: int) -> list[str]:
    """Name the bars of `with_rest` of so many numbers."""
    return [*names, *([f"{count - len(names):,} others"] if len(names) < count else [])]


def draw_bars(
    axes: Axes, names: Sequence[str], values: Sequence[np.ndarray], limit: float, errors: Sequence[np.ndarray] = ()
) -> None:
    """Draw horizontal bars, the first at the top: red to the right where a value is positive, else blue to the left.

    Args:
        axes: Where to draw.
        names: Of the bars.
        values: `(bars,)` for each of one or two groups; of two, the first is red and the second blue.
        limit: The horizontal axis goes from `-limit` to `limit`.
        errors: Half the length of an interval about each value, for each group.
    """
    rows, height = np.arange(len(names)), 0.8 / len(values)
    for group, row in enumerate(values):
        colours = np.where(row >= 0, RAISES, LOWERS) if len(values) == 1 else (RAISES, LOWERS)[group]
        at = rows + (group - (len(values) - 1) / 2) * height
        error = errors[group] if len(errors) and np.isfinite(errors[group]).all() else None
        axes.barh(at, row, height, color=colours, xerr=error, error_kw={"elinewidth": 0.7, "ecolor": "0.3"})
    axes.axvline(0, color="0.4", linewidth=0.7)
    axes.set(xlim=(-1.05 * limit, 1.05 * limit), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticks(rows, [_shorten(name) for name in names], parse_math=False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.spines[["top", "right"]].set_visible(False)


def _shorten(name: str) -> str:
    """Cut the middle of a long name out."""
    half = LONGEST // 2
    return name if len(name) <= LONGEST else f"{name[:half].rstrip()}…{name[-half:].lstrip()}"
