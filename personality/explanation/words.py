"""Words with what each adds to a score: pictures of transcripts, and a table of the words of a split."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from personality.explanation.explainer import BATCH, Explainer
from personality.explanation.pictures import COLOURS, Box, Heatmap, colour_bar, save_picture

log = logging.getLogger(__name__)

MOST_CLIPS = 1000
"""Of how many clips, evenly chosen, the words are counted."""
WIDTH_OF_LETTER = 0.602
"""Of DejaVu Sans Mono, as a share of the size of the font."""


def draw_word_sheet(path: Path, title: str, heatmaps: Sequence[Heatmap], limit: float) -> None:
    """Draw transcripts as a sheet of rows of 4, each word in the colour of its share."""
    columns, letters = 4, 44
    rows = -(-len(heatmaps) // columns)
    lines = max(max(len(_lines(heatmap, letters)) for heatmap in heatmaps), 4)
    height = 0.8 + rows * (0.45 + 0.15 * lines)  # inches
    figure = Figure(figsize=(13, height))
    figure.suptitle(title, fontsize=12, y=1 - 0.12 / height, va="top", parse_math=False)
    edges = {"left": 0.015, "right": 0.925, "bottom": 0.1 / height, "top": 1 - 0.8 / height}
    spaces = {"wspace": 0.06, "hspace": 0.45 / (0.15 * lines)}
    grid = figure.subplots(rows, columns, squeeze=False, gridspec_kw={**edges, **spaces})
    for index, axes in enumerate(grid.flat):
        axes.set_axis_off()
        if index < len(heatmaps):
            axes.set_title(heatmaps[index].title, fontsize=7, parse_math=False)
            _draw_text(axes, heatmaps[index], limit, letters, lines, 13 * 0.91 / columns * 0.955)
    colour_bar(figure, limit / heatmaps[0].map.size, figure.add_axes((0.94, 0.3, 0.01, 0.4)))
    save_picture(figure, path, dpi=110)


def draw_word_pictures(paths: Sequence[Path], heatmaps: Sequence[Heatmap], limit: float) -> list[Box]:
    """Draw the transcript of each clip, each word in the colour of its share."""
    for path, heatmap in zip(paths, heatmaps, strict=True):
        lines = max(3, len(_lines(heatmap, 92)))
        height = 0.6 + 0.2 * lines
        figure = Figure(figsize=(8, height))
        title = f"{heatmap.title}   bias {heatmap.bias:+.3f}".replace("\n", "   ")
        figure.suptitle(title, fontsize=9, parse_math=False, y=1 - 0.1 / height, va="top")
        axes = figure.add_axes((0.02, 0.08 / height, 0.96, 1 - 0.5 / height))
        axes.set_axis_off()
        _draw_text(axes, heatmap, limit, 92, lines, 8 * 0.96)
        save_picture(figure, path, dpi=90)
    return []


def _lines(heatmap: Heatmap, letters: int) -> list[list[int]]:
    """Break a text into lines of at most so many letters: the indices of the words of each."""
    lines: list[list[int]] = [[]]
    used = 0
    for index, name in enumerate(heatmap.names):
        if not name:
            break
        if used + len(name) > letters and lines[-1]:
            lines.append([])
            used = 0
        lines[-1].append(index)
        used += len(name) + 1
    return lines


def _draw_text(axes: Axes, heatmap: Heatmap, limit: float, letters: int, lines: int, inches: float) -> None:
    """Draw words in lines, on backgrounds in the colours of their shares."""
    size = inches * 72 / letters / WIDTH_OF_LETTER
    colours, norm = colormaps[COLOURS], Normalize(-limit, limit)
    axes.set(xlim=(0, letters), ylim=(lines, 0))
    for row, indices in enumerate(_lines(heatmap, letters)):
        at = 0
        for index in indices:
            word, value = heatmap.names[index], float(heatmap.map[index])
            axes.text(
                at + 0.15, row + 0.5, word, family="monospace", fontsize=size, va="center", parse_math=False,
                color="white" if abs(value) > 0.6 * limit else "black",
                bbox={"facecolor": colours(norm(value)), "edgecolor": "none", "pad": 1.2},
            )  # fmt: skip
            at += len(word) + 1


def save_words(folder: Path, explainer: Explainer) -> None:
    """Save what each word of a split adds, on average over where it is said: `words.csv`.

    Columns trait, word (in small letters, without punctuation), clips, times, sources, and share (mean, in
    units of the label). Words of fewer than three sources are left out. The largest come first.

    Args:
        folder: It exists.
        explainer: Of an input of text.
    """
    data, split = explainer.data, explainer.split
    clips = np.flatnonzero(data.segments(split) > 0)
    chosen = clips[np.unique(np.linspace(0, len(clips) - 1, min(MOST_CLIPS, len(clips))).astype(int))]
    groups, rows = data.clips(split)["group"], []
    for start in range(0, len(chosen), BATCH):
        some = chosen[start : start + BATCH]
        explained = explainer.explain(np.stack([some, np.zeros_like(some)], axis=1))
        for clip, each in zip(some.tolist(), explained, strict=True):
            names = data.coordinates(split, clip, 0).axes[0].names
            shares = each.maps / each.maps.shape[1]
            words = ["".join(letter for letter in name.lower() if letter.isalnum() or letter == "'") for name in names]
            rows += [(clip, groups.iloc[clip], word, *shares[:, at]) for at, word in enumerate(words) if word]
    table = pd.DataFrame(rows, columns=["clip", "group", "word", *data.targets])
    by_word = table.groupby("word")
    counts = by_word.agg(clips=("clip", "nunique"), times=("clip", "size"), sources=("group", "nunique"))
    means = by_word[data.targets].mean().melt(var_name="trait", value_name="share", ignore_index=False)
    found = means.join(counts).query("sources >= 3").reset_index()
    found = found.iloc[found["share"].abs().argsort(kind="stable")[::-1]].sort_values("trait", kind="stable")
    columns = ["trait", "word", "clips", "times", "sources", "share"]
    found[columns].to_csv(folder / "words.csv", index=False, float_format="%.6g")
    for trait, part in found.groupby("trait", sort=False):
        top = ", ".join(f"{word} {share:+.4f}" for word, share in part[["word", "share"]].head(8).to_numpy())
        log.info("Words with the largest shares in %s of the %s split: %s", trait, split, top)
