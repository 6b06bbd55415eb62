"""Line charts of the report."""

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = ("#c0392b", "#2471a3", "#d68910", "#229954", "#884ea0")


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
