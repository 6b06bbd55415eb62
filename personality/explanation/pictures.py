"""Pictures of attribution maps over spectrograms, spectra and video frames."""

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

from personality.traits import Axis, Coordinates, Modality

COLOURS = "RdBu_r"
"""Red: the score rises; blue: it falls; white: no attribution."""
PEAK = 0.8
"""The original's view shows the positions at or above this share of a map's range."""
MAX_POINTS = 1500
"""How many points of a long spectrum are drawn: more than a picture has pixels."""

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
    def is_spectrum(self) -> bool:
        """Whether the input is sound without a time axis."""
        return self.modality == "audio" and not self.has_time

    @property
    def has_time(self) -> bool:
        """Whether the input has a time axis."""
        return any(axis.name == "time" for axis in self.coordinates.axes)


class Panels(NamedTuple):
    """Where the panels of a picture lie, in shares of its width and height from the top left."""

    map_centre: float
    """The horizontal centre of the panel with the map."""
    time: list[Box]
    """`(left, top, right, bottom)` of each panel whose horizontal axis is time."""


def draw_sheet(path: Path, title: str, heatmaps: Sequence[Heatmap], limit: float) -> None:
    """Draw heatmaps as a sheet of rows of 5, all on one colour scale from `-limit` to `limit`."""
    columns, rows = 5, max(1, -(-len(heatmaps) // 5))
    height = 0.7 + 2.35 * rows  # inches
    figure = Figure(figsize=(13, height))
    figure.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top", parse_math=False)
    edges = {"left": 0.045, "right": 0.92, "bottom": 0.45 / height, "top": 1 - 0.85 / height}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.18, "hspace": 0.45, **edges})
    for index, axes in enumerate(grid.flat):
        if index >= len(heatmaps):
            axes.set_axis_off()
            continue
        draw_map(axes, heatmaps[index], limit)
        axes.set_title(heatmaps[index].title, fontsize=7, parse_math=False)
        axes.tick_params(labelsize=6.5)
        if index % columns:
            axes.set(yticks=[], ylabel="")  # as in the first column
        if index + columns < len(heatmaps):
            axes.set_xlabel("")
    colour_bar(figure, limit, figure.add_axes((0.94, 0.3, 0.01, 0.4)))
    save_picture(figure, path, dpi=110)


def draw_heatmaps(paths: Sequence[Path], heatmaps: Sequence[Heatmap], limit: float) -> Panels:
    """Draw each segment as a picture with three panels: the input, its map over it, and where the map is highest.

    Inputs without a time axis get a fourth panel in front, with the waveform. All pictures share their axes, which
    halves the time.
    """
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
    boxes = [_box(axes) for axes in panels]
    left, _, right, _ = boxes[-2]
    return Panels(round((left + right) / 2, 4), boxes if heatmaps[0].has_time else boxes[:-3])


def _box(axes: Axes) -> Box:
    box = axes.get_position()
    left, top, right, bottom = (round(float(edge), 4) for edge in (box.x0, 1 - box.y1, box.x1, 1 - box.y0))
    return left, top, right, bottom


def draw_input(axes: Axes, heatmap: Heatmap) -> None:
    """Draw a segment in the units of its space: seconds and Hz, Hz alone, or a video frame."""
    if heatmap.is_spectrum:
        axes.fill_between(*_envelope(heatmap), color="0.3", linewidth=0.5, zorder=2)
    else:
        axes.imshow(_image(heatmap, heatmap.inputs), cmap="gray_r", **_layout(heatmap))
    _label_axes(axes, heatmap)


def draw_map(axes: Axes, heatmap: Heatmap, limit: float) -> None:
    """Draw a segment with its map over it, and a thin line around a planted cue."""
    draw_input(axes, heatmap)
    values, layout = _image(heatmap, heatmap.map[None]), _layout(heatmap)
    opacity = 0.85 * np.clip(np.abs(values) / limit, 0, 1) ** 0.7
    axes.imshow(values, cmap=COLOURS, vmin=-limit, vmax=limit, alpha=opacity, zorder=1, **layout)
    mask = heatmap.mask
    if mask is None or not mask.any() or mask.all():
        return
    if heatmap.is_spectrum:
        hertz, cue = (values[:: _step(values)] for values in (heatmap.coordinates.axes[0].values, mask))
        axes.fill_between(hertz, 1, where=cue, facecolor="none", edgecolor="black", linewidth=0.7)
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
    if heatmap.is_spectrum:
        axes.imshow(np.where(hidden, np.nan, 1.0), cmap="jet", vmin=0, vmax=1.1, alpha=0.4, zorder=1, **layout)
        return
    image = _image(heatmap, heatmap.inputs)
    grey = image if image.ndim == 2 else image.mean(2)
    axes.imshow(np.ones_like(grey), cmap="gray", vmin=0, vmax=1, zorder=1, **layout)
    axes.imshow(np.ma.array(grey, mask=hidden), cmap="jet", vmin=grey.min(), vmax=grey.max(), zorder=2, **layout)


def _image(heatmap: Heatmap, values: np.ndarray) -> np.ndarray:
    """Turn `(channels, *space)` into rows by columns for `imshow`: frequency upwards, time to the right."""
    if heatmap.modality == "image":
        return np.moveaxis(values, 0, -1) if len(values) == 3 else values[0]
    return values[:1, :: _step(values[0])] if heatmap.is_spectrum else values[0].T


def _layout(heatmap: Heatmap) -> dict[str, Any]:
    """Return the options of `imshow` that place rows and columns."""
    start, end, axes, _ = heatmap.coordinates
    if heatmap.modality == "image":
        return {"extent": (0, 1, 1, 0), "aspect": "equal", "origin": "upper"}
    hertz = axes[-1].values
    extent = (hertz[0], hertz[-1], 0, 1) if heatmap.is_spectrum else (start, end, 0, len(hertz))
    return {"extent": extent, "aspect": "auto", "origin": "lower"}


def _label_axes(axes: Axes, heatmap: Heatmap) -> None:
    left, right, bottom, top = _layout(heatmap)["extent"]
    axes.set(xlim=(left, right), ylim=(bottom, top))  # contours would extend the limits by those of earlier pictures
    if heatmap.modality == "image":
        axes.set(xticks=[], yticks=[])
        return
    frequency = heatmap.coordinates.axes[-1]
    axes.xaxis.set_major_locator(MaxNLocator(4))  # tick labels are what takes time
    if heatmap.is_spectrum:
        axes.set_yticks([])
        axes.set_xlabel("Hz", fontsize=8)
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
    """Thin a long spectrum out: Hz, and the lowest and highest value about each, scaled to [0, 1]."""
    hertz, values = heatmap.coordinates.axes[0].values, heatmap.inputs[0]
    step = _step(values)
    blocks = values[: len(values) // step * step].reshape(-1, step)
    lowest, highest = blocks.min(1), blocks.max(1)
    base, size = lowest.min(), max(highest.max() - lowest.min(), 1e-12)
    return hertz[: blocks.size : step], (lowest - base) / size, (highest - base) / size


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
