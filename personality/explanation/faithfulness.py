"""Whether a map tells the truth, measured: by what the model does without what it points at, and by planted cues."""

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from personality.evaluation.intervals import resampled
from personality.explanation import cam
from personality.explanation.segments import BATCH, read

log = logging.getLogger(__name__)

STEPS = 20
"""How many parts of the input are deleted one after the other."""
CONTROL = "another trait's map"


def pointing(map_: np.ndarray, mask: np.ndarray) -> float:
    """Compare a map with the place of evidence that is known: energy-based pointing (Wang et al. 2020), over chance.

    Args:
        map_: `(*space)`, signed; only what speaks for the trait counts.
        mask: `(*space)` boolean, true where the evidence lies.

    Returns:
        The share of the positive energy that lies inside the mask, divided by the share that a constant map would have
        there. 1 is chance; NaN where there is no positive energy or no evidence.

    >>> pointing(np.array([0.0, 3.0, 1.0, -9.0]), np.array([False, True, False, False]))
    3.0
    """
    positive = np.clip(map_, 0, None)
    if not mask.any() or not positive.any():
        return float("nan")
    return float(positive[mask].sum() / positive.sum() / mask.mean())


def hit(map_: np.ndarray, mask: np.ndarray) -> float:
    """Say whether the highest place of a map lies on the evidence (Zhang et al. 2018); NaN where there is none.

    >>> hit(np.array([0.0, 3.0, 1.0, -9.0]), np.array([False, True, False, False]))
    1.0
    """
    return float(mask[np.unravel_index(map_.argmax(), map_.shape)]) if mask.any() else float("nan")


def curve(model: nn.Module, inputs: Tensor, maps: Tensor, target: int, blank: Tensor) -> Tensor:
    """Score inputs while the highest places of their maps are deleted, step by step (Samek et al. 2017).

    The areas of deletion and insertion (Petsiuk et al. 2018) both lie in it: inserting the highest places first is
    deleting the lowest first, read backwards.

    Args:
        model: From inputs to scores `(N, targets)`.
        inputs: `(N, channels, *space)`.
        maps: `(N, *space)`: what is highest goes first. Of equal places the first goes first.
        target: Which score.
        blank: What stands where something was deleted, of the inputs' shape.

    Returns:
        `(N, STEPS + 1)` scores, from the whole input to nothing of it.
    """
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    rank = rank.view(len(inputs), 1, *inputs.shape[2:])
    gone = (rank < order.shape[1] * step / STEPS for step in range(STEPS + 1))
    return torch.stack([model(torch.where(places, blank, inputs))[:, target] for places in gone], dim=1)


def measure(
    model: LightningModule, data: Any, split: str, chosen: list[np.ndarray], methods: Mapping[str, cam.Method]
) -> pd.DataFrame:
    """Measure how truthful maps are, for several methods on the same segments.

    Args:
        model: What is explained.
        data: A `TraitDataModule`.
        split: The split.
        chosen: For each target its segments, rows `(clip, segment)`.
        methods: By name. The map of the next trait, by the first of them, joins them as a control.

    Returns:
        A row a method, trait, clip and segment, with columns

        `gap`: how much lower the score lies, on average along the way, where the highest places are deleted first than
        where the lowest are, in units of the label; 0 for a map that knows nothing;
        `deletion`: how far the score falls below that of the whole input on that way, on average;
        `insertion`: how far it rises above that of nothing when the highest places are inserted first;
        `pointing` and `hit`: see there; NaN where no evidence was planted.
    """
    rows, own = [], next(iter(methods))
    for target, trait in enumerate(data.targets):
        for start in range(0, len(chosen[target]), BATCH):
            segments = chosen[target][start : start + BATCH]
            inputs, _ = read(model, data, split, segments)
            blank = cam.absent(inputs)
            found = {name: method(model, inputs).maps for name, method in methods.items()}
            found[CONTROL] = found[own].roll(-1, dims=1)
            for name, of_all in found.items():
                maps = cam.resize(of_all[:, target : target + 1], tuple(inputs.shape[2:]))[:, 0]
                with torch.inference_mode():
                    highest = curve(model, inputs, maps, target, blank)
                    lowest = curve(model, inputs, -maps, target, blank)
                measures = {
                    "gap": (lowest - highest).mean(1),
                    "deletion": (highest[:, :1] - highest).mean(1),
                    "insertion": (lowest - lowest[:, -1:]).mean(1),
                }
                for place, (clip, segment) in enumerate(segments):
                    mask = data.evidence(split, int(clip), int(segment)).get(trait, np.zeros(maps.shape[1:], bool))
                    heat = maps[place].cpu().numpy()
                    row = {"method": name, "trait": trait, "clip": data.clips(split).index[clip], "segment": segment}
                    row |= {measure: float(values[place]) for measure, values in measures.items()}
                    rows.append(row | {"pointing": pointing(heat, mask), "hit": hit(heat, mask)})
    return pd.DataFrame(rows)


def randomised(
    model: LightningModule, data: Any, split: str, chosen: list[np.ndarray], method: cam.Method, seed: int = 0
) -> pd.DataFrame:
    """Randomise the weights from the top down and see whether the maps notice (Adebayo et al. 2018).

    Returns:
        A row for the number of layers with new weights, of the head first, `trait`, `clip` and `segment`: the rank
        correlation of the map with that of the trained model, as `similarity`, and `pointing`. A map that explains the
        model, not the input alone, ends near 0.
    """
    batches = []
    for target, trait in enumerate(data.targets):
        for start in range(0, len(chosen[target]), BATCH):
            segments = chosen[target][start : start + BATCH]
            inputs, _ = read(model, data, split, segments)
            batches.append((target, trait, segments, inputs, method(model, inputs).maps[:, target].cpu()))
    with torch.inference_mode(False):  # a validation may have switched it on, and methods differentiate
        changed = copy.deepcopy(model)
    layers = [layer for layer in changed.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear)][::-1]
    stages = sorted({0, 1, 2, (len(layers) + 1) // 2, len(layers)})
    rows = []
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for count in range(len(layers) + 1):
            if count:
                layer = layers[count - 1]
                fresh = torch.empty(layer.weight.shape).normal_() * float(layer.weight.detach().std())
                layer.weight.data.copy_(fresh)
            if count not in stages:
                continue
            for target, trait, segments, inputs, true in batches:
                other = method(changed, inputs).maps[:, target].cpu()
                likeness = _rank_correlation(true.flatten(1), other.flatten(1))
                maps = cam.resize(other[:, None], tuple(inputs.shape[2:]))[:, 0].numpy()
                for place, (clip, segment) in enumerate(segments):
                    mask = data.evidence(split, int(clip), int(segment)).get(trait, np.zeros(maps.shape[1:], bool))
                    row = {"layers": count, "trait": trait, "clip": data.clips(split).index[clip], "segment": segment}
                    rows.append(row | {"similarity": float(likeness[place]), "pointing": pointing(maps[place], mask)})
    return pd.DataFrame(rows)


def save(
    folder: Path, model: LightningModule, data: Any, split: str, chosen: list[np.ndarray], method: cam.Method
) -> None:
    """Measure all methods that can explain a model, and the sanity of one; write tables and say what they say.

    `faithfulness.csv` and `sanity.csv` hold the means with their intervals, `*_clips.csv` what was measured on each.
    """
    methods: dict[str, cam.Method] = {cam.name_of(method, model): method}
    for name, other in cam.METHODS.items():
        if name != "class_activation" or model.explained_by == name:
            methods.setdefault(name, other)
    measured = measure(model, data, split, chosen, methods)
    sanity = randomised(model, data, split, chosen, method)
    for name, table, by in [("faithfulness", measured, "method"), ("sanity", sanity, "layers")]:
        table.to_csv(folder / f"{name}_clips.csv", index=False)
        means = summary(table, by)
        means.to_csv(folder / f"{name}.csv")
        log.info("%s of the %s split, with 95 %% intervals:\n%s", name, split, summary_text(means))


def summary(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Average measures, each with a 95 % interval from a bootstrap over sources.

    Args:
        table: Of `measure` or `randomised`.
        by: The column whose values are compared: `method` or `layers`.

    Returns:
        A row for each of them, in their first order: a measure's mean, and under `<measure>_from` and `<measure>_to`
        its interval.
    """
    measures = [column for column in table if column not in (by, "trait", "clip", "segment")]
    lines = {}
    for key, part in table.groupby(by, sort=False):
        values = torch.tensor(part[measures].to_numpy(float))
        there = values.isfinite()
        sums = torch.stack([values.nan_to_num(0), there.double()], dim=1)
        draws = resampled(sums, list(part["clip"]))
        means = (draws[:, 0] / draws[:, 1]).numpy()
        line = {}
        for number, name in enumerate(measures):
            line[name] = float(sums[:, 0, number].sum() / sums[:, 1, number].sum())
            known = means[np.isfinite(means[:, number]), number]
            edges = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
            line |= {f"{name}_from": float(edges[0]), f"{name}_to": float(edges[1])}
        lines[key] = line
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis(by).dropna(axis="columns", how="all")


def summary_text(table: pd.DataFrame) -> str:
    """Print a table of `summary`: each mean, and in brackets its interval."""
    measures = [column for column in table if f"{column}_from" in table]
    cells = {
        name: [
            f"{mean:.3f} [{low:.3f}, {high:.3f}]"
            for mean, low, high in zip(table[name], table[f"{name}_from"], table[f"{name}_to"], strict=True)
        ]
        for name in measures
    }
    return pd.DataFrame(cells, index=table.index).to_string()


def _rank_correlation(these: Tensor, those: Tensor) -> Tensor:
    """Correlate the ranks within rows `(N, positions)`; 0 where all of a row is equal."""
    first, second = (each.argsort(dim=1).argsort(dim=1).double() for each in (these, those))
    first, second = first - first.mean(1, keepdim=True), second - second.mean(1, keepdim=True)
    return (first * second).sum(1) / (first.norm(dim=1) * second.norm(dim=1)).clamp(min=1e-12)
