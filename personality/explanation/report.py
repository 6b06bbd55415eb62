"""The report of a run as one page: results, training curves, heatmaps with their sound, and their faithfulness."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from PIL import Image

from personality.atomic import atomic_write
from personality.evaluation.fairness import MIN_SOURCES
from personality.evaluation.metrics import METRICS
from personality.evaluation.parts import part_cells
from personality.evaluation.predictions import scored_targets
from personality.explanation.charts import draw_lines
from personality.explanation.protocols import Data
from personality.explanation.summary import summary_cells
from personality.traits import CLIP_SECONDS, source_id

CURVES = {"loss in training": ["train/loss"], "PCC and skill in validation": ["val/pcc", "val/skill"]}
"""The charts of `metrics.csv`: titles and columns."""
LOWEST = -0.5
"""Lower values of a curve are drawn as this one: the skill of a first epoch would flatten the rest."""
QUALITY = 82
"""Of WEBP pictures, which look like the PNGs at a quarter of their size."""
GROUP_METRICS = (*METRICS, "bias")
TABLES = ("cues", "faithfulness", "parameter_randomisation")


def write_report(folder: Path, data: Data, split: str) -> Path:
    """Write the report of a split.

    Args:
        folder: Of a run. `results_<split>.csv`, `fairness_<split>.csv`, `predictions_<split>.csv`, `metrics.csv` and
            `heatmaps/<split>/` are shown if they exist.
        data: The data module of the run, for the sound of the clips.
        split: The split.

    Returns:
        The path of `report.html` in the folder, written atomically.
    """
    heatmaps = folder / "heatmaps" / split
    entries = _entries(heatmaps)
    shown = {entry["clip"] for entry in (*entries, *_bills(heatmaps / "bills"))}
    sounds = {name: data.sound(split, row) for row, name in enumerate(data.clips(split).index) if name in shown}
    pages = Environment(loader=PackageLoader("personality.explanation", "."), autoescape=True, trim_blocks=True)
    text = pages.get_template("report.html.j2").render(
        title=f"{folder.parent.name} / {folder.name}",
        split=split,
        targets=data.targets,
        results=_results(folder / f"results_{split}.csv"),
        metrics=METRICS,
        groups=_groups(folder / f"fairness_{split}.csv"),
        group_metrics=GROUP_METRICS,
        min_sources=MIN_SOURCES,
        scatter=_picture(folder / f"results_{split}.png"),
        curves=_curves(folder / "metrics.csv"),
        videos=_videos(folder / f"predictions_{split}.csv"),
        seconds=CLIP_SECONDS,
        traits=[(trait, [e for e in entries if e["trait"] == trait], _picture(heatmaps / f"average_{trait}.png"))
                for trait in dict.fromkeys(entry["trait"] for entry in entries)],
        method=entries[0]["method"] if entries else "",
        bills=_bills(heatmaps / "bills"),
        parts=_parts(folder / f"parts_{split}.csv"),
        tables={name: _cells(heatmaps / f"{name}.csv") for name in TABLES},
        sounds={name: _base64(sound) for name, sound in sounds.items() if sound},
    )  # fmt: skip
    path = folder / "report.html"
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _entries(heatmaps: Path) -> list[dict[str, Any]]:
    """Read the index of the heatmaps, and their pictures."""
    if not (heatmaps / "index.csv").exists():
        return []
    index = pd.read_csv(heatmaps / "index.csv")
    with Image.open(heatmaps / index["picture"].iloc[0]) as image:
        shape = image.width / image.height
    index["thumbnail"] = 100 * (index["map_centre"] * shape - 0.5) / (shape - 1)  # % of a square that is cut out
    index["error"] = (index["score"] - index["label"]).abs()
    index["image"] = [_picture(heatmaps / picture) for picture in index["picture"]]
    return [{str(key): value for key, value in entry.items()} for entry in index.to_dict("records")]


def _bills(folder: Path) -> list[dict[str, Any]]:
    """Read the index of the bills, their pictures, and in words what they show."""
    if not (folder / "index.csv").exists():
        return []
    index = pd.read_csv(folder / "index.csv", keep_default_na=False, na_values=["", "nan"])
    parts = [str(name) for name in index.columns[5 : index.columns.get_loc("missing")]]
    bills = []
    for row in index.to_dict("records"):
        shares = ", ".join(f"{part} {row[part]:+.3f}" for part in parts if row[part] == row[part])
        missing = f", without {row['missing']}" if isinstance(row["missing"], str) else ""
        alt = f"{row['trait']} of {row['clip']}: bias {row['bias']:.3f}, {shares}, score {row['score']:.3f}{missing}"
        entry = {str(key): value for key, value in row.items()}
        bills.append(entry | {"alt": alt, "image": _picture(folder / row["picture"])})
    return bills


def _parts(path: Path) -> list[list[str]]:
    """Read what each part of a joint model is worth: means over the traits with their intervals, a header first."""
    if not path.exists():
        return []
    cells = part_cells(pd.read_csv(path))
    return [["", *map(str, cells.columns)], *([*map(str, row)] for row in cells.reset_index().to_numpy().tolist())]


def _results(path: Path) -> list[tuple[str, list[tuple[str, list[tuple[float, float, float]]]]]]:
    """Read the means over all traits: for each subset its predictors, for each metric a value and its interval."""
    if not path.exists():
        return []
    table = pd.read_csv(path)
    table = table[(table["target"] == "mean") & table["metric"].isin(METRICS)]
    results = []
    for (subset, clips, labelled, sources), part in table.groupby(
        ["subset", "clips", "labelled", "sources"], sort=False
    ):
        rows = []
        for predictor, cells in part.groupby("predictor", sort=False):
            values = cells.set_index("metric").reindex(METRICS)[["value", "low", "high"]].to_numpy(float)
            values = values.round(6) + 0.0  # no -0
            rows.append((str(predictor), [(value, low, high) for value, low, high in values.tolist()]))
        count = f"{clips}" if clips == labelled else f"{clips} of {labelled}"
        results.append((f"{subset}: {count} clips from {sources} sources", rows))
    return results


def _groups(path: Path) -> list[tuple[str, list[tuple[str, str, list[tuple[float, float, float, str]]]]]]:
    """Read the means over all traits by group of people, and the largest gap between groups.

    Returns:
        For each attribute its groups: name, number of clips and sources, and for each metric a value, its interval and
        the two groups of a gap.
    """
    if not path.exists():
        return []
    numbers = {column: [""] for column in ("value", "low", "high")}
    table = pd.read_csv(path, keep_default_na=False, na_values=numbers, dtype={"subset": str})  # a group may be "NA"
    table = table[table["target"] == "mean"]
    attributes = []
    for attribute, part in table.groupby("attribute", sort=False):
        rows = []
        for subset, cells in part.groupby("subset", sort=False):
            count = f"{cells['clips'].iloc[0]:,} clips, {cells['sources'].iloc[0]:,} sources"
            cells = cells.set_index("metric").reindex(GROUP_METRICS)
            values = (cells[["value", "low", "high"]].to_numpy(float).round(6) + 0.0).tolist()  # no -0
            pairs = cells["pair"].fillna("")
            rows.append((str(subset), count, [(*ends, pair) for ends, pair in zip(values, pairs, strict=True)]))
        attributes.append((str(attribute), rows))
    return attributes


def _curves(path: Path) -> list[dict[str, str]]:
    """Draw the training curves."""
    if not path.exists():
        return []
    table = pd.read_csv(path)
    charts = []
    for title, columns in CURVES.items():
        points = {name: table[["epoch", name]].dropna().to_numpy() for name in columns if name in table}
        if lines := {name: np.maximum(line, [-np.inf, LOWEST]) for name, line in points.items() if len(line) > 1}:
            charts.append(_chart(title, lines, "epoch"))
    return charts


def _videos(path: Path) -> list[dict[str, Any]]:
    """Summarise the scores of each source video, where no clip has labels; draw them over its clips."""
    if not path.exists():
        return []
    table = pd.read_csv(path, index_col="clip")
    traits = scored_targets(table)
    labels = [f"{trait}_label" for trait in traits if f"{trait}_label" in table]
    if not table[labels].isna().all(axis=None):
        return []
    videos = []
    for source, clips in table.groupby(source_id, sort=False):
        count = len(clips)
        chart: dict[str, str] = {}
        stds = clips[traits].std(ddof=0) if count > 1 else clips[[f"{trait}_std" for trait in traits]].iloc[0]
        if count > 1 and clips[traits].notna().all(axis=None):
            lines = {trait: np.stack([np.arange(count) + 1, clips[trait].to_numpy()], axis=1) for trait in traits}
            chart = _chart(f"{count} clips", lines, f"clip of {CLIP_SECONDS} s")
        scores = {trait: (clips[trait].mean(), std) for trait, std in zip(traits, stds, strict=True)}
        videos.append({"title": source, "clips": count, "scores": scores, "chart": chart})
    return videos


def _chart(title: str, lines: dict[str, np.ndarray], unit: str) -> dict[str, str]:
    """Draw a chart; its description names the lines and the range of their values."""
    values = np.concatenate([line[:, 1] for line in lines.values()])
    description = f"{title}: {', '.join(lines)}, from {values.min():.3g} to {values.max():.3g}"
    return {"title": title, "description": description, "image": _webp(draw_lines(lines, unit))}


def _cells(path: Path) -> list[list[str]]:
    """Read a table of `summary` as text, its header first: each mean with its interval."""
    if not path.exists():
        return []
    table = summary_cells(pd.read_csv(path, index_col=0)).reset_index()
    return [[*map(str, table.columns)], *table.astype(str).to_numpy().tolist()]


def _picture(path: Path) -> str:
    """Read a picture as base64 of a WEBP; empty if there is no picture."""
    return _webp(path.read_bytes()) if path.exists() else ""


def _webp(content: bytes) -> str:
    webp = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(webp, "WEBP", quality=QUALITY)
    return _base64(webp.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
