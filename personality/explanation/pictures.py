"""Pictures of attribution maps over spectrograms, spectra, video frames and embeddings."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from personality.explanation.charts import bar_names, draw_bars, largest, with_rest
from personality.traits import Axis, Coordinates, Modality

COLOURS = "RdBu_r"
"""Red: the score rises; blue: it falls; white: no attribution."""
PEAK = 0.8
"""The original's view shows the positions at or above this share of a map's range."""
MAX_POINTS = 1500
"""How many points of a long spectrum or waveform are drawn: more than a picture has pixels."""

UNITS = {"frequency": "Hz", "time": "seconds", "frame": "frames"}

Box = tuple[float, float, float, float]


class Heatmap(NamedTuple):
    """One segment with its attribution map for one trait."""

    title: str
    modality: Modality
    inputs: np.ndarray
    """`(channels, *space)` before normalisation."""
    map: np.ndarray
    """`(*space)`, signed, in units of the score."""
    bias: float
    coordinates: Coordinates
    mask: np.ndarray | None = None
    """`(*space)` boolean: where a planted cue lies, if known."""
    waveform: np.ndarray | None = None
    """`(2, moments)`: the lowest and highest values of the sound over the segment, for inputs without a time axis."""

    @property
    def is_line(self) -> bool:
        """Whether the input is sound along one axis: a spectrum or a waveform."""
        return self.modality == "audio" and len(self.coordinates.axes) == 1

    @property
    def has_time(self) -> bool:
        """Whether the input has a time axis."""
        return any(axis.name == "time" for axis in self.coordinates.axes)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the positions, where they have names instead of an order."""
        return self.coordinates.axes[0].names

    @property
    def shares(self) -> np.ndarray:
        """The share of each position in the score, `(*space)`: all of them and the bias are the score."""
        shares: np.ndarray = self.map / self.map.size
        return shares


def draw_sheet(path: Path, title: str, heatmaps: Sequence[Heatmap], limit: float) -> None:
    """Draw heatmaps as a sheet of rows of 5, all on one colour scale from `-limit` to `limit`."""
    if heatmaps and heatmaps[0].names:
        draw_bar_sheet(path, title, heatmaps)
        return
    columns, rows = 5, max(1, -(-len(heatmaps) // 5))
    height = 0.7 + 2.35 * rows  # inches
    figure = Figure(figsize=(13, height))
    figure.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top", parse_math=False)
    edges = {"left": 0.045, "right": 0.92, "bottom": 0.45 / height, "top": 1 - 0.85 / height}
    grid = figure.add_gridspec(rows, columns, wspace=0.18, hspace=0.45, **edges)
    for index in range(len(heatmaps)):
        axes = figure.add_subplot(grid[divmod(index, columns)])
        draw_map(axes, heatmaps[index], limit)
        axes.set_title(heatmaps[index].title, fontsize=7, parse_math=False)
        axes.tick_params(labelsize=6.5)
        if index % columns:
            axes.set(yticks=[], ylabel="")  # as in the first column
        if index + columns < len(heatmaps):
            axes.set_xlabel("")
    colour_bar(figure, limit, figure.add_axes((0.94, 0.3, 0.01, 0.4)))
    save_picture(figure, path, dpi=110)


def draw_heatmaps(paths: Sequence[Path], heatmaps: Sequence[Heatmap], limit: float) -> list[Box]:
    """Draw each segment as a picture with three panels: the input, its map over it, and where the map is highest.

    Inputs without a time axis get a fourth panel in front, with the waveform. All pictures share their axes, which
    halves the time.

    Returns:
        The panels whose horizontal axis is time.
    """
    if heatmaps[0].names:
        return draw_bar_charts(paths, heatmaps)
    titles = ["input", "for (red) and against (blue)", f"map's range above {PEAK}"]
    if any(heatmap.waveform is not None for heatmap in heatmaps):
        titles.insert(0, "waveform")
    figure = Figure(figsize=(11, 3.2))
    edges = {"left": 0.05, "right": 0.915, "bottom": 0.14, "top": 0.84, "wspace": 0.2}
    panels = figure.subplots(1, len(titles), gridspec_kw=edges)
    for axes, title in zip(panels, titles, strict=True):
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=7)
    colour_bar(figure, limit, figure.add_axes((0.93, 0.2, 0.01, 0.56)))
    for path, heatmap in zip(paths, heatmaps, strict=True):
        title = f"{heatmap.title}   bias {heatmap.bias:+.3f}".replace("\n", "   ")
        figure.suptitle(title, fontsize=9, parse_math=False)
        for drawn in [artist for axes in panels for artist in (*axes.images, *axes.collections)]:
            drawn.remove()
        if heatmap.waveform is not None:
            draw_waveform(panels[0], heatmap.coordinates, heatmap.waveform)
        draw_input(panels[-3], heatmap)
        draw_map(panels[-2], heatmap, limit)
        draw_peak(panels[-1], heatmap)
        for axes in panels[-2:]:
            axes.set(yticks=[], ylabel="")  # as in the first panel
        save_picture(figure, path, dpi=90)
    boxes = [panel_box(axes) for axes in panels]
    return boxes if heatmaps[0].has_time else boxes[:-3]


def draw_bar_sheet(path: Path, title: str, heatmaps: Sequence[Heatmap]) -> None:
    """Draw the shares of named numbers in scores as a sheet of bar charts, with the same numbers and scale in all."""
    columns, rows = 5, -(-len(heatmaps) // 5)
    shares = np.stack([heatmap.shares for heatmap in heatmaps])
    shown = largest(np.abs(shares).mean(0))
    names = [heatmaps[0].names[index] for index in shown]
    values = [with_rest(row, shown) for row in shares]
    limit = max(1e-12, *(float(np.abs(row).max()) for row in values))
    size = len(values[0])
    height = 0.9 + rows * (0.8 + 0.13 * size)  # inches
    figure = Figure(figsize=(13, height))
    figure.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top", parse_math=False)
    edges = {"left": 0.16, "right": 0.985, "bottom": 0.5 / height, "top": 1 - 0.85 / height}
    grid = figure.add_gridspec(rows, columns, wspace=0.08, hspace=0.32, **edges)
    for index in range(len(heatmaps)):
        axes = figure.add_subplot(grid[divmod(index, columns)])
        draw_bars(axes, bar_names(names, shares.shape[1]), [values[index]], limit)
        axes.set_title(heatmaps[index].title, fontsize=7, parse_math=False)
        axes.tick_params(labelsize=6.5)
        if index % columns:
            axes.set(yticks=[])  # as in the first column
        if index + columns >= len(heatmaps):
            axes.set_xlabel("share of the score", fontsize=7)
    save_picture(figure, path, dpi=110)


def draw_bar_charts(paths: Sequence[Path], heatmaps: Sequence[Heatmap]) -> list[Box]:
    """Draw for each clip a bar chart of the numbers with the largest shares in its score, with their values."""
    for path, heatmap in zip(paths, heatmaps, strict=True):
        shown = largest(np.abs(heatmap.shares))
        values = with_rest(heatmap.shares, shown)
        names = [f"{heatmap.names[index]} = {heatmap.inputs[0, index]:.4g}" for index in shown]
        figure = Figure(figsize=(8, 1.1 + 0.2 * len(values)))
        axes = figure.add_axes((0.36, 0.14, 0.61, 0.72))
        figure.suptitle(
            f"{heatmap.title}   bias {heatmap.bias:+.3f}".replace("\n", "   "), fontsize=9, parse_math=False
        )
        draw_bars(axes, bar_names(names, len(heatmap.shares)), [values], max(1e-12, float(np.abs(values).max())))
        axes.tick_params(labelsize=8)
        axes.set_xlabel(f"share of the score: these bars and the bias add up to {_total(heatmap):.3f}", fontsize=8)
        save_picture(figure, path, dpi=90)
    return []


def _total(heatmap: Heatmap) -> float:
    return float(heatmap.shares.sum() + heatmap.bias)


def panel_box(axes: Axes) -> Box:
    """Return where a panel lies in its picture."""
    box = axes.get_position()
    left, top, right, bottom = (round(float(edge), 4) for edge in (box.x0, 1 - box.y1, box.x1, 1 - box.y0))
    return left, top, right, bottom


def draw_input(axes: Axes, heatmap: Heatmap, labelled: bool = True) -> None:
    """Draw a segment in the units of its space: seconds and Hz, one of them, or a video frame."""
    if heatmap.is_line:
        axes.fill_between(*_envelope(heatmap), color="0.3", linewidth=0.5, zorder=2)
    else:
        axes.imshow(_image(heatmap, heatmap.inputs), cmap="gray_r", **_layout(heatmap))
    if labelled:
        _label_axes(axes, heatmap)


def draw_map(axes: Axes, heatmap: Heatmap, limit: float, labelled: bool = True) -> None:
    """Draw a segment with its map over it, and a thin line around a planted cue.

    Of several segments in the same axes it is enough to have one `labelled`: tick labels are what takes time.
    """
    draw_input(axes, heatmap, labelled)
    values, layout = _image(heatmap, heatmap.map[None]), _layout(heatmap)
    opacity = 0.85 * np.clip(np.abs(values) / limit, 0, 1) ** 0.7
    axes.imshow(values, cmap=COLOURS, vmin=-limit, vmax=limit, alpha=opacity, zorder=1, **layout)
    mask = heatmap.mask
    if mask is None or not mask.any() or mask.all():
        return
    if heatmap.is_line:
        positions, cue = (values[:: _step(values)] for values in (heatmap.coordinates.axes[0].values, mask))
        axes.fill_between(positions, 1, where=cue, facecolor="none", edgecolor="black", linewidth=0.7)
    else:
        image = _image(heatmap, mask[None]).astype(float)
        axes.contour(
            image, levels=[0.5], colors="black", linewidths=0.7, extent=layout["extent"], origin=layout["origin"]
        )


def draw_waveform(axes: Axes, coordinates: Coordinates, waveform: np.ndarray) -> None:
    """Draw a waveform over time."""
    seconds = np.linspace(coordinates.start, coordinates.end, waveform.shape[1])
    axes.fill_between(seconds, *waveform, color="0.4", linewidth=0.5)
    axes.set(xlim=(coordinates.start, coordinates.end), yticks=[])
    axes.set_xlabel("seconds", fontsize=8)


def draw_peak(axes: Axes, heatmap: Heatmap) -> None:
    """Draw the original's view: the input in the colours of `jet`, only where its map is in the top of its range."""
    draw_input(axes, heatmap)
    lowest, highest = heatmap.map.min(), heatmap.map.max()
    hidden = _image(heatmap, heatmap.map[None]) < lowest + PEAK * (highest - lowest)
    layout = _layout(heatmap)
    if heatmap.is_line:
        axes.imshow(np.where(hidden, np.nan, 1.0), cmap="jet", vmin=0, vmax=1.1, alpha=0.4, zorder=1, **layout)
        return
    image = _image(heatmap, heatmap.inputs)
    grey = image if image.ndim == 2 else image.mean(2)
    hidden = np.broadcast_to(hidden, grey.shape)
    axes.imshow(np.ones_like(grey), cmap="gray", vmin=0, vmax=1, zorder=1, **layout)
    axes.imshow(np.ma.array(grey, mask=hidden), cmap="jet", vmin=grey.min(), vmax=grey.max(), zorder=2, **layout)


def _image(heatmap: Heatmap, values: np.ndarray) -> np.ndarray:
    """Turn `(channels, *space)` into rows by columns for `imshow`: frequency upwards, time to the right."""
    if heatmap.modality == "image":
        return np.moveaxis(values, 0, -1) if len(values) == 3 else values[0]
    if heatmap.modality == "vector":  # each number on its own scale
        scaled: np.ndarray = (values - values.mean(1, keepdims=True)) / (values.std(1, keepdims=True) + 1e-12)
        return scaled
    return values[:1, :: _step(values[0])] if heatmap.is_line else values[0].T


def _layout(heatmap: Heatmap) -> dict[str, Any]:
    """Return the options of `imshow` that place rows and columns."""
    start, end, axes, _ = heatmap.coordinates
    if heatmap.modality == "image":
        return {"extent": (0, 1, 1, 0), "aspect": "equal", "origin": "upper"}
    if heatmap.modality == "vector":
        half = axes[0].values[0]  # the centre of the first position
        return {"extent": (0.0, axes[0].values[-1] + half, 0, 1), "aspect": "auto", "origin": "lower"}
    values = axes[-1].values
    extent = (values[0], values[-1], 0, 1) if heatmap.is_line else (start, end, 0, len(values))
    return {"extent": extent, "aspect": "auto", "origin": "lower"}


def _label_axes(axes: Axes, heatmap: Heatmap) -> None:
    left, right, bottom, top = _layout(heatmap)["extent"]
    axes.set(xlim=(left, right), ylim=(bottom, top))  # contours would extend the limits by those of earlier pictures
    if heatmap.modality == "image":
        axes.set(xticks=[], yticks=[])
        return
    frequency = heatmap.coordinates.axes[-1]
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if heatmap.is_line:
        axes.set_yticks([])
        axes.set_xlabel(UNITS[frequency.name], fontsize=8)
    elif heatmap.modality == "vector":
        axes.set_yticks([])
        axes.set_ylabel(f"{len(heatmap.inputs):,} numbers", fontsize=8)
        axes.set_xlabel(UNITS[heatmap.coordinates.axes[0].name], fontsize=8)
    else:
        bands, labels = frequency_ticks(frequency)
        axes.set_yticks(bands + 0.5, labels)
        axes.set_ylabel("Hz", fontsize=8)
        axes.set_xlabel("seconds", fontsize=8)


def frequency_ticks(frequency: Axis) -> tuple[np.ndarray, list[str]]:
    """Return the positions of round frequencies along an axis, as fractions of an index, and their labels."""
    values = frequency.values
    hertz = [h for h in (200, 500, 1000, 2000, 4000, 8000) if values[0] <= h <= values[-1]]
    return np.interp(hertz, values, np.arange(len(values))), [f"{h / 1000:g}k" if h >= 1000 else str(h) for h in hertz]


def _step(values: np.ndarray) -> int:
    return max(1, len(values) // MAX_POINTS)


def _envelope(heatmap: Heatmap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin a long line out: positions, and the lowest and highest value about each, scaled to [0, 1]."""
    positions, values = heatmap.coordinates.axes[0].values, heatmap.inputs[0].astype(float)
    step = _step(values)
    blocks = values[: len(values) // step * step].reshape(-1, step)
    lowest, highest = blocks.min(1), blocks.max(1)
    base, size = lowest.min(), max(highest.max() - lowest.min(), 1e-12)
    return positions[: blocks.size : step], (lowest - base) / size, (highest - base) / size


def save_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Write a picture as PNG; this compression is a quarter faster than the default, for files 2 % larger."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # names in a script that the font lacks are drawn as boxes
        figure.savefig(path, dpi=dpi, pil_kwargs={"compress_level": 3})


def colour_bar(figure: Figure, limit: float, axes: Axes) -> None:
    """Draw the colour scale from `-limit` to `limit`."""
    colours = ScalarMappable(Normalize(-limit, limit), cmap=COLOURS)
    bar = figure.colorbar(colours, cax=axes)
    bar.set_label("attribution, in units of the score", fontsize=8)
    bar.ax.tick_params(labelsize=7)
