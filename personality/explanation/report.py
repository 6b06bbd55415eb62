"""The report of a run as one page: results, training curves, heatmaps with their sound, and their faithfulness."""

import base64
import io
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from PIL import Image

from personality.atomic import atomic_write
from personality.evaluation.fairness import MIN_SOURCES
from personality.evaluation.reference import Reference
from personality.explanation.about import about
from personality.explanation.charts import draw_lines
from personality.explanation.protocols import Data, Model
from personality.explanation.report_tables import (
    annotation_tables,
    grounded_skill_tables,
    group_tables,
    part_tables,
    result_tables,
    summary_table,
)
from personality.explanation.report_videos import own_videos
from personality.traits import CLIP_SECONDS

CURVES = {"loss in training": ["train/loss"], "PCC and skill in validation": ["val/pcc", "val/skill"]}
"""The charts of `metrics.csv`: titles and columns."""
LOWEST = -0.5
"""Lower values of a curve are drawn as this one: the skill of a first epoch would flatten the rest."""
WEBP = {"quality": 82, "method": 2}
"""Of pictures, which look like the PNGs at a quarter of their size. Method 2 takes half of the time of the default."""
TABLES = ("cues", "faithfulness", "parameter_randomisation")


def write_report(folder: Path, data: Data, split: str, model: Model) -> Path:
    """Write the report of a split.

    Args:
        folder: Of a run. `results_<split>.csv`, `fairness_<split>.csv`, `predictions_<split>.csv`, `metrics.csv` and
            `heatmaps/<split>/` are shown if they exist.
        data: The data module of the run, for the sound of the clips.
        split: The split.
        model: The model, for the head of the page and for the labels beside which scores of one's own videos stand.

    Returns:
        The path of `report.html` in the folder, written atomically.
    """
    heatmaps = folder / "heatmaps" / split
    reference = Reference.of(data.targets, model.target_quantiles, model.target_scale, model.origin)
    entries, bills = _entries(heatmaps, reference), _bills(heatmaps / "bills")
    shown = {entry["clip"] for entry in (*entries, *bills)}
    rows = {name: row for row, name in enumerate(data.clips(split).index) if name in shown}
    with ThreadPoolExecutor() as pool:
        sounds = dict(zip(rows, pool.map(partial(data.sound, split), rows.values()), strict=True))
    pages = Environment(loader=PackageLoader("personality.explanation", "."), autoescape=True, trim_blocks=True)
    text = pages.get_template("report.html.j2").render(
        title=f"{folder.parent.name} / {folder.name}",
        split=split,
        about=about(data, model),
        targets=data.targets,
        results=result_tables(folder / f"results_{split}.csv"),
        groups=group_tables(folder / f"fairness_{split}.csv"),
        min_sources=MIN_SOURCES,
        scatter=_picture(folder / f"results_{split}.png"),
        curves=_curves(folder / "metrics.csv"),
        videos=own_videos(folder / f"predictions_{split}.csv", reference, _chart),
        reference=reference,
        seconds=CLIP_SECONDS,
        traits=[(trait, [e for e in entries if e["trait"] == trait], _picture(heatmaps / f"average_{trait}.png"))
                for trait in dict.fromkeys(entry["trait"] for entry in entries)],
        labelled=any(entry["label"] == entry["label"] for entry in entries),
        method=entries[0]["method"] if entries else "",
        bills=bills,
        parts=part_tables(folder / f"parts_{split}.csv"),
        tables={name: summary_table(heatmaps / f"{name}.csv") for name in TABLES},
        annotated=[_annotated(heatmaps / name, name) for name in ("", *data.parts)],
        sounds={name: _base64(sound) for name, sound in sounds.items() if sound},
    )  # fmt: skip
    path = folder / "report.html"
    with atomic_write(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _entries(heatmaps: Path, reference: Reference) -> list[dict[str, Any]]:
    """Read the index of the heatmaps, and their pictures. Scores of clips without labels get their percentile."""
    if not (heatmaps / "index.csv").exists():
        return []
    index = pd.read_csv(heatmaps / "index.csv")
    index["error"] = (index["score"] - index["label"]).abs()
    index["percentile"] = np.nan
    with ThreadPoolExecutor() as pool:
        index["image"] = [*pool.map(_picture, [heatmaps / picture for picture in index["picture"]])]
    for trait, rows in index[index["label"].isna()].groupby("trait"):
        index.loc[rows.index, "percentile"] = reference.percentiles(str(trait), rows["score"].to_numpy())
    return [{str(key): value for key, value in entry.items()} for entry in index.to_dict("records")]


def _annotated(heatmaps: Path, part: str) -> dict[str, Any]:
    """Read what is known of human annotations, for a part of a joint model or the one input."""
    return {
        "part": part,
        "games": annotation_tables(heatmaps / "annotations.csv"),
        "skill": grounded_skill_tables(heatmaps / "grounded_skill.csv"),
        "picture": _picture(heatmaps / "grounded_skill.png"),
    }


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


def _chart(title: str, lines: dict[str, np.ndarray], unit: str) -> dict[str, str]:
    """Draw a chart; its description names the lines and the range of their values."""
    values = np.concatenate([line[:, 1] for line in lines.values()])
    description = f"{title}: {', '.join(lines)}, from {values.min():.3g} to {values.max():.3g}"
    return {"title": title, "description": description, "image": _webp(draw_lines(lines, unit))}


def _picture(path: Path) -> str:
    """Read a picture as base64 of a WEBP; empty if there is no picture."""
    return _webp(path.read_bytes()) if path.exists() else ""


def _webp(content: bytes) -> str:
    webp = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        image.convert("RGB").save(webp, "WEBP", **WEBP)
    return _base64(webp.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
