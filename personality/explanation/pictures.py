"""Maps drawn over spectrograms, spectra and faces."""

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

from personality.traits import Axis, Coordinates

COLOURS = "RdBu_r"
"""Red speaks for a trait, blue against it, white says nothing."""
KEPT = 0.8
"""The original's view keeps what lies at or above this share of a map's own range."""
SHAPE = 11 / 3.2
"""Width over height of a single picture."""
PANELS = {"left": 0.05, "right": 0.915, "bottom": 0.14, "top": 0.84, "wspace": 0.2}
"""Where they stand in a single picture, in Matplotlib's words."""
POINTS = 1500
"""Of a long spectrum that are drawn: more than a picture has pixels."""


class Heatmap(NamedTuple):
    """One segment and what of it speaks for or against a trait."""

    title: str
    inputs: np.ndarray
    """`(channels, *space)` as on disk."""
    map: np.ndarray
    """`(*space)`, signed, in units of the score."""
    bias: float
    coordinates: Coordinates
    mask: np.ndarray | None = None
    """`(*space)` boolean: where a planted cue lies, if that is known."""
    waveform: np.ndarray | None = None
    """`(2, moments)`, the lowest and highest values of the sound over its time, to stand beside a spectrum."""


def draw_sheet(path: Path, title: str, heatmaps: Sequence[Heatmap], limit: float) -> None:
    """Draw up to 20 heatmaps as a sheet of 5 x 4, all on one symmetric scale from `-limit` to `limit`."""
    columns, rows = 5, max(1, -(-len(heatmaps) // 5))
    height = 0.7 + 2.35 * rows  # inches
    figure = Figure(figsize=(13, height))
    figure.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top", parse_math=False)
    edges = {"left": 0.045, "right": 0.92, "bottom": 0.45 / height, "top": 1 - 0.85 / height}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={"wspace": 0.18, "hspace": 0.45, **edges})
    for number, axes in enumerate(grid.flat):
        if number >= len(heatmaps):
            axes.set_axis_off()
            continue
        draw_map(axes, heatmaps[number], limit)
        axes.set_title(heatmaps[number].title, fontsize=7, parse_math=False)
        axes.tick_params(labelsize=6.5)
        if number % columns:
            axes.set(yticks=[], ylabel="")  # those of the first column
        if number + columns < len(heatmaps):
            axes.set_xlabel("")
    colour_bar(figure, limit, figure.add_axes((0.94, 0.3, 0.01, 0.4)))
    save_picture(figure, path, dpi=110)


def draw_heatmaps(paths: Sequence[Path], heatmaps: Sequence[Heatmap], limit: float) -> None:
    """Draw segments, a picture each: as they are, with their signed map over them, and where it is near its maximum.

    In front of a spectrum, which has no time, stands the waveform. All pictures share their axes: half the time.
    """
    titles = ["input", "for (red) and against (blue)", f"map's range above {KEPT}"]
    if any(heatmap.waveform is not None for heatmap in heatmaps):
        titles.insert(0, "waveform")
    figure = Figure(figsize=(3.2 * SHAPE, 3.2))
    row = figure.subplots(1, len(titles), gridspec_kw=PANELS)
    for axes, title in zip(row, titles, strict=True):
        axes.set_title(title, fontsize=8)
        axes.tick_params(labelsize=7)
    colour_bar(figure, limit, figure.add_axes((0.93, 0.2, 0.01, 0.56)))
    for path, heatmap in zip(paths, heatmaps, strict=True):
        title = f"{heatmap.title}   bias {heatmap.bias:+.3f}".replace("\n", "   ")
        figure.suptitle(title, fontsize=9, parse_math=False)
        for drawn in [artist for axes in row for artist in (*axes.images, *axes.collections)]:
            drawn.remove()
        if heatmap.waveform is not None:
            draw_waveform(row[0], heatmap.coordinates, heatmap.waveform)
        draw_input(row[-3], heatmap)
        draw_map(row[-2], heatmap, limit)
        draw_peak(row[-1], heatmap)
        for axes in row[-2:]:
            axes.set(yticks=[], ylabel="")  # those of the first
        save_picture(figure, path, dpi=90)


def draw_input(axes: Axes, heatmap: Heatmap) -> None:
    """Draw a segment in the units of its space: seconds and Hz, Hz alone, or a picture."""
    if _is_spectrum(heatmap.coordinates):
        axes.fill_between(*_envelope(heatmap), color="0.3", linewidth=0.5, zorder=2)
    else:
        axes.imshow(_as_picture(heatmap.inputs, heatmap.coordinates), cmap="gray_r", **_frame(heatmap.coordinates))
    _label(axes, heatmap.coordinates)


def draw_map(axes: Axes, heatmap: Heatmap, limit: float) -> None:
    """Draw a segment with its map over it, and a thin line around a planted cue where there is one."""
    draw_input(axes, heatmap)
    values, frame = _as_picture(heatmap.map[None], heatmap.coordinates), _frame(heatmap.coordinates)
    opacity = 0.85 * np.clip(np.abs(values) / limit, 0, 1) ** 0.7
    axes.imshow(values, cmap=COLOURS, vmin=-limit, vmax=limit, alpha=opacity, zorder=1, **frame)
    if heatmap.mask is not None and heatmap.mask.any() and not heatmap.mask.all():
        if _is_spectrum(heatmap.coordinates):
            hertz, planted = (values[:: _step(values)] for values in (heatmap.coordinates.axes[0].values, heatmap.mask))
            axes.fill_between(hertz, 1, where=planted, facecolor="none", edgecolor="black", linewidth=0.7)
            return
        mask = _as_picture(heatmap.mask[None], heatmap.coordinates).astype(float)
        axes.contour(mask, levels=[0.5], colors="black", linewidths=0.7, extent=frame["extent"], origin=frame["origin"])


def draw_waveform(axes: Axes, coordinates: Coordinates, waveform: np.ndarray) -> None:
    """Draw sound over time."""
    seconds = np.linspace(coordinates.start, coordinates.end, waveform.shape[1])
    axes.fill_between(seconds, *waveform, color="0.4", linewidth=0.5)
    axes.set(xlim=(coordinates.start, coordinates.end), yticks=[])
    axes.set_xlabel("seconds", fontsize=8)


def draw_peak(axes: Axes, heatmap: Heatmap) -> None:
    """Draw the original's view: the input in the colours of `jet`, masked where its map is below 0.8 of its range."""
    draw_input(axes, heatmap)
    lowest, highest = heatmap.map.min(), heatmap.map.max()
    hidden = _as_picture(heatmap.map[None], heatmap.coordinates) < lowest + KEPT * (highest - lowest)
    frame = _frame(heatmap.coordinates)
    if _is_spectrum(heatmap.coordinates):
        axes.imshow(np.where(hidden, np.nan, 1.0), cmap="jet", vmin=0, vmax=1.1, alpha=0.4, zorder=1, **frame)
        return
    picture = _as_picture(heatmap.inputs, heatmap.coordinates)
    grey = picture if picture.ndim == 2 else picture.mean(2)
    axes.imshow(np.ones_like(grey), cmap="gray", vmin=0, vmax=1, zorder=1, **frame)
    axes.imshow(np.ma.array(grey, mask=hidden), cmap="jet", vmin=grey.min(), vmax=grey.max(), zorder=2, **frame)


def _is_spectrum(coordinates: Coordinates) -> bool:
    return len(coordinates.axes) == 1


def is_photograph(coordinates: Coordinates) -> bool:
    """Tell whether a segment is a picture."""
    return coordinates.axes[0].name == "height"


def _as_picture(values: np.ndarray, coordinates: Coordinates) -> np.ndarray:
    """Turn `(channels, *space)` into rows by columns as `imshow` takes them: frequency upwards, time to the right."""
    if _is_spectrum(coordinates):
        return values[:1, :: _step(values[0])]
    if is_photograph(coordinates):
        return np.moveaxis(values, 0, -1) if len(values) == 3 else values[0]
    return values[0].T


def _frame(coordinates: Coordinates) -> dict[str, Any]:
    """Say how `imshow` lays rows and columns out."""
    if is_photograph(coordinates):
        return {"extent": (0, 1, 1, 0), "aspect": "equal", "origin": "upper"}
    if _is_spectrum(coordinates):
        hertz = coordinates.axes[0].values
        return {"extent": (hertz[0], hertz[-1], 0, 1), "aspect": "auto", "origin": "lower"}
    return {
        "extent": (coordinates.start, coordinates.end, 0, len(coordinates.axes[1].values)),
        "aspect": "auto",
        "origin": "lower",
    }


def _label(axes: Axes, coordinates: Coordinates) -> None:
    if is_photograph(coordinates):
        axes.set(xticks=[], yticks=[])
        return
    axes.xaxis.set_major_locator(MaxNLocator(4))  # few words in a small picture, and they are what takes time
    if _is_spectrum(coordinates):
        axes.set(xlim=coordinates.axes[0].values[[0, -1]], yticks=[], ylim=(0, 1))
        axes.set_xlabel("Hz", fontsize=8)
    else:
        _mark_hertz(axes, coordinates.axes[1])
        axes.set_xlabel("seconds", fontsize=8)


def _mark_hertz(axes: Axes, frequency: Axis) -> None:
    """Write round frequencies at the bands that they fall into."""
    hertz = [h for h in (200, 500, 1000, 2000, 4000, 8000) if frequency.values[0] <= h <= frequency.values[-1]]
    bands = np.interp(hertz, frequency.values, np.arange(len(frequency.values)) + 0.5)
    axes.set_yticks(bands, [f"{h / 1000:g}k" if h >= 1000 else str(h) for h in hertz])
    axes.set_ylabel("Hz", fontsize=8)


def _step(values: np.ndarray) -> int:
    return max(1, len(values) // POINTS)


def _envelope(heatmap: Heatmap) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Thin a long spectrum out to Hz and the lowest and highest value about there, scaled to [0, 1]."""
    hertz, values = heatmap.coordinates.axes[0].values, heatmap.inputs[0]
    step = _step(values)
    stretches = values[: len(values) // step * step].reshape(-1, step)
    lowest, highest = stretches.min(1), stretches.max(1)
    base, size = lowest.min(), max(highest.max() - lowest.min(), 1e-12)
    return hertz[: stretches.size : step], (lowest - base) / size, (highest - base) / size


def save_picture(figure: Figure, path: Path, dpi: int) -> None:
    """Write a picture as PNG; packed less tightly than by default, which is 2 % larger and a quarter faster."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a clip's name in a script that the font lacks is drawn as boxes
        figure.savefig(path, dpi=dpi, pil_kwargs={"compress_level": 3})


def colour_bar(figure: Figure, limit: float, axes: Axes) -> None:
    """Draw the scale from `-limit` to `limit`."""
    colours = ScalarMappable(Normalize(-limit, limit), cmap=COLOURS)
    bar = figure.colorbar(colours, cax=axes)
    bar.set_label("evidence, in units of the score", fontsize=8)
    bar.ax.tick_params(labelsize=7)


def panels(count: int) -> list[tuple[float, float, float, float]]:
    """Say where `draw_heatmaps` puts its panels: left, top, right, bottom of each, as shares of the picture."""
    gap = PANELS["wspace"]
    width = (PANELS["right"] - PANELS["left"]) / (count + gap * (count - 1))
    lefts = [PANELS["left"] + width * (1 + gap) * number for number in range(count)]
    return [(left, 1 - PANELS["top"], left + width, 1 - PANELS["bottom"]) for left in lefts]
