"""Results for those who would rather look: scores against labels, and the intervals of several models side by side."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from personality.evaluation.metrics import measures
from personality.evaluation.predictions import labels_of, measurable, scores_of
from personality.evaluation.results import evaluate
from personality.traits import TRAITS

SHOWN = {"skill": "skill", "pcc": "PCC", "ccc": "CCC", "accuracy": "accuracy"}
COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#b35806")
HABIT = "0.45"


def draw_results(path: Path, models: Mapping[str, pd.DataFrame], train: pd.DataFrame | None = None) -> None:
    """Draw a row of panels a model, score against label for each trait; below, all models' measures with intervals.

    The dashed line is the mean predictor, which gives everybody the mean training label; on the thin diagonal score
    and label agree; the bold line is the least-squares fit of score on label, flat where a model dares little.

    Args:
        path: The picture, of any kind that Matplotlib writes.
        models: Predictions by the name that the picture shall give them.
        train: Labels of the training clips; without them there is neither mean predictor nor skill.
    """
    heights = [2.6] * len(models) + [0.9 + 0.28 * (len(models) + 3)]
    figure = Figure(figsize=(13, sum(heights)), layout="constrained")
    *parts, last = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (name, predictions), colour in zip(parts, models.items(), _colours(len(models)), strict=True):
        part.suptitle(name, fontsize=10, parse_math=False)
        for axes, trait in zip(part.subplots(1, len(TRAITS), sharex=True, sharey=True), TRAITS, strict=True):
            draw_scores(axes, predictions, trait, train, colour)
    tables = {name: evaluate(predictions, train) for name, predictions in models.items()}
    for axes, measure in zip(last.subplots(1, len(SHOWN), sharey=True), SHOWN, strict=True):
        draw_intervals(axes, tables, measure)
    figure.savefig(path, dpi=110)


def draw_scores(axes: Axes, predictions: pd.DataFrame, trait: str, train: pd.DataFrame | None, colour: str) -> None:
    """Draw what a trait was scored against how it was labelled, clip by clip."""
    there = measurable(predictions) & labels_of(predictions)[trait].notna()
    score, label = (table.loc[there, trait].to_numpy() for table in (scores_of(predictions), labels_of(predictions)))
    axes.plot([0, 1], [0, 1], color="0.8", linewidth=0.8)
    if train is not None:
        axes.axhline(train[trait].mean(), color=HABIT, linestyle="--", linewidth=1)
    axes.scatter(label, score, s=12 if len(label) < 500 else 3, color=colour, alpha=0.45, linewidths=0)
    if len(label) > 1 and np.ptp(label):
        slope, intercept = np.polyfit(label, score, 1)
        ends = np.array([label.min(), label.max()])
        axes.plot(ends, intercept + slope * ends, color=colour, linewidth=1.8)
    pcc = float(measures(torch.tensor(score)[:, None], torch.tensor(label)[:, None], torch.zeros(1))["pcc"])
    axes.set_title(trait if np.isnan(pcc) else f"{trait}   PCC {pcc:.2f}", fontsize=8.5)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("label", fontsize=8)
    axes.tick_params(labelsize=7)
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel("score", fontsize=8)


def draw_intervals(axes: Axes, tables: Mapping[str, pd.DataFrame], measure: str) -> None:
    """Draw a measure over all clips, of every model and of the habits, with its 95 % interval."""
    rows: dict[str, tuple[np.ndarray, str]] = {}
    for (name, table), colour in zip(tables.items(), _colours(len(tables)), strict=True):
        chosen = table[(table["over"] == "all clips") & (table["target"] == "mean") & (table["measure"] == measure)]
        for row, line in chosen.set_index("row")[["value", "low", "high"]].iterrows():
            label = name if row == "model" else str(row)
            rows.setdefault(label, (line.to_numpy(float), colour if row == "model" else HABIT))
    for place, (value, colour) in enumerate(rows.values()):
        if np.isfinite(value[0]):
            axes.plot(value[1:], [place, place], color=colour, linewidth=2.5, solid_capstyle="butt")
            axes.plot(value[0], place, "o", color=colour, markersize=5)
    axes.set_title(SHOWN[measure], fontsize=9)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _colours(count: int) -> list[str]:
    return [COLOURS[number % len(COLOURS)] for number in range(count)]
