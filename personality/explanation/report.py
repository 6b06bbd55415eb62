"""The page to look at and listen to: results, training curves, heatmaps with their sound, and what they are worth."""

import base64
import io
import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from personality.evaluation.metrics import MEASURES
from personality.explanation.faithfulness import summary_cells
from personality.explanation.pictures import SHAPE, panels
from personality.traits import TRAITS, source_id

log = logging.getLogger(__name__)

CURVES = {"loss in training": ["train/loss"], "PCC and skill in validation": ["val/pcc", "val/skill"]}
"""What is drawn over epochs, from `metrics.csv`."""
FLOOR = -0.5
"""Below it no curve is drawn: the skill of a first epoch would flatten all that follows."""
QUALITY = 82  # of pictures: text and maps look like the PNG at a quarter of its size


class SaveReport(Callback):
    """Write `report.html` after a test: one file that needs no network, from what the other callbacks have saved.

    Of a corpus without test clips it is written after the validation, and shows that.

    It stands behind `SaveResults` and `SaveHeatmaps` in the list of callbacks. What they did not save is left out.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Gather all and write."""
        if trainer.is_global_zero:
            self._write(trainer, trainer.datamodule.test_split)  # type: ignore[attr-defined]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the page of a validation if no test can follow."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if trainer.is_global_zero and trainer.state.fn == TrainerFn.VALIDATING and "test" not in data.splits():
            self._write(trainer, "val")

    def _write(self, trainer: Trainer, split: str) -> None:
        path = write_report(Path(trainer.default_root_dir), trainer.datamodule, split)  # type: ignore[attr-defined]
        log.info("Report: %s", path)


def write_report(folder: Path, data: Any, split: str) -> Path:
    """Write the page of a split.

    Args:
        folder: Of a run: `results_<split>.csv`, `predictions_<split>.csv`, `metrics.csv` and `heatmaps/<split>/` are
            used if they are there.
        data: The `TraitDataModule` that was scored: it knows how clips sound and what the axes of a segment are.
        split: Its split.

    Returns:
        `report.html` in the folder. It appears whole or not at all.
    """
    heatmaps = folder / "heatmaps" / split
    entries = _entries(heatmaps, data, split)
    names = sorted({entry["clip"] for entry in entries})
    sounds = {name: data.sound(split, data.clips(split).index.get_loc(name)) for name in names}
    pages = Environment(loader=PackageLoader("personality.explanation", "."), autoescape=True, trim_blocks=True)
    text = pages.get_template("report.html.j2").render(
        title=f"{folder.parent.name} / {folder.name}",
        split=split,
        results=_results(folder / f"results_{split}.csv"),
        measures=MEASURES,
        scatter=_picture(folder / f"results_{split}.png"),
        curves=_curves(folder / "metrics.csv"),
        courses=_courses(folder / f"predictions_{split}.csv"),
        traits=[(trait, [e for e in entries if e["trait"] == trait], _picture(heatmaps / f"average_{trait}.png"))
                for trait in dict.fromkeys(entry["trait"] for entry in entries)],
        method=entries[0]["method"] if entries else "",
        truth={name: _intervals(heatmaps / f"{name}.csv") for name in ("cues", "faithfulness", "sanity")},
        sounds={name: _base64(sound) for name, sound in sounds.items() if sound},
    )  # fmt: skip
    path = folder / "report.html"
    part = path.with_name(f".report.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _entries(heatmaps: Path, data: Any, split: str) -> list[dict[str, Any]]:
    """Read the index of the heatmaps, with pictures, and where in each a cursor runs: (left, top, right, bottom)."""
    if not (heatmaps / "index.csv").exists():
        return []
    entries = pd.read_csv(heatmaps / "index.csv").to_dict("records")
    for entry in entries:
        clip = data.clips(split).index.get_loc(entry["clip"])
        coordinates, waveform = data.coordinates(split, clip, entry["segment"]), data.waveform(split, clip)
        boxes = panels(3 if waveform is None else 4)
        timed = boxes if any(axis.name == "time" for axis in coordinates.axes) else boxes[: waveform is not None]
        left, _, right, _ = boxes[-2]
        entry["middle"] = 100 * ((left + right) / 2 * SHAPE - 0.5) / (SHAPE - 1)
        entry["boxes"] = [[round(float(edge), 4) for edge in box] for box in timed]
        entry["image"] = _picture(heatmaps / entry["picture"])
        entry["error"] = abs(entry["score"] - entry["label"])
    return [{str(key): value for key, value in entry.items()} for entry in entries]


def _results(path: Path) -> list[tuple[str, list[tuple[str, list[tuple[float, float, float]]]]]]:
    """Read the measures over all traits: for each set of clips its rows, each cell a value and its interval."""
    if not path.exists():
        return []
    table = pd.read_csv(path)
    table = table[(table["target"] == "mean") & table["measure"].isin(MEASURES)]
    found = []
    for (over, clips, labelled, sources), part in table.groupby(["over", "clips", "labelled", "sources"], sort=False):
        rows = []
        for row, cells in part.groupby("row", sort=False):
            values = cells.set_index("measure").reindex(MEASURES)[["value", "low", "high"]]
            rows.append((str(row), [(float(value), float(low), float(high)) for value, low, high in values.to_numpy()]))
        of = f"{clips}" if clips == labelled else f"{clips} of {labelled}"
        found.append((f"{over}: {of} clips from {sources} sources", rows))
    return found


def _curves(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    table = pd.read_csv(path)
    drawn = []
    for title, columns in CURVES.items():
        known = {name: table[["epoch", name]].dropna().to_numpy() for name in columns if name in table}
        lines = {name: points for name, points in known.items() if len(points) > 1}
        if lines:
            drawn.append({"title": title, "unit": "epoch"} | _chart(lines))
    return drawn


def _courses(path: Path) -> list[dict[str, Any]]:
    """Say how scores go over the clips of one's own videos: of those without labels, video by video."""
    if not path.exists():
        return []
    table = pd.read_csv(path, index_col="clip")
    traits = [trait for trait in TRAITS if trait in table]
    labels = [f"{trait}_label" for trait in traits if f"{trait}_label" in table]
    if not table[labels].isna().all(axis=None):
        return []
    drawn = []
    for source, clips in table.groupby(source_id, sort=False):
        scores = {t: (clips[t].mean(), clips[t].std(ddof=0) if len(clips) > 1 else clips[f"{t}_std"].iloc[0])
                  for t in traits}  # fmt: skip
        lines = {trait: np.stack([np.arange(len(clips)) + 1, clips[trait].to_numpy()], axis=1) for trait in traits}
        chart = _chart(lines) if len(clips) > 1 and clips[traits].notna().all(axis=None) else {}
        drawn.append({"title": source, "unit": "clip of 15.3 s", "clips": len(clips), "scores": scores} | chart)
    return drawn


def _chart(lines: dict[str, np.ndarray], width: int = 560, height: int = 180) -> dict[str, Any]:
    """Scale lines `(points, 2)` into a box, as points of an SVG polyline, with the values at its edges."""
    lines = {name: np.maximum(points, [-np.inf, FLOOR]) for name, points in lines.items()}
    everything = np.concatenate([*lines.values()])
    (left, low), (right, high) = everything.min(0), everything.max(0)
    scale = np.array([width / max(right - left, 1e-9), -height / max(high - low, 1e-9)])
    placed = {name: (points - [left, high]) * scale for name, points in lines.items()}
    polylines = {name: " ".join(f"{x:.1f},{y:.1f}" for x, y in points) for name, points in placed.items()}
    edges = {"left": f"{left:g}", "right": f"{right:g}", "low": f"{low:.3g}", "high": f"{high:.3g}"}
    return {"lines": polylines, "edges": edges, "width": width, "height": height}


def _intervals(path: Path) -> list[list[str]]:
    """Read a table of `faithfulness.summary` as text, its header first: each mean with its interval."""
    if not path.exists():
        return []
    table = summary_cells(pd.read_csv(path, index_col=0)).reset_index()
    return [[*map(str, table.columns)], *table.astype(str).to_numpy().tolist()]


def _picture(path: Path) -> str:
    """Read a picture as the text that a page holds it by; empty where there is none."""
    if not path.exists():
        return ""
    small = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(small, "WEBP", quality=QUALITY)
    return _base64(small.getvalue())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
