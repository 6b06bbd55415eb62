"""Pictures of attribution maps over spectrograms, spectra, video frames and embeddings."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

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


def panel_box(axes: Axes) -> Box:
    """Return where a panel lies in its picture."""
    box = axes.get_position()
    left, top, right, bottom = (round(float(edge), 4) for edge in (box.x0, 1 - box.y1, box.x1, 1 - box.y0))
    return left, top, right, bottom


def draw_input(axes: Axes, heatmap: Heatmap, labelled: str = "xy") -> None:
    """Draw a segment in the units of its space: seconds and Hz, one of them, or a video frame.

    Tick labels are what takes time: `labelled` says which axes get them, "x", "xy" or, where others do, none.
    """
    if heatmap.is_line:
        axes.fill_between(*_envelope(heatmap), color="0.3", linewidth=0.5, zorder=2)
    else:
        axes.imshow(_image(heatmap, heatmap.inputs), cmap="gray_r", **_layout(heatmap))
    if labelled:
        _label_axes(axes, heatmap, labelled)


def draw_map(axes: Axes, heatmap: Heatmap, limit: float, labelled: str = "xy") -> None:
    """Draw a segment as `draw_input` does, with its map over it, and a thin line around a planted cue."""
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
    lowest, highest = heatmap.map.min(), heatmap.map.max()
    hidden = _image(heatmap, heatmap.map[None]) < lowest + PEAK * (highest - lowest)
    layout = _layout(heatmap)
    if heatmap.is_line:
        draw_input(axes, heatmap, "x")
        axes.imshow(np.where(hidden, np.nan, 1.0), cmap="jet", vmin=0, vmax=1.1, alpha=0.4, zorder=1, **layout)
        return
    image = _image(heatmap, heatmap.inputs)
    grey = image if image.ndim == 2 else image.mean(2)
    hidden = np.broadcast_to(hidden, grey.shape)
    axes.imshow(np.ma.array(grey, mask=hidden), cmap="jet", vmin=grey.min(), vmax=grey.max(), **layout)
    _label_axes(axes, heatmap, "x")


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


def _label_axes(axes: Axes, heatmap: Heatmap, labelled: str) -> None:
    left, right, bottom, top = _layout(heatmap)["extent"]
    axes.set(xlim=(left, right), ylim=(bottom, top))  # contours would extend the limits by those of earlier pictures
    if heatmap.modality == "image":
        axes.set(xticks=[], yticks=[])
        return
    frequency, first = heatmap.coordinates.axes[-1], heatmap.coordinates.axes[0]
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(UNITS[first.name], fontsize=8)
    if "y" not in labelled:
        return
    if heatmap.is_line or heatmap.modality == "vector":
        axes.set_yticks([])
        if heatmap.modality == "vector":
            axes.set_ylabel(f"{len(heatmap.inputs):,} numbers", fontsize=8)
        return
    bands, labels = frequency_ticks(frequency)
    axes.set_yticks(bands + 0.5, labels)
    axes.set_ylabel("Hz", fontsize=8)


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


@contextmanager
def quiet_fonts() -> Iterator[None]:
    """Let names in a script that the font lacks be drawn as boxes, without a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")
        yield


def save_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Draw a figure and write it as PNG."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    with quiet_fonts():
        canvas.draw()  # type: ignore[no-untyped-call]
    write_png(canvas, path)


def write_png(canvas: FigureCanvasAgg, path: Path) -> None:
    """Write what is drawn; this compression takes half of the default's time, for files 7 % larger."""
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
    Image.fromarray(pixels).convert("RGB").save(path, "PNG", compress_level=3)


def colour_bar(figure: Figure, limit: float, axes: Axes) -> Colorbar:
    """Draw the colour scale from `-limit` to `limit`."""
    colours = ScalarMappable(Normalize(-limit, limit), cmap=COLOURS)
    bar = figure.colorbar(colours, cax=axes)
    bar.set_label("attribution, in units of the score", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return bar
