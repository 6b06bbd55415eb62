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
from scipy.stats import rankdata
from torch import Tensor, nn

from personality.evaluation.intervals import estimates
from personality.explanation import cam
from personality.explanation.segments import BATCH, read

log = logging.getLogger(__name__)

STEPS = 20
"""How many parts of the input are deleted one after the other."""
CONTROL = "another trait's map"


def energy_pointing_game(map_: np.ndarray, mask: np.ndarray) -> float:
    """Compare a map with the place of a known cue: energy-based pointing game (Wang et al. 2020), over chance.

    Args:
        map_: `(*space)`, signed; only what speaks for the trait counts.
        mask: `(*space)` boolean, true where the evidence lies.

    Returns:
        The share of the positive energy that lies inside the mask, divided by the share that a constant map would have
        there. 1 is chance; NaN where there is no positive energy or no evidence.

    >>> energy_pointing_game(np.array([0.0, 3.0, 1.0, -9.0]), np.array([False, True, False, False]))
    3.0
    """
    positive = np.clip(map_, 0, None)
    if not mask.any() or not positive.any():
        return float("nan")
    return float(positive[mask].sum() / positive.sum() / mask.mean())


def pointing_game(map_: np.ndarray, mask: np.ndarray) -> float:
    """Return whether the maximum of a map lies on the planted cue (pointing game, Zhang et al. 2018).

    Of several equal maxima, return the share on the cue, so that a constant map has what chance gives. NaN where no cue
    was planted.

    >>> pointing_game(np.array([0.0, 3.0, 1.0, -9.0]), np.array([False, True, False, False]))
    1.0
    >>> pointing_game(np.zeros(4), np.array([True, False, False, False]))
    0.25
    """
    return float(mask[map_ == map_.max()].mean()) if mask.any() else float("nan")


def curve(model: nn.Module, inputs: Tensor, maps: Tensor, target: int, baseline: Tensor) -> Tensor:
    """Score inputs while the highest places of their maps are deleted, step by step (Samek et al. 2017).

    The areas of deletion and insertion (Petsiuk et al. 2018) both lie in it: inserting the highest places first is
    deleting the lowest first, read backwards.

    Args:
        model: From inputs to scores `(N, targets)`.
        inputs: `(N, channels, *space)`.
        maps: `(N, *space)`: what is highest goes first. Of equal places the first goes first.
        target: Which score.
        baseline: What stands where something was deleted, of the inputs' shape.

    Returns:
        `(N, STEPS + 1)` scores, from the whole input to nothing of it.
    """
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(order.shape[1], device=order.device).expand_as(order)
    )
    rank = rank.view(len(inputs), 1, *inputs.shape[2:])
    gone = (rank < order.shape[1] * step / STEPS for step in range(STEPS + 1))
    return torch.stack([model(torch.where(places, baseline, inputs))[:, target] for places in gone], dim=1)


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
        `energy_pointing_game` and `pointing_game`: see there; NaN where no evidence was planted.
    """
    rows, own = [], next(iter(methods))
    for target, trait in enumerate(data.targets):
        for start in range(0, len(chosen[target]), BATCH):
            segments = chosen[target][start : start + BATCH]
            inputs, _ = read(model, data, split, segments)
            baseline = cam.baseline(inputs)
            found = {name: method(model, inputs).maps for name, method in methods.items()}
            found[CONTROL] = found[own].roll(-1, dims=1)
            for name, of_all in found.items():
                maps = cam.resize(of_all[:, target : target + 1], tuple(inputs.shape[2:]))[:, 0]
                with torch.inference_mode():
                    highest = curve(model, inputs, maps, target, baseline)
                    lowest = curve(model, inputs, -maps, target, baseline)
                measures = {
                    "gap": (lowest - highest).mean(1),
                    "deletion": (highest[:, :1] - highest).mean(1),
                    "insertion": (lowest - lowest[:, -1:]).mean(1),
                }
                for place, (clip, segment) in enumerate(segments):
                    mask = data.cues(split, int(clip), int(segment)).get(trait, np.zeros(maps.shape[1:], bool))
                    heat = maps[place].cpu().numpy()
                    row = {"method": name, "trait": trait, "clip": data.clips(split).index[clip], "segment": segment}
                    row |= {measure: float(values[place]) for measure, values in measures.items()}
                    rows.append(
                        row
                        | {
                            "energy_pointing_game": energy_pointing_game(heat, mask),
                            "pointing_game": pointing_game(heat, mask),
                        }
                    )
    return pd.DataFrame(rows)


def randomised(
    model: LightningModule, data: Any, split: str, chosen: list[np.ndarray], method: cam.Method, seed: int = 0
) -> pd.DataFrame:
    """Randomise the weights from the top down and see whether the maps notice (Adebayo et al. 2018).

    Returns:
        A row for the number of layers with new weights, of the head first, `trait`, `clip` and `segment`: Spearman's
        rank correlation of the map with that of the trained model, as `similarity` (0 where one of the two maps is
        constant), and `energy_pointing_game`. A map that explains the model, not the input alone, ends near 0.
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
                    mask = data.cues(split, int(clip), int(segment)).get(trait, np.zeros(maps.shape[1:], bool))
                    row = {"layers": count, "trait": trait, "clip": data.clips(split).index[clip], "segment": segment}
                    rows.append(
                        row
                        | {
                            "similarity": float(likeness[place]),
                            "energy_pointing_game": energy_pointing_game(maps[place], mask),
                        }
                    )
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
        means = summary(table.dropna(axis="columns", how="all"), by)  # without cues there is no `energy_pointing_game`
        means.to_csv(folder / f"{name}.csv")
        log.info("%s of the %s split, with 95 %% intervals:\n%s", name, split, summary_text(means))


def summary(table: pd.DataFrame, by: str) -> pd.DataFrame:
    """Average numbers over clips, each with a 95 % interval from a bootstrap over sources.

    Args:
        table: A row a clip or segment, with a column `clip` and columns of numbers, NaN where there is none: such as
            that of `measure` or `randomised`.
        by: The column whose values are compared, such as `method`, `layers` or `trait`.

    Returns:
        A row for each of them, in their first order: for each column of numbers its mean, and under `<column>_from` and
        `<column>_to` the interval. NaN where there is no number; no interval where all come from one source.
    """
    names = table.columns.drop([by, "trait", "clip", "segment"], errors="ignore")
    means = pd.DataFrame(
        index=pd.Index(table[by].unique(), name=by),
        columns=[f"{name}{end}" for name in names for end in ("", "_from", "_to")],
        dtype=float,
    )
    for key, part in table.groupby(by, sort=False):
        for name in names:
            known = part[["clip", name]].dropna()
            sums = torch.tensor([[1.0, value] for value in known[name]], dtype=torch.float64).view(-1, 1, 2, 1)
            if len(known):
                line = estimates(sums, list(known["clip"]), [str(key)], [name], statistic=_mean).iloc[-1]
                means.loc[key, [name, f"{name}_from", f"{name}_to"]] = line[["value", "low", "high"]].to_numpy(float)
    return means


def summary_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Format a table of `summary` as text: each mean with its interval in brackets, `-` where there is no mean."""
    written = {}
    for name in (column for column in table if f"{column}_from" in table):
        numbers = table[[name, f"{name}_from", f"{name}_to"]].to_numpy(float)
        written[name] = [
            "-" if np.isnan(mean) else f"{mean:.3f}" + ("" if np.isnan(low) else f" [{low:.3f}, {high:.3f}]")
            for mean, low, high in numbers
        ]
    return pd.DataFrame(written, index=table.index)


def summary_text(table: pd.DataFrame) -> str:
    """Lay out a table of `summary` for a terminal."""
    return summary_cells(table).to_string()


def _mean(sums: Tensor) -> dict[str, Tensor]:
    count, total = sums.unbind(-2)
    return {"mean": total / count}


def _rank_correlation(these: Tensor, those: Tensor) -> np.ndarray:
    """Return Spearman's rank correlation of each row of `(N, positions)`, 0 where a row is constant.

    Equal values share their average rank, as in a map that is 0 nearly everywhere. The correlation with a constant row
    is undefined; here it is 0: such a map has nothing of the other.
    """
    middle = (these.shape[1] + 1) / 2  # the mean of all ranks, exactly
    first, second = (rankdata(rows.numpy(), axis=1) - middle for rows in (these, those))
    size = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return np.divide((first * second).sum(1), size, out=np.zeros(len(size)), where=size > 0)
