"""Videos of one's own on the report page: each score beside the labels of the training clips and the model's error."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from personality.evaluation.predictions import scored_targets
from personality.evaluation.reference import Reference
from personality.explanation.report_tables import Row, Table
from personality.traits import CLIP_SECONDS, source_id

STEPS = 40
"""Of the curve that shows how labels are distributed."""
SMOOTH = np.array([1, 2, 3, 2, 1]) / 9
"""Weights of a step and its neighbours in that curve."""

Chart = Callable[[str, dict[str, np.ndarray], str], dict[str, str]]
"""Draws lines: title, lines and the unit of the horizontal axis."""


def own_videos(path: Path, reference: Reference, chart: Chart) -> list[dict[str, Any]]:
    """Describe the scores of each source video, where no clip has labels.

    Args:
        path: `predictions_<split>.csv`.
        reference: What the model knows of its labels and its error.
        chart: Draws the scores over the clips of a video.

    Returns:
        For each video `title`, `clips` (their number), `scores` (a dict for each trait: `trait`, `score`, `std`, its
        row of `Reference.table`, and `scale`, see `_scale`), `chart`, and `tables` of the single clips.
    """
    if not path.exists():
        return []
    table = pd.read_csv(path, index_col="clip")
    traits = scored_targets(table)
    labels = [f"{trait}_label" for trait in traits if f"{trait}_label" in table]
    if not table[labels].isna().all(axis=None):
        return []
    groups = table.groupby(source_id, sort=False)
    return [_video(str(source), clips, traits, reference, chart) for source, clips in groups]


def _video(source: str, clips: pd.DataFrame, traits: list[str], reference: Reference, chart: Chart) -> dict[str, Any]:
    count, scores = len(clips), clips[traits]
    stds = scores.std(ddof=0) if count > 1 else clips[[f"{trait}_std" for trait in traits]].iloc[0]
    means = reference.table(scores.mean().to_frame(source).T).droplevel("clip").T
    video: dict[str, Any] = {"title": source, "clips": count, "chart": {}, "tables": []}
    video["scores"] = [
        {
            "trait": trait,
            "std": std,
            **means[trait],
            "scale": _scale(trait, scores[trait], means[trait], reference),
        }
        for trait, std in zip(traits, stds, strict=True)
    ]
    if count > 1:
        video["tables"] = [_clip_table(reference.table(scores), traits)]
        if scores.notna().all(axis=None):
            lines = {trait: np.stack([np.arange(count) + 1, clips[trait].to_numpy()], axis=1) for trait in traits}
            video["chart"] = chart(f"{count} clips", lines, f"clip of {CLIP_SECONDS} s")
    return video


def _clip_table(table: pd.DataFrame, traits: list[str]) -> Table:
    rows = []
    for clip, part in table.groupby(level="clip", sort=False):
        cells = part.droplevel("clip").loc[traits]
        rows.append(Row([str(clip)], [_cell(*row) for row in cells.to_numpy(float).tolist()]))
    return Table("", "", traits, rows)


def _cell(score: float, percentile: float, low: float, high: float) -> list[str]:
    if score != score:
        return ["could not be read"]
    place = [f"above {percentile:.0f} %"] if percentile == percentile else []
    return [f"{score:.3f}", *place, *([f"{low:.3f} to {high:.3f}"] if low == low else [])]


def _scale(trait: str, scores: pd.Series, mean: pd.Series, reference: Reference) -> dict[str, Any]:
    """Place what is drawn on a scale, in percent of its width.

    Returns:
        `low` and `high`, the labels at the ends; `curve`, points of the density of the training labels, its height in
        percent; `score`, `interval` (its ends, or nothing) and `clips` (the scores of several).
    """
    known, ends = reference.labels[trait], reference.scale[trait]
    values = np.array([*known, *ends, *scores, *mean[["score", "low", "high"]]], float)
    low, high = np.nanmin(values), np.nanmax(values)
    width = (high - low) or 1.0

    def place(value: float) -> float:
        return round(float(100 * (value - low) / width), 2)

    curve = ""
    if known.notna().all():
        edges = np.linspace(low, high, STEPS + 1)
        density = np.diff(np.interp(edges, known, known.index, left=0, right=1))
        density = np.convolve(density, SMOOTH, "same")
        middle, height = (edges[:-1] + edges[1:]) / 2, 100 * density / density.max()
        curve = " ".join(f"{place(x):.1f},{100 - y:.1f}" for x, y in zip(middle, height, strict=True))
    interval = [place(mean["low"]), place(mean["high"])] if mean["low"] == mean["low"] else []
    dots = [place(score) for score in scores.dropna()] if len(scores) > 1 else []
    return {
        "low": low,
        "high": high,
        "curve": curve,
        "score": place(mean["score"]),
        "interval": interval,
        "clips": dots,
    }
