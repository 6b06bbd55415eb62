"""Pictures of a bill: a bar that adds up, and below it a lane for each part, all over one time axis."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from personality.explanation.bill import Bill, Part, Segment
from personality.explanation.charts import LOWERS, RAISES, bar_names, draw_bars, largest, with_rest
from personality.explanation.pictures import (
    COLOURS,
    Box,
    Heatmap,
    colour_bar,
    draw_map,
    panel_box,
    save_picture,
)

HEIGHTS = {"audio": 1.5, "image": 1.25, "text": 1.0, "vector": 2.4}
"""Of a lane, in inches."""
WIDTH = 11.0
LEFT, RIGHT = 0.085, 0.91
"""Where the lanes begin and end, as shares of the width."""


def draw_bill(path: Path, bill: Bill, target: str, title: str) -> list[Box]:
    """Draw the bill of one trait.

    Args:
        path: The picture, a PNG.
        bill: Of a clip.
        target: The trait.
        title: Of the picture.

    Returns:
        The box of each lane whose horizontal axis is time, all with the same times: see `span`.
    """
    index, (start, end) = bill.targets.index(target), span(bill)
    lanes = [*bill.parts.items()]
    heights = [HEIGHTS[part.modality] for _, part in lanes]
    bar, gap, top = 0.36 + 0.22 * (len(lanes) + 2), 0.44, 0.4
    height = top + bar + sum(heights) + gap * (len(heights) + 1) + 0.1
    figure = Figure(figsize=(WIDTH, height))
    figure.suptitle(title, fontsize=10, y=1 - 0.1 / height, va="top", parse_math=False)
    below = height - top - bar
    _draw_sum(figure.add_axes((LEFT, below / height, RIGHT - LEFT, bar / height)), bill, index)
    boxes = []
    for (name, part), size in zip(lanes, heights, strict=True):
        below -= gap + size
        axes = figure.add_axes((LEFT, below / height, RIGHT - LEFT, size / height))
        scale = figure.add_axes((RIGHT + 0.012, below / height, 0.008, size / height))
        is_timed = _draw_lane(figure, axes, scale, part, index, (start, end))
        axes.set_ylabel(name, fontsize=9)
        if is_timed:
            axes.set_xlim(start, end)
            boxes.append(panel_box(axes))
    save_picture(figure, path, dpi=90)
    return boxes


def span(bill: Bill) -> tuple[float, float]:
    """Return the start and the end of the time axis, in seconds."""
    times = [
        time
        for part in bill.parts.values()
        for segment in part.segments
        for time in (segment.coordinates.start, segment.coordinates.end)
    ]
    return 0.0, max([1.0, *(time for time in times if np.isfinite(time))])


def _draw_sum(axes: Axes, bill: Bill, index: int) -> None:
    """Draw the bias, each part where the one before it ends, and the score."""
    names, position = ["bias", *bill.parts, "score"], float(bill.bias[index])
    axes.barh(0, position, color="0.72")
    ends = [0.0, position]
    for row, part in enumerate(bill.parts.values(), start=1):
        share = float(part.total[index])
        axes.barh(row, share, left=position, color=RAISES if share >= 0 else LOWERS)
        axes.plot([position, position], [row - 1.4, row + 0.4], color="0.4", linewidth=0.6)
        position += share
        ends.append(position)
    axes.barh(len(names) - 1, position, color="0.45")
    values = [float(bill.bias[index]), *(float(part.total[index]) for part in bill.parts.values()), position]
    signs = ["{:.3f}", *["{:+.3f}"] * len(bill.parts), "{:.3f}"]
    ends.append(position)
    low, high = min(0.0, *ends), max(ends)
    for row, (value, sign) in enumerate(zip(values, signs, strict=True)):
        at = max(ends[row], ends[row + 1]) if 0 < row < len(names) - 1 else ends[min(row + 1, len(ends) - 1)]
        axes.text(at + 0.008 * (high - low), row, sign.format(value), va="center", fontsize=8)
    axes.set(xlim=(low, high + 0.08 * (high - low)), ylim=(len(names) - 0.4, -0.6))
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_lane(figure: Figure, axes: Axes, scale: Axes, part: Part, index: int, times: tuple[float, float]) -> bool:
    """Draw one part; return whether the horizontal axis is time."""
    limit = max(1e-12, *(float(np.abs(segment.shares[index]).max()) for segment in part.segments))
    if part.modality == "text":
        _draw_words(axes, part.segments[0], index, limit, times)
    elif part.modality == "image":
        _draw_frames(axes, part, index, limit, times)
    elif part.modality == "vector" and part.segments[0].coordinates.axes[0].names:
        scale.set_axis_off()
        _draw_numbers(axes, part.segments[0], index)
        return False
    else:
        for number, segment in enumerate(part.segments, start=1):
            draw_map(axes, _heatmap(segment, part, index), limit, "xy" if number == len(part.segments) else "")
    colour_bar(figure, limit, scale)
    scale.set_ylabel("share", fontsize=7)
    scale.tick_params(labelsize=6)
    axes.tick_params(labelsize=7)
    heatmap = _heatmap(part.segments[0], part, index)
    return part.modality in ("text", "image") or heatmap.has_time


def _heatmap(segment: Segment, part: Part, index: int) -> Heatmap:
    return Heatmap("", part.modality, segment.inputs, segment.shares[index], 0.0, segment.coordinates)


def _draw_frames(axes: Axes, part: Part, index: int, limit: float, times: tuple[float, float]) -> None:
    """Draw each frame, with its map over it, where its time is."""
    inches = WIDTH * (RIGHT - LEFT) / (times[1] - times[0])  # a second
    width = HEIGHTS["image"] / inches
    for segment in part.segments:
        time = (segment.coordinates.start + segment.coordinates.end) / 2
        middle = min(max(time, times[0] + width / 2), times[1] - width / 2)
        frame = axes.inset_axes((middle - width / 2, 0, width, 1), transform=axes.transData)
        draw_map(frame, _heatmap(segment, part, index), limit)
    axes.set(xlim=times, ylim=(0, 1), yticks=[])


def _draw_words(axes: Axes, segment: Segment, index: int, limit: float, times: tuple[float, float]) -> None:
    """Draw each word in the colour of its share where its time is, or in order where times are unknown."""
    axis = segment.coordinates.axes[0]
    words = [name for name in axis.names if name]
    edges = np.linspace(*times, len(words) + 1)
    spans = np.stack([edges[:-1], edges[1:]], axis=1)
    known = axis.times is not None and bool(np.isfinite(axis.times[: len(words)]).all())
    if known and axis.times is not None:
        spans = axis.times[: len(words)]
    colours, norm = colormaps[COLOURS], Normalize(-limit, limit)
    for word, (start, end), share in zip(words, spans.tolist(), segment.shares[index].tolist(), strict=False):
        axes.add_patch(Rectangle((start, 0), end - start, 1, facecolor=colours(norm(share)), edgecolor="white", lw=0.5))
        dark = abs(share) > 0.6 * limit
        axes.text(
            (start + end) / 2, 0.5, word, rotation=90, ha="center", va="center", fontsize=7, parse_math=False,
            color="white" if dark else "black", clip_on=True,
        )  # fmt: skip
    axes.set(xlim=times, ylim=(0, 1), yticks=[])
    axes.set_xlabel("seconds" if known else "words in their order; their times are unknown", fontsize=8)


def _draw_numbers(axes: Axes, segment: Segment, index: int) -> None:
    """Draw the numbers with the largest shares as bars."""
    shares, names = segment.shares[index], segment.coordinates.axes[0].names
    shown = largest(np.abs(shares))
    values = with_rest(shares, shown)
    draw_bars(
        axes, bar_names([names[each] for each in shown], len(shares)), [values], float(np.abs(values).max()) or 1.0
    )
    axes.tick_params(labelsize=6)
