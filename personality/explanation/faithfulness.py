"""How faithful attribution maps are to the model: deletion and insertion, and the table of all measures."""

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from personality.explanation import cam
from personality.explanation.explainer import Explainer
from personality.explanation.grounding import energy_pointing_game, pointing_game
from personality.explanation.randomisation import parameter_randomisation_test
from personality.explanation.summary import summary, summary_text

log = logging.getLogger(__name__)

STEPS = 20
"""In how many steps an input is deleted."""
OTHER_TRAIT, OTHER_CLIP = "another trait's map", "another clip's map"
DIFFERENCE = "own map less another clip's"


def deletion_curve(
    model: Callable[[Tensor], Tensor], inputs: Tensor, maps: Tensor, target: int, baseline: Tensor
) -> Tensor:
    """Score inputs while the highest positions of their maps are deleted, step by step (Samek et al. 2017).

    The curves of deletion and insertion (Petsiuk et al. 2018) are both of this form: inserting the highest positions
    first is deleting the lowest positions first, read backwards.

    Args:
        model: From inputs to scores `(N, targets)`.
        inputs: `(N, channels, *space)`.
        maps: `(N, *space)`: the highest position is deleted first; of equal positions, the first.
        target: Which score.
        baseline: What replaces the deleted positions, of the inputs' shape.

    Returns:
        `(N, STEPS + 1)` scores, from the whole input to the whole baseline.
    """
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    ranks = torch.arange(order.shape[1], device=order.device).expand_as(order)
    rank = torch.empty_like(order).scatter_(1, order, ranks).view(len(inputs), 1, *inputs.shape[2:])
    deleted = (rank < order.shape[1] * step / STEPS for step in range(STEPS + 1))
    return torch.stack([model(torch.where(mask, baseline, inputs))[:, target] for mask in deleted], dim=1)


def measure(explainer: Explainer, selection: pd.DataFrame, methods: Mapping[str, cam.Method]) -> pd.DataFrame:
    """Measure how faithful the maps of several methods are on the same segments.

    Args:
        explainer: Reads the segments.
        selection: A table of `Highest`.
        methods: By name. Two controls are added, from the first method: the map of the next trait, and the map of
            another clip of the selection. The latter tells whether maps speak of this clip or are the same for all;
            `DIFFERENCE` is the first method less this control, segment by segment.

    Returns:
        A row for each method and control, trait, clip and segment, with the columns

        `deletion`: how far the score falls below that of the whole input while the highest positions are deleted, on
        average over the curve;
        `insertion`: how far it rises above that of the baseline while the highest positions are inserted;
        `area_between_curves`: between the curves of insertion and deletion, in units of the label; 0 for a random map;
        `energy_pointing_game` and `pointing_game`: NaN where there is no planted cue.
    """
    model, data = explainer.model, explainer.data
    first = next(iter(methods))
    tables = []
    for trait, segments in explainer.batches(selection):
        target = data.targets.index(trait)
        inputs, _ = explainer.read(segments)
        baseline = data.baseline(inputs)
        attributions = {
            name: cam.with_baseline(each, data.baseline)(model, inputs).maps for name, each in methods.items()
        }
        attributions[OTHER_TRAIT] = attributions[first].roll(-1, dims=1)
        if len(others := _others(segments[:, 0])):
            attributions[OTHER_CLIP] = attributions[first][others]
        masks = [each[trait] for each in explainer.cue_masks(segments)]
        for name, all_maps in attributions.items():
            maps = cam.resize(all_maps[:, target : target + 1], tuple(inputs.shape[2:]))[:, 0]
            with torch.inference_mode():
                highest_first = deletion_curve(model, inputs, maps, target, baseline)
                lowest_first = deletion_curve(model, inputs, -maps, target, baseline)
            measures = {
                "area_between_curves": lowest_first - highest_first,
                "deletion": highest_first[:, :1] - highest_first,
                "insertion": lowest_first - lowest_first[:, -1:],
            }
            found = list(zip(maps.cpu().numpy(), masks, explainer.occupied(segments), strict=True))
            tables.append(
                explainer.names(trait, segments).assign(
                    method=name,
                    **{key: curve.mean(1).double().cpu().numpy() for key, curve in measures.items()},
                    energy_pointing_game=[energy_pointing_game(*each) for each in found],
                    pointing_game=[pointing_game(*each) for each in found],
                )
            )
    table = pd.concat(tables, ignore_index=True)
    keys = ["trait", "clip", "group", "segment"]
    paired = table.set_index(keys).groupby("method", sort=False)
    if OTHER_CLIP in paired.groups:
        own, other = (paired.get_group(name).drop(columns="method") for name in (first, OTHER_CLIP))
        table = pd.concat([table, (own - other).dropna(how="all").reset_index().assign(method=DIFFERENCE)])
    return table.reset_index(drop=True)


def _others(clips: np.ndarray) -> list[int]:
    """Return for each segment the row of the next one of another clip; nothing if all are of one clip."""
    rows = [np.flatnonzero(np.roll(clips, -row) != clip) for row, clip in enumerate(clips)]
    return [(row + int(found[0])) % len(clips) for row, found in enumerate(rows)] if all(map(len, rows)) else []


def save_faithfulness(folder: Path, explainer: Explainer, selection: pd.DataFrame) -> None:
    """Measure all methods that can explain a model, and test the explainer's method with randomised parameters.

    `faithfulness.csv` and `parameter_randomisation.csv` hold the means with their intervals, `*_clips.csv` the measures
    of each segment.
    """
    model = explainer.model
    methods: dict[str, cam.Method] = {cam.name_of(explainer.method, model): explainer.method}
    for name, method in cam.METHODS.items():
        if name != "class_activation" or model.explained_by == name:
            methods.setdefault(name, method)
    measures = measure(explainer, selection, methods)
    randomisation = parameter_randomisation_test(explainer, selection)
    for name, table, by in [("faithfulness", measures, "method"), ("parameter_randomisation", randomisation, "layers")]:
        table.to_csv(folder / f"{name}_clips.csv", index=False)
        means = summary(table.dropna(axis="columns", how="all"), by)  # without cues there are no pointing games
        means.to_csv(folder / f"{name}.csv")
        log.info(
            "%s on the %s split, with 95 %% intervals:\n%s",
            name.replace("_", " ").capitalize(), explainer.split, summary_text(means),
        )  # fmt: skip
