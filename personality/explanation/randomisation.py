"""The parameter randomisation test: does a map change when the model forgets what it learned?"""

import copy

import numpy as np
import pandas as pd
import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from personality.explanation import cam
from personality.explanation.explainer import Explainer
from personality.explanation.grounding import energy_pointing_game
from personality.explanation.protocols import Model


def parameter_randomisation_test(explainer: Explainer, selection: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Randomise the weights layer by layer, from the head down, and compare the maps (Adebayo et al. 2018).

    Args:
        explainer: Its model, method and segments.
        selection: A table of `Highest`.
        seed: Of the random weights.

    Returns:
        A row for each number of randomised `layers`, trait, clip and segment: `rank_correlation` (Spearman's) with the
        map of the trained model, and `energy_pointing_game`. The map of a method that depends on the parameters ends
        near a rank correlation of 0.
    """
    model, method = explainer.model, explainer.method
    trained = [
        method(model, explainer.read(segments)[0]).maps[:, explainer.data.targets.index(trait)].cpu()
        for trait, segments in explainer.batches(selection)
    ]
    count = len(_layers(model))
    tables = []
    for layers in sorted({0, 1, 2, (count + 1) // 2, count}):
        other = randomised(model, layers, seed)
        for maps, (trait, segments) in zip(trained, explainer.batches(selection), strict=True):
            tables.append(_compare(explainer, other, trait, segments, maps).assign(layers=layers))
    return pd.concat(tables, ignore_index=True)


def randomised(model: Model, layers: int | None = None, seed: int = 0) -> Model:
    """Return a copy of a model whose last layers have random weights, each with the deviation of the trained ones.

    Args:
        model: The network.
        layers: How many layers, from the head down; by default all.
        seed: Of the random weights. More layers leave the weights of the others as they are.
    """
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):  # methods differentiate the copy
        other = copy.deepcopy(model)
        torch.default_generator.manual_seed(seed)
        for layer in _layers(other)[:layers]:
            weight = layer.weight
            weight.data.copy_(torch.empty(weight.shape).normal_() * float(weight.detach().std()))
    return other


def _layers(model: Model) -> list[nn.Conv1d | nn.Conv2d | nn.Linear]:
    """List the layers with weights, from the head down."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear)][::-1]


def _compare(
    explainer: Explainer, randomised: Model, trait: str, segments: np.ndarray, trained: Tensor
) -> pd.DataFrame:
    """Compare maps of a trait `(N, *space')` with those of a randomised model."""
    inputs, _ = explainer.read(segments)
    target = explainer.data.targets.index(trait)
    maps = explainer.method(randomised, inputs).maps[:, target].cpu()
    large = cam.resize(maps[:, None], tuple(inputs.shape[2:]))[:, 0].numpy()
    masks = [each[trait] for each in explainer.cue_masks(segments)]
    return explainer.names(trait, segments).assign(
        rank_correlation=_rank_correlation(trained.flatten(1), maps.flatten(1)),
        energy_pointing_game=[
            energy_pointing_game(*each) for each in zip(large, masks, explainer.occupied(segments), strict=True)
        ],
    )


def _rank_correlation(these: Tensor, those: Tensor) -> np.ndarray:
    """Return Spearman's rank correlation of each row of `(N, positions)`; 0 where a row is constant.

    Equal values share their mean rank, as in a map that is 0 nearly everywhere.
    """
    middle = (these.shape[1] + 1) / 2  # the mean of all ranks, exactly
    first, second = (rankdata(rows.numpy(), axis=1) - middle for rows in (these, those))
    size = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    correlation: np.ndarray = np.divide((first * second).sum(1), size, out=np.zeros(len(size)), where=size > 0)
    return correlation
