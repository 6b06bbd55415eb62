"""Figures of results: scores against labels, and the metrics of several models with their intervals."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from personality.evaluation.leaderboard import SHOWN
from personality.evaluation.metrics import compute_metrics
from personality.evaluation.predictions import UNIT, Scale, is_evaluable, labels_of, scores_of, targets_of
from personality.evaluation.results import evaluate

METRIC_TITLES = {"skill": "skill", "pcc": "PCC", "ccc": "CCC", "accuracy": "accuracy"}
COLOURS = ("#2166ac", "#b2182b", "#1b7837", "#762a83", "#b35806")
BASELINE_COLOUR = "0.45"


def draw_results(
    path: Path,
    models: Mapping[str, pd.DataFrame],
    train: pd.DataFrame | None = None,
    scale: Scale = UNIT,
    results: Mapping[str, pd.DataFrame] | None = None,
) -> Figure:
    """Draw a row of panels for each model, score against label for each trait; below, the metrics with intervals.

    The dashed line is the mean training label. On the thin diagonal, score and label agree. The bold line is the
    least-squares fit of score on label; it is flat where the scores stay near their mean.

    Args:
        path: The file to write, in any format that Matplotlib knows.
        models: Predictions of each model, by the name that the figure shows.
        train: Labels of the training clips; without them there is no mean predictor and no skill.
        scale: The lowest and the highest label there can be.
        results: What `evaluate` returned for each model, if that is known.

    Returns:
        The figure that was written.
    """
    heights = [2.6] * len(models) + [0.9 + 0.28 * (len(models) + 3)]
    shown = [target for target in targets_of(next(iter(models.values()))) if target != "interview"]
    limits = {trait: _limits(scale, trait) for trait in shown}
    figure = Figure(figsize=(2.6 * max(5, len(shown)), sum(heights)), dpi=110, layout="constrained")
    *parts, last = figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, (name, predictions), colour in zip(parts, models.items(), _colours(len(models)), strict=True):
        part.suptitle(name, fontsize=10, parse_math=False)
        same = len({*limits.values()}) == 1
        panels = part.subplots(1, len(shown), squeeze=False, sharex=same, sharey=same)[0]
        for axes, trait in zip(panels, shown, strict=True):
            draw_scores(axes, predictions, trait, train, colour, limits[trait])
    tables = results or {name: evaluate(table, train, scale=scale) for name, table in models.items()}
    for axes, metric in zip(last.subplots(1, len(METRIC_TITLES), sharey=True), METRIC_TITLES, strict=True):
        draw_intervals(axes, tables, metric)
    figure.savefig(path)
    return figure


def draw_scores(
    axes: Axes,
    predictions: pd.DataFrame,
    trait: str,
    train: pd.DataFrame | None,
    colour: str,
    limits: tuple[float, float] = (0, 1),
) -> None:
    """Draw the scores of a trait against its labels, a point a clip."""
    shown = is_evaluable(predictions) & labels_of(predictions)[trait].notna()
    score, label = (table.loc[shown, trait].to_numpy() for table in (scores_of(predictions), labels_of(predictions)))
    axes.plot(limits, limits, color="0.8", linewidth=0.8)
    if train is not None:
        axes.axhline(train[trait].mean(), color=BASELINE_COLOUR, linestyle="--", linewidth=1)
    axes.scatter(label, score, s=12 if len(label) < 500 else 3, color=colour, alpha=0.45, linewidths=0)
    if len(label) > 1 and np.ptp(label):
        slope, intercept = np.polyfit(label, score, 1)
        ends = np.array([label.min(), label.max()])
        axes.plot(ends, intercept + slope * ends, color=colour, linewidth=1.8)
    pcc = float(compute_metrics(torch.tensor(score)[:, None], torch.tensor(label)[:, None], torch.zeros(1))["pcc"])
    axes.set_title(trait if np.isnan(pcc) else f"{trait}   PCC {pcc:.2f}", fontsize=8.5)
    axes.set(xlim=limits, ylim=limits, aspect="equal")
    axes.set_xlabel("label", fontsize=8)
    axes.tick_params(labelsize=7)
    if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
        axes.set_ylabel("score", fontsize=8)


def draw_intervals(axes: Axes, tables: Mapping[str, pd.DataFrame], metric: str) -> None:
    """Draw a metric on all clips, for every model and baseline, with its 95 % interval."""
    rows: dict[str, tuple[np.ndarray, str]] = {}
    for (model, table), colour in zip(tables.items(), _colours(len(tables)), strict=True):
        part = table[(table["subset"] == "all clips") & (table["target"] == "mean") & (table["metric"] == metric)]
        for predictor, line in part.set_index("predictor")[["value", "low", "high"]].iterrows():
            if predictor == "model":
                rows[model] = line.to_numpy(float), colour
            else:
                rows.setdefault(str(predictor), (line.to_numpy(float), BASELINE_COLOUR))
    for row, ((value, *interval), colour) in enumerate(rows.values()):
        if np.isfinite(value):
            axes.plot(interval, [row, row], color=colour, linewidth=2.5, solid_capstyle="butt")
            axes.plot(value, row, "o", color=colour, markersize=5)
    axes.set_title(METRIC_TITLES[metric], fontsize=9)
    axes.set_yticks(range(len(rows)), list(rows), fontsize=8, parse_math=False)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def draw_leaderboard(path: Path, table: pd.DataFrame) -> Figure:
    """Draw every metric of `leaderboard` for every model and baseline: a colour a subset, with 95 % intervals.

    Args:
        path: The file to write, in any format that Matplotlib knows.
        table: What `leaderboard` returned.

    Returns:
        The figure that was written.
    """
    table = table[table["target"] == "mean"]
    subsets, names = list(table["subset"].unique()), list(table["predictor"].unique())
    figure = Figure(figsize=(15, 1.4 + 0.45 * len(names)), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(SHOWN), sharey=True)
    for axes, (metric, title) in zip(panels, SHOWN.items(), strict=True):
        for number, (subset, colour) in enumerate(zip(subsets, COLOURS[: len(subsets)], strict=True)):
            part = table[(table["metric"] == metric) & (table["subset"] == subset)].set_index("predictor").loc[names]
            rows = np.arange(len(names)) + 0.22 * (number - (len(subsets) - 1) / 2)
            axes.hlines(rows, part["low"], part["high"], color=colour, linewidth=2.5)
            axes.plot(part["value"], rows, "o", color=colour, markersize=4.5, label=subset)
        axes.set_title(title, fontsize=9)
        axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        axes.grid(axis="x", color="0.9")
        axes.tick_params(axis="x", labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(subsets), fontsize=8)
    figure.savefig(path)
    return figure


def _limits(scale: Scale, trait: str) -> tuple[float, float]:
    low, high = (float(end[trait]) if isinstance(end, pd.Series) else float(end) for end in scale)
    return low, high


def _colours(count: int) -> list[str]:
    return [COLOURS[index % len(COLOURS)] for index in range(count)]
