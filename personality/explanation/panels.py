"""Heatmaps as pictures: each segment for itself, and sheets of many."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure

from personality.explanation.charts import bar_names, draw_bars, largest, with_rest
from personality.explanation.pictures import (
    PEAK,
    Box,
    Heatmap,
    colour_bar,
    draw_input,
    draw_map,
    draw_peak,
    draw_waveform,
    panel_box,
    quiet_fonts,
    save_picture,
    write_png,
)

COLUMNS = 5
"""Of a sheet."""


class Panels:
    """Draws single segments as pictures with three panels: the input, its map over it, and where the map is highest.

    Inputs without a time axis get a fourth panel in front, with the waveform. The segments are those of one data
    module: what their pictures share (frequencies, titles, and the colour scale of a trait) is drawn once and copied,
    which halves the time.
    """

    def __init__(self) -> None:
        self.figure = Figure(figsize=(11, 3.2), dpi=90)
        self.canvas = FigureCanvasAgg(self.figure)
        self.panels: list[Axes] = []
        self.bar: Colorbar | None = None
        self.frame: Any = None
        self.limit = 0.0

    def draw(self, paths: Sequence[Path], heatmaps: Sequence[Heatmap], limit: float) -> list[Box]:
        """Draw segments on one colour scale from `-limit` to `limit`; return the panels over time."""
        if heatmaps[0].names:
            return draw_bar_charts(paths, heatmaps)
        if not self.panels:
            self._lay_out(heatmaps[0])
        for path, heatmap in zip(paths, heatmaps, strict=True):
            self._show(heatmap, limit)
            with quiet_fonts():
                if limit != self.limit:
                    self._draw_frame(limit)
                self.canvas.restore_region(self.frame)  # type: ignore[no-untyped-call]
                for artist in self._changing():
                    self.figure.draw_artist(artist)
            write_png(self.canvas, path)
        boxes = [panel_box(axes) for axes in self.panels]
        return boxes if heatmaps[0].has_time else boxes[:-3]

    def _lay_out(self, heatmap: Heatmap) -> None:
        titles = ["input", "for (red) and against (blue)", f"map's range above {PEAK}"]
        if heatmap.waveform is not None:
            titles.insert(0, "waveform")
        edges = {"left": 0.05, "right": 0.915, "bottom": 0.14, "top": 0.84, "wspace": 0.2}
        self.panels = self.figure.subplots(1, len(titles), gridspec_kw=edges).tolist()
        self.title = self.figure.suptitle("", fontsize=9, parse_math=False)
        for axes, title in zip(self.panels, titles, strict=True):
            axes.set_title(title, fontsize=8)
            axes.tick_params(labelsize=7)
        for axes in self.panels[-2:]:
            axes.set_yticks([])  # as in the first panel

    def _show(self, heatmap: Heatmap, limit: float) -> None:
        """Put a segment into the panels, in the place of the one before."""
        self.title.set_text(f"{heatmap.title}   bias {heatmap.bias:+.3f}".replace("\n", "   "))
        for drawn in [artist for axes in self.panels for artist in (*axes.images, *axes.collections)]:
            drawn.remove()
        first, second, third = self.panels[-3:]
        if heatmap.waveform is not None:
            draw_waveform(self.panels[0], heatmap.coordinates, heatmap.waveform)
        draw_input(first, heatmap, "x" if self.bar else "xy")
        draw_map(second, heatmap, limit, "x")
        draw_peak(third, heatmap)

    def _changing(self) -> list[Artist]:
        """Return what differs between the pictures of a trait, in the order in which it is drawn."""
        return [
            self.title,
            *(
                artist
                for axes in self.panels
                for artist in (*axes.images, *axes.collections, axes.xaxis, *axes.spines.values())
            ),
        ]

    def _draw_frame(self, limit: float) -> None:
        """Draw what the pictures of a trait share."""
        if self.bar:
            self.bar.mappable.set_clim(-limit, limit)
        else:
            self.bar = colour_bar(self.figure, limit, self.figure.add_axes((0.93, 0.2, 0.01, 0.56)))
        for artist in self._changing():
            artist.set_animated(True)  # left out here
        self.canvas.draw()  # type: ignore[no-untyped-call]
        self.frame, self.limit = self.canvas.copy_from_bbox(self.figure.bbox), limit  # type: ignore[no-untyped-call]


def draw_sheet(path: Path, title: str, heatmaps: Sequence[Heatmap], limit: float) -> None:
    """Draw heatmaps as a sheet of rows of 5, all on one colour scale from `-limit` to `limit`."""
    if heatmaps and heatmaps[0].names:
        draw_bar_sheet(path, title, heatmaps)
        return
    count = len(heatmaps)
    height = 0.7 + 2.35 * max(1, -(-count // COLUMNS))  # inches
    figure, grid = _lay_out_sheet(title, count, height, left=0.045, right=0.92, bottom=0.45, wspace=0.18, hspace=0.45)
    for index, (axes, heatmap) in enumerate(zip(grid, heatmaps, strict=True)):
        draw_map(axes, heatmap, limit, "x" if index % COLUMNS else "xy")
        _caption(axes, heatmap, index)
        if index + COLUMNS < count:
            axes.set_xlabel("")
    colour_bar(figure, limit, figure.add_axes((0.94, 0.3, 0.01, 0.4)))
    save_picture(figure, path, dpi=110)


def draw_bar_sheet(path: Path, title: str, heatmaps: Sequence[Heatmap]) -> None:
    """Draw the shares of named numbers in scores as a sheet of bar charts, with the same numbers and scale in all."""
    shares = np.stack([heatmap.shares for heatmap in heatmaps])
    shown = largest(np.abs(shares).mean(0))
    names = [heatmaps[0].names[index] for index in shown]
    values = [with_rest(row, shown) for row in shares]
    limit = max(1e-12, *(float(np.abs(row).max()) for row in values))
    count = len(heatmaps)
    height = 0.9 + -(-count // COLUMNS) * (0.8 + 0.13 * len(values[0]))  # inches
    figure, grid = _lay_out_sheet(title, count, height, left=0.16, right=0.985, bottom=0.5, wspace=0.08, hspace=0.32)
    for index, (axes, heatmap) in enumerate(zip(grid, heatmaps, strict=True)):
        draw_bars(axes, bar_names(names, shares.shape[1]), [values[index]], limit)
        _caption(axes, heatmap, index)
        if index + COLUMNS >= count:
            axes.set_xlabel("share of the score", fontsize=7)
    save_picture(figure, path, dpi=110)


def _lay_out_sheet(
    title: str, count: int, height: float, bottom: float, **edges: float
) -> tuple[Figure, Iterator[Axes]]:
    """Lay out a sheet; `height` and the margin `bottom` in inches. Return it and its panels, row by row."""
    figure = Figure(figsize=(13, height))
    figure.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top", parse_math=False)
    rows = max(1, -(-count // COLUMNS))
    grid = figure.add_gridspec(rows, COLUMNS, bottom=bottom / height, top=1 - 0.85 / height, **edges)
    return figure, (figure.add_subplot(grid[divmod(index, COLUMNS)]) for index in range(count))


def _caption(axes: Axes, heatmap: Heatmap, index: int) -> None:
    """Title a panel of a sheet. Only the first of a row has labels on the left, which hold for all."""
    axes.set_title(heatmap.title, fontsize=7, parse_math=False)
    axes.tick_params(labelsize=6.5)
    if index % COLUMNS:
        axes.set_yticks([])


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
