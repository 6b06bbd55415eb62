"""Where a score comes from: maps of the evidence for and against every trait, a function a method.

All share one signature, `(model, inputs) -> Evidence`, and one convention: the mean of a map over its positions, plus
the bias, is the score before the model's last activation (exactly so for the methods that say they are exact). Maps
keep their sign. Nothing is hooked into the model: `features` gives the maps and `head` is differentiated at them, so
parameters, their `.grad`, and the modes of the model stay as they are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


class Evidence(NamedTuple):
    """What speaks for and against each trait in a batch of inputs."""

    maps: Tensor
    """`(N, targets, *space')`, signed, in units of the score."""
    bias: Tensor
    """`(N, targets)`: the part of the score that belongs to no position."""
    score: Tensor
    """`(N, targets)` before the last activation: `maps.mean(positions) + bias`."""


Method = Callable[[Any, Tensor], Evidence]


def class_activation(model: Any, inputs: Tensor) -> Evidence:
    r"""Class activation map (Zhou et al. 2016), exact, for a head that is linear in averaged maps.

    $M_t = \sum_c w_{tc} A_c$: the output weights of a trait, applied to the maps before they are averaged. No gradient
    is needed, and all traits are one product.
    """
    linear = model.head.linear
    with _as_it_predicts(model), torch.no_grad():
        activations = model.features(inputs)
        if linear.in_features != activations.shape[1]:
            raise ValueError(
                f"Class activation needs a head that is linear in averaged maps, but {type(model).__name__} makes "
                f"{linear.in_features} numbers of {activations.shape[1]} maps: use hirescam."
            )
        maps = torch.einsum("tc,nc...->nt...", linear.weight, activations)
        return _with_rest(maps, _score(model, activations))


def hirescam(model: Any, inputs: Tensor) -> Evidence:
    r"""HiResCAM (Draelos and Carin 2020): gradient × activation through the head.

    $M_t = N \sum_c A_c \cdot \partial s_t / \partial A_c$ over $N$ positions. Exact where the score is linear in the
    maps or in their parts that count: the same map as `class_activation` on a CAM CNN, and on DAN the exact share of
    every position, maximum and mean together. On a regular CNN the biases of its hidden layers stay over, in `bias`.
    """
    activations, score, gradients = _differentiate(model, inputs)
    maps = torch.einsum("nc...,ntc...->nt...", activations, gradients) * activations[0, 0].numel()
    return _with_rest(maps, score)


def grad_cam(model: Any, inputs: Tensor) -> Evidence:
    r"""Grad-CAM (Selvaraju et al. 2017) without its ReLU, which would hide all evidence against a trait.

    $M_t = N \sum_c \overline{\partial s_t / \partial A_c} \, A_c$: every map is weighted by its mean gradient.
    """
    activations, score, gradients = _differentiate(model, inputs)
    weights = gradients.flatten(3).mean(3)
    maps = torch.einsum("nc...,ntc->nt...", activations, weights) * activations[0, 0].numel()
    return _with_rest(maps, score)


def best(model: Any, inputs: Tensor) -> Evidence:
    """Explain by the method that tells the most of this model: the one it names in `explained_by`."""
    return METHODS[model.explained_by](model, inputs)


METHODS: dict[str, Method] = {"class_activation": class_activation, "hirescam": hirescam, "grad_cam": grad_cam}


def resize(maps: Tensor, space: tuple[int, ...]) -> Tensor:
    """Enlarge maps `(N, targets, *space')` to the input's size, linearly: whole factors keep their mean."""
    mode = {1: "linear", 2: "bilinear"}[len(space)]
    return nn.functional.interpolate(maps, size=space, mode=mode, align_corners=False)


def _score(model: Any, activations: Tensor) -> Tensor:
    return model.head.linear(model.head.pool(activations))


def _with_rest(maps: Tensor, score: Tensor) -> Evidence:
    return Evidence(maps, score - maps.flatten(2).mean(2), score)


def _differentiate(model: Any, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Activations `(N, channels, *space')`, scores `(N, targets)`, gradients `(N, targets, channels, *space')`."""
    with _as_it_predicts(model), torch.inference_mode(False), torch.enable_grad():
        with torch.no_grad():
            activations = model.features(inputs.clone())
        activations = activations.detach().requires_grad_()
        score = _score(model, activations)
        gradients = [
            torch.autograd.grad(score[:, target].sum(), activations, retain_graph=True)[0]
            for target in range(score.shape[1])
        ]
    return activations.detach(), score.detach(), torch.stack(gradients, dim=1)


@contextmanager
def _as_it_predicts(model: nn.Module) -> Iterator[None]:
    """Switch dropout and batch statistics off, and leave every module's mode as it was found."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:
            module.training = True
