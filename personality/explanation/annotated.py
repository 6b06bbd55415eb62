"""Whether attribution maps lie on what human annotators marked: the pointing games on annotated clips."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm import tqdm

from personality.evaluation.intervals import estimates
from personality.explanation import cam
from personality.explanation.explainer import Explainer
from personality.explanation.faithfulness import OTHER_TRAIT
from personality.explanation.grounded_skill import save_grounded_skill, split_maps
from personality.explanation.grounding import energy_pointing_game, pointing_game
from personality.explanation.randomisation import randomised
from personality.explanation.summary import format_cells

log = logging.getLogger(__name__)

OWN, RANDOM, OTHER_CLIP, RANDOMISED = "own map", "random map", "another clip's annotations", "randomised weights"
MAPS = OWN, RANDOM, OTHER_TRAIT, OTHER_CLIP, RANDOMISED
"""What is held against the annotations: the map of each trait, and four controls."""
ALL = "all traits"
GAMES = {"energy_pointing_game": "Energy-based pointing game", "pointing_game": "Pointing game"}


class Games(NamedTuple):
    """The games on the annotations of one kind or region."""

    clips: list[int]
    """The rows of the clips in their split."""
    sums: list[np.ndarray]
    """For each clip `(len(MAPS), 5, targets)`: see `play`."""


class Measured(NamedTuple):
    """What the maps of annotated clips have to do with the annotations."""

    games: dict[str, Games]
    """For each kind and each region, the most frequent first; only clips of which a part is annotated."""
    clips: list[int]
    """The rows of all annotated clips."""
    parts: list[np.ndarray]
    """For each of them the parts of its score: see `split_maps`."""


def play(maps: np.ndarray, mask: np.ndarray, joined: bool, occupied: np.ndarray | None = None) -> np.ndarray:
    """Play the pointing games on a clip.

    Args:
        maps: `(segments, targets, *space)`.
        mask: `(segments, *space)` boolean, true on the annotations.
        joined: Whether the segments follow one another in time and are one map, as of sound. Else each segment is a
            map, as of a picture.
        occupied: `(segments, *space)` the positions that hold anything; by default all.

    Returns:
        `(5, targets)` sums over the maps that are partly annotated: the share of the positive attribution that lies on
        the annotations, and that of a constant map; whether the maximum lies on them, and how often it does by chance;
        the number of maps. A map without positive attribution adds nothing to the first two.
    """
    sums, inside = np.zeros((5, maps.shape[1])), np.ones_like(mask) if occupied is None else occupied
    for part in [slice(None)] if joined else [slice(segment, segment + 1) for segment in range(len(maps))]:
        chance = float(mask[part][inside[part]].mean())
        if 0 < chance < 1:
            for target in range(maps.shape[1]):
                each = maps[part, target], mask[part], inside[part]
                ratio = energy_pointing_game(*each)
                energy = (0.0, 0.0) if np.isnan(ratio) else (ratio * chance, chance)
                sums[:, target] += *energy, pointing_game(*each), chance, 1
    return sums


def measure_annotations(explainer: Explainer, annotations: Mapping[int, pd.DataFrame]) -> Measured:
    """Hold the maps of all segments of annotated clips, and of controls, against the annotations.

    Args:
        explainer: Explains the segments.
        annotations: `Data.annotations` of its split.
    """
    data, split = explainer.data, explainer.split
    others = {RANDOM: explainer.alter(method=cam.random_map), RANDOMISED: explainer.alter(randomised(explainer.model))}
    groups = data.clips(split)["group"]
    measured = Measured({}, [], [])
    for clip, rows in tqdm(annotations.items(), f"annotations of {split}", unit="clip", leave=False):
        masks = {name: mask for name, mask in data.annotated(split, clip, rows).items() if mask.any()}
        if not masks:
            continue
        joined = any(axis.name == "time" for axis in data.coordinates(split, clip, 0).axes)
        segments = np.array([(clip, segment) for segment in range(len(next(iter(masks.values()))))])
        occupied = np.stack(explainer.occupied(segments))
        maps = {OWN: _maps(explainer, segments)} | {name: _maps(other, segments) for name, other in others.items()}
        maps |= {OTHER_TRAIT: np.roll(maps[OWN], -1, axis=1), OTHER_CLIP: maps[OWN]}
        measured.clips.append(clip)
        measured.parts.append(split_maps(maps[OWN], masks, joined))
        other = _another(clip, [*annotations], groups)
        elsewhere = {} if other is None else data.annotated(split, clip, annotations[other])
        for name, mask in masks.items():
            where = dict.fromkeys(MAPS, mask) | {OTHER_CLIP: elsewhere.get(name, np.zeros_like(mask))}
            sums = np.stack([play(maps[each], where[each], joined, occupied) for each in MAPS])
            if sums[0].any():
                games = measured.games.setdefault(name, Games([], []))
                games.clips.append(clip)
                games.sums.append(sums)
    in_order = sorted(measured.games.items(), key=lambda item: -len(item[1].clips))
    return measured._replace(games=dict(in_order))


def _maps(explainer: Explainer, segments: np.ndarray) -> np.ndarray:
    """Return the maps of segments, `(segments, targets, *space)`."""
    return np.stack([explained.maps for explained in explainer.explain(segments)])


def _another(clip: int, clips: list[int], groups: pd.Series) -> int | None:
    """Return the next clip of another source; none if all are of one."""
    start = clips.index(clip)
    in_order = clips[start:] + clips[:start]
    return next((other for other in in_order if groups.iloc[other] != groups.iloc[clip]), None)


def annotation_table(explainer: Explainer, found: Mapping[str, Games]) -> pd.DataFrame:
    """Compute the games in multiples of chance, with 95 % intervals from a bootstrap over sources.

    A value is the sum over all maps, divided by the sum by chance: of a constant map, or of a maximum anywhere. So maps
    of which little is annotated count little.

    Returns:
        A row for each value: `subset` (all clips, those of known sources, which are in training, and those of new
        sources), `cue` (kind or region), `clips`, `sources`, `maps` (their number), `chance` (the mean annotated share
        of a map), `map` (of `MAPS`, or the difference of the first and another), `metric` (of `GAMES`), `target`
        (`ALL` adds up the maps of the traits), `value`, `low`, `high`.
    """
    data, split = explainer.data, explainer.split
    groups = data.clips(split)["group"].to_numpy()
    subsets = {"all clips": np.ones(len(groups), bool)}
    if "train" in data.splits():
        known = np.isin(groups, data.clips("train")["group"].to_numpy())
        subsets |= {"known sources": known, "new sources": ~known}
    tables = []
    for subset, chosen in subsets.items():
        for cue, games in found.items():
            rows = [row for row, clip in enumerate(games.clips) if chosen[clip]]
            if not rows:
                continue
            sums = torch.from_numpy(np.stack(games.sums)[rows])
            sources = [str(groups[games.clips[row]]) for row in rows]
            pairs = [(OWN, other) for other in MAPS[1:]]
            together = sums[..., [target != "interview" for target in data.targets]].sum(-1, keepdim=True)
            targets = [ALL, *data.targets]
            sums = torch.cat([together, sums], dim=-1)
            table = estimates(sums, sources, MAPS, targets, statistic=_multiples, pairs=pairs)
            table = table[table["target"] != "mean"]  # a trait without positive attribution would make it NaN
            maps, chance = int(sums[:, 0, 4, 1].sum()), float(sums[:, 0, 3, 1].sum() / sums[:, 0, 4, 1].sum())
            counts = {"clips": len(rows), "sources": len({*sources}), "maps": maps, "chance": chance}
            tables.append(table.rename(columns={"predictor": "map"}).assign(subset=subset, cue=cue, **counts))
    columns = ["subset", "cue", "clips", "sources", "maps", "chance", "map", "metric", "target", "value", "low", "high"]
    return pd.concat(tables, ignore_index=True)[columns]


def _multiples(sums: Tensor) -> dict[str, Tensor]:
    inside, constant, hits, chance, _ = sums.unbind(-2)
    return dict(zip(GAMES, [inside / constant, hits / chance], strict=True))


def save_annotations(folder: Path, explainer: Explainer, cues: str) -> None:
    """Hold the maps of a split against human annotations.

    Write `annotations.csv` and `annotations.txt`, and the files of `save_grounded_skill`.

    Args:
        folder: Where to write.
        explainer: Explains the segments.
        cues: The folder of annotations.
    """
    found, clips, parts = measure_annotations(explainer, explainer.data.annotations(cues, explainer.split))
    if not found:
        log.warning(
            "No annotation in %s lies in part of a map of the %s split: the input shows neither their times nor their "
            "places, or nothing else.", cues, explainer.split,
        )  # fmt: skip
        return
    table = annotation_table(explainer, found)
    table.to_csv(folder / "annotations.csv", index=False, float_format="%.7g")
    text = annotation_text(table)
    (folder / "annotations.txt").write_text(text, encoding="utf-8")
    log.info("The %s split, in %s:\n\n%s", explainer.split, folder / "annotations.csv", text)
    save_grounded_skill(folder, explainer, clips, np.stack(parts))


def annotation_text(table: pd.DataFrame) -> str:
    """Format a table of `annotation_table`: the maps beside each other, their differences, and the traits."""
    together, single = table["target"] == ALL, table["map"].isin(MAPS)
    views = {
        ALL: (together & single, "map"),
        f"{ALL}, differences": (together & ~single, "map"),
        f"all clips, {OWN}": ((table["subset"] == "all clips") & (table["map"] == OWN), "target"),
    }
    return "\n".join(
        f"{name} on human annotations, in multiples of chance [95 % interval]: {title}\n"
        f"{_side_by_side(table[chosen & (table['metric'] == metric)], column)}\n"
        for metric, name in GAMES.items()
        for title, (chosen, column) in views.items()
    )


def _side_by_side(table: pd.DataFrame, column: str) -> str:
    numbers = table[["value", "low", "high"]].to_numpy()
    cells = table.assign(chance=table["chance"].round(3), cell=format_cells(numbers))
    index = ["subset", "cue", "clips", "sources", "maps", "chance"]
    wide = cells.pivot_table("cell", index, column, aggfunc="first", sort=False, observed=True)
    return str(wide.reset_index().to_string(index=False))
