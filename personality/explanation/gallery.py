"""A folder of heatmaps: sheets, single pictures, the maps as arrays, and their tables."""

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from personality.atomic import atomic_write
from personality.explanation import cam
from personality.explanation.explainer import Explained, Explainer
from personality.explanation.grounding import energy_pointing_game
from personality.explanation.panels import Panels, draw_sheet
from personality.explanation.pictures import Heatmap
from personality.explanation.protocols import Data
from personality.explanation.summary import summary, summary_text
from personality.explanation.words import draw_word_pictures, draw_word_sheet
from personality.progress import progress
from personality.traits import Coordinates, source_id

log = logging.getLogger(__name__)

Key = tuple[int, int]


def save_gallery(folder: Path, explainer: Explainer, selection: pd.DataFrame, sheets: bool = True) -> None:
    """Explain the selected segments of every trait and save their heatmaps; write the whole folder or nothing.

    Args:
        folder: Replaced if it exists.
        explainer: Reads and explains the segments.
        selection: A table of `Highest`.
        sheets: Also draw the maps of each trait on one sheet.
    """
    data, split = explainer.data, explainer.split
    segments = np.unique(selection[["clip", "segment"]].to_numpy(), axis=0)
    keys: list[Key] = [(int(clip), int(segment)) for clip, segment in segments]
    explained = dict(zip(keys, explainer.explain(segments), strict=True))
    cues = {key: data.cues(split, *key) for key in keys}
    folder.parent.mkdir(parents=True, exist_ok=True)
    panels = Panels()
    with atomic_write(folder) as part:
        part.mkdir()
        index = [
            _save_trait(part, explainer, rows, explained, cues, panels, sheets)
            for _, rows in progress(
                selection.groupby("trait", sort=False), f"Heatmaps of {split}", selection["trait"].nunique(), "traits"
            )
        ]
        name = cam.name_of(explainer.method, explainer.model)
        pd.concat(index).assign(method=name).to_csv(part / "index.csv", index=False)
        if any(cues.values()):
            untrained = dict(zip(keys, explainer.untrained().explain(segments), strict=True))
            games = _energy_pointing_games(explainer, selection, cues, trained=explained, untrained=untrained)
            table = summary(games, "trait")
            table.to_csv(part / "cues.csv")
            log.info(
                "Energy-based pointing game on the planted cues of the %s split, divided by that of a constant map, "
                "with 95 %% intervals from a bootstrap over sources:\n%s",
                split,
                summary_text(table),
            )


def _save_trait(
    folder: Path,
    explainer: Explainer,
    rows: pd.DataFrame,
    explained: dict[Key, Explained],
    cues: dict[Key, dict[str, np.ndarray]],
    panels: Panels,
    sheets: bool,
) -> pd.DataFrame:
    """Save the heatmaps of one trait; return their rows of `index.csv`."""
    trait = str(rows["trait"].iloc[0])
    (folder / trait).mkdir()
    entries, heatmaps = [], []
    for row in rows.to_dict("records"):
        entry, heatmap = _heatmap(explainer, row, explained, cues)
        entries.append(entry)
        heatmaps.append(heatmap)
    limit = max(1e-12, *(float(np.abs(heatmap.map).max()) for heatmap in heatmaps))
    index = pd.DataFrame(entries)
    is_text = explainer.data.modality == "text"
    draw_each, draw_all = (draw_word_pictures, draw_word_sheet) if is_text else (panels.draw, draw_sheet)
    boxes = draw_each([folder / picture for picture in index["picture"]], heatmaps, limit)
    if sheets:
        draw_all(folder / f"{trait}.png", _sheet_title(trait, len(heatmaps), explainer.split), heatmaps, limit)
    np.savez_compressed(
        folder / f"{trait}.npz",
        clips=index["clip"].to_numpy(str),
        segments=index["segment"].to_numpy(),
        maps=np.stack([heatmap.map for heatmap in heatmaps]),
        inputs=np.stack([heatmap.inputs for heatmap in heatmaps]),
        bias=np.array([heatmap.bias for heatmap in heatmaps]),
    )
    return index.assign(time_panels=json.dumps(boxes))


def _heatmap(
    explainer: Explainer,
    row: dict[Any, Any],
    explained: dict[Key, Explained],
    cues: dict[Key, dict[str, np.ndarray]],
) -> tuple[dict[str, Any], Heatmap]:
    """Return a row of `index.csv` and its heatmap."""
    data, split, trait = explainer.data, explainer.split, row["trait"]
    clip, segment = key = row["clip"], row["segment"]
    inputs, maps, bias = explained[key]
    target = data.targets.index(trait)
    coordinates, name, label = (
        data.coordinates(split, *key),
        data.clips(split).index[clip],
        data.clips(split)[trait].iloc[clip],
    )
    entry = {
        "trait": trait,
        "rank": row["rank"],
        "clip": name,
        "segment": segment,
        "start": round(coordinates.start, 3),
        "end": round(coordinates.end, 3),
        "score": row["score"],
        "segment_score": row["segment_score"],
        "label": label,
        "bias": bias[target],
        "picture": f"{trait}/{row['rank']:02d}_{Path(shorten(name, 120)).stem}_{segment:02d}.png",
    }
    waveform = data.waveform(split, clip)
    return entry, Heatmap(
        _title(entry, coordinates),
        data.modality,
        inputs,
        maps[target],
        bias[target],
        coordinates,
        cues[key].get(trait),
        waveform,
    )


def _energy_pointing_games(
    explainer: Explainer,
    selection: pd.DataFrame,
    cues: dict[Key, dict[str, np.ndarray]],
    **networks: dict[Key, Explained],
) -> pd.DataFrame:
    """Play the energy-based pointing game on each selected segment: columns trait, group, and one for each network."""
    data = explainer.data
    rows: list[dict[str, Any]] = []
    for trait, clip, segment in zip(selection["trait"], selection["clip"], selection["segment"], strict=True):
        row: dict[str, Any] = {"trait": trait, "group": data.clips(explainer.split)["group"].iloc[clip]}
        if trait in cues[clip, segment]:
            target, mask = data.targets.index(trait), cues[clip, segment][trait]
            occupied = data.coordinates(explainer.split, clip, segment).occupied()
            row |= {
                name: energy_pointing_game(of[clip, segment].maps[target], mask, occupied)
                for name, of in networks.items()
            }
        rows.append(row)
    return pd.DataFrame(rows, columns=["trait", "group", *networks])


def draw_saved_sheet(folder: Path, data: Data, split: str, trait: str, rows: pd.DataFrame) -> None:
    """Draw a sheet of heatmaps that are saved already.

    Args:
        folder: With the arrays `<trait>.npz`; the sheet becomes `<trait>.png`.
        data: Locates the segments.
        split: Of the clips.
        trait: The trait.
        rows: Of `index.csv`, in the order of the arrays.
    """
    heatmaps, clips = [], data.clips(split).index.tolist()
    with np.load(folder / f"{trait}.npz") as stored:
        parts = zip(rows.to_dict("records"), stored["inputs"], stored["maps"], stored["bias"], strict=True)
        for row, inputs, map_, bias in parts:
            key = clips.index(row["clip"]), int(row["segment"])
            coordinates, mask = data.coordinates(split, *key), data.cues(split, *key).get(trait)
            heatmaps.append(Heatmap(_title(row, coordinates), data.modality, inputs, map_, bias, coordinates, mask))
    limit = max(1e-12, *(float(np.abs(heatmap.map).max()) for heatmap in heatmaps))
    draw = draw_word_sheet if data.modality == "text" else draw_sheet
    draw(folder / f"{trait}.png", _sheet_title(trait, len(heatmaps), split), heatmaps, limit)


def _title(row: Mapping[Any, Any], coordinates: Coordinates) -> str:
    labelled = f"  label {row['label']:.3f}" if np.isfinite(row["label"]) else ""
    shown = shorten(row["clip"], 40)
    return f"{row['rank']}  {shown}\n{_format_time(coordinates)}score {row['score']:.3f}{labelled}"


def _sheet_title(trait: str, count: int, split: str) -> str:
    return f"{trait}: attribution in the {count} highest {f'{split} ' if split != 'all' else ''}clips"


def shorten(name: str, size: int) -> str:
    """Shorten a clip's name to at most `size` bytes of UTF-8: its beginning, a hash of its source, its number."""
    if len(name.encode()) <= size:
        return name
    source = source_id(name)
    end = f"~{hashlib.sha256(source.encode()).hexdigest()[:8]}{name[len(source) :]}"
    return source.encode()[: size - len(end)].decode(errors="ignore") + end


def _format_time(coordinates: Coordinates) -> str:
    if np.isnan(coordinates.end):
        return ""
    if coordinates.end > coordinates.start:
        return f"{coordinates.start:.2f} to {coordinates.end:.2f} s  "
    return f"at {coordinates.start:.2f} s  "
