"""A folder of heatmaps: sheets, single pictures, the maps as numbers, and tables that say what is what."""

import hashlib
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningModule
from tqdm import tqdm

from personality.explanation import cam
from personality.explanation.faithfulness import energy_pointing_game, summary, summary_text
from personality.explanation.pictures import Heatmap, draw_heatmaps, draw_sheet
from personality.explanation.segments import Explained, explain
from personality.traits import Coordinates, source_id

log = logging.getLogger(__name__)


def save_gallery(
    folder: Path, model: LightningModule, data: Any, split: str, rows: np.ndarray, method: cam.Method
) -> None:
    """Explain the chosen segments of every trait and save all of it; the folder appears whole or not at all.

    Args:
        folder: Replaced if it exists.
        model: What scored the segments.
        data: Where they can be read again, a `TraitDataModule`.
        split: The split that they belong to.
        rows: `(targets, n, 4)`: score, clip, segment, the segment's score; rows of NaN are none.
        method: A function of `personality.explanation.cam`.
    """
    chosen = [row[np.isfinite(row[:, 0])] for row in rows]
    if not all(map(len, chosen)):
        log.warning("No heatmaps of the %s split: the model's scores are not numbers. Has training diverged?", split)
        return
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    segments = np.unique(np.concatenate(chosen)[:, 1:3].astype(int), axis=0)
    explained = explain(method, model, data, split, segments)
    masks = {pair: data.cues(split, *pair) for pair in explained}
    name = cam.name_of(method, model)

    index: list[dict[str, Any]] = []
    for target, trait in enumerate(tqdm(data.targets, desc=f"heatmaps of {split}", unit="trait", leave=False)):
        index += _save_trait(part, trait, target, chosen[target], explained, masks, data, split)
    pd.DataFrame(index).assign(method=name).to_csv(part / "index.csv", index=False)

    if any(masks.values()):
        with torch.inference_mode(False), torch.random.fork_rng(devices=[]):  # parameters that can be differentiated
            torch.default_generator.manual_seed(0)  # the CPU's alone: an accelerator's randomness is not asked for
            untrained = type(model)(**model.hparams).to(model.device)
        networks = {"trained": explained, "untrained": explain(method, untrained, data, split, segments)}
        ratios = summary(_energy_pointing_games(data, split, chosen, networks, masks), "trait")
        ratios.to_csv(part / "cues.csv")
        log.info(
            "%s split: the share of the maps' positive part that lies on the planted cues, in multiples of chance (1),"
            " with 95 %% intervals from a bootstrap over sources:\n%s",
            split,
            summary_text(ratios),
        )
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)


def _save_trait(
    part: Path,
    trait: str,
    target: int,
    rows: np.ndarray,
    explained: dict[tuple[int, int], Explained],
    masks: dict[tuple[int, int], dict[str, np.ndarray]],
    data: Any,
    split: str,
) -> list[dict[str, Any]]:
    (part / trait).mkdir()
    table, heatmaps = data.clips(split), []
    index: list[dict[str, Any]] = []
    for rank, (score, clip, segment, segment_score) in enumerate(rows, start=1):
        pair = int(clip), int(segment)
        inputs, maps, bias = explained[pair]
        coordinates, name, label = data.coordinates(split, *pair), table.index[pair[0]], table[trait].iloc[pair[0]]
        labelled = f"  label {label:.3f}" if np.isfinite(label) else ""
        title = f"{rank}  {_shortened(name, 40)}\n{_seconds(coordinates)}  score {score:.3f}{labelled}"
        extras = masks[pair].get(trait), data.waveform(split, pair[0])
        heatmaps.append(Heatmap(title, inputs, maps[target], bias[target], coordinates, *extras))
        index.append(
            {
                "trait": trait,
                "rank": rank,
                "clip": name,
                "segment": pair[1],
                "start": round(coordinates.start, 3),
                "end": round(coordinates.end, 3),
                "score": score,
                "segment_score": segment_score,
                "label": label,
                "bias": bias[target],
                "picture": f"{trait}/{rank:02d}_{Path(_shortened(name, 120)).stem}_{pair[1]:02d}.png",
            }
        )
    limit = max(max(float(np.abs(heatmap.map).max()) for heatmap in heatmaps), 1e-12)
    draw_heatmaps([part / entry["picture"] for entry in index], heatmaps, limit)
    draw_sheet(
        part / f"{trait}.png",
        f"{trait}: what the {len(rows)} highest {split} clips owe their score to",
        heatmaps,
        limit,
    )
    np.savez_compressed(
        part / f"{trait}.npz",
        clips=np.array([entry["clip"] for entry in index]),
        segments=rows[:, 2].astype(int),
        maps=np.stack([heatmap.map for heatmap in heatmaps]),
        inputs=np.stack([heatmap.inputs for heatmap in heatmaps]),
        bias=np.array([heatmap.bias for heatmap in heatmaps]),
    )
    return index


def _shortened(name: str, most: int) -> str:
    """Shorten a clip's name to so many bytes of UTF-8: what it begins with, a hash of its source, and its number."""
    if len(name.encode()) <= most:
        return name
    source = source_id(name)
    end = f"~{hashlib.sha256(source.encode()).hexdigest()[:8]}{name[len(source) :]}"
    return source.encode()[: most - len(end)].decode(errors="ignore") + end


def _seconds(coordinates: Coordinates) -> str:
    return (
        f"{coordinates.start:.2f} to {coordinates.end:.2f} s"
        if coordinates.end > coordinates.start
        else f"at {coordinates.start:.2f} s"
    )


def _energy_pointing_games(
    data: Any,
    split: str,
    chosen: list[np.ndarray],
    networks: dict[str, dict[tuple[int, int], Explained]],
    masks: dict[tuple[int, int], dict[str, np.ndarray]],
) -> pd.DataFrame:
    """Measure `energy_pointing_game` on each trait's segments: columns trait, clip, and a network each."""
    rows, names = [], data.clips(split).index
    for target, trait in enumerate(data.targets):
        for clip, segment in chosen[target][:, 1:3].astype(int):
            pair = int(clip), int(segment)
            row: dict[str, Any] = {"trait": trait, "clip": names[clip]}
            if trait in masks[pair]:
                row |= {
                    name: energy_pointing_game(of[pair].maps[target], masks[pair][trait])
                    for name, of in networks.items()
                }
            rows.append(row)
    return pd.DataFrame(rows, columns=["trait", "clip", *networks])
