"""Attribution maps: where in an input the score of each trait comes from.

A method is a function `(model, inputs) -> Attribution`. The mean of a map over its positions plus the bias is the score
before the model's last activation. Maps are signed. Methods use no hooks: they take the maps that `backbone` returns
and differentiate `head` at them. They change neither parameters, nor their `.grad`, nor the mode of a module.

Gradient methods take `earlier=n`: maps before the n-th last pooling, each time with twice the resolution.
"""

import inspect
import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from types import EllipsisType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from personality.explanation.protocols import Model


class Attribution(NamedTuple):
    """Attribution maps of a batch of inputs."""

    maps: Tensor
    """`(N, targets, *space')`, signed, in units of the score."""
    bias: Tensor
    """`(N, targets)`: the part of the score that belongs to no position."""
    score: Tensor
    """`(N, targets)` before the last activation: `maps.mean(positions) + bias`."""


POOLS = nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d

FEW_CELLS = 4
"""Maps of so many cells along a side, or fewer, are not smoothed."""

Method = Callable[[Model, Tensor], Attribution]


def class_activation(model: Model, inputs: Tensor) -> Attribution:
    r"""Class activation map (Zhou et al. 2016), exact, for a head that is linear in averaged maps.

    $M_t = \sum_c w_{tc} A_c$: the output weights of a trait, applied to the maps before they are averaged. It needs
    no gradients.
    """
    with _evaluating(model), torch.no_grad():
        return class_activation_of(model, model.backbone(inputs))


def class_activation_of(model: Model, activations: Tensor) -> Attribution:
    """Compute class activation maps from the output of `backbone`, `(N, channels, *space')`."""
    linear = model.head[1]
    assert isinstance(linear, nn.Linear)
    if linear.in_features != activations.shape[1]:
        raise ValueError(
            f"Class activation needs a head that is linear in averaged maps, but {type(model).__name__} makes "
            f"{linear.in_features} numbers of {activations.shape[1]} maps: use hirescam."
        )
    maps = torch.einsum("tc,nc...->nt...", linear.weight, activations)
    return _with_bias(maps, maps.flatten(2).mean(2) + linear.bias)


def hirescam(model: Model, inputs: Tensor, earlier: int = 0) -> Attribution:
    r"""HiResCAM (Draelos and Carin 2020): gradient × activation through the head.

    $M_t = N \sum_c A_c \cdot \partial s_t / \partial A_c$ over $N$ positions. Exact where the score is piecewise linear
    in the maps, without hidden biases: on a CAM CNN it equals `class_activation`. The hidden biases of a regular CNN
    are part of `bias`.

    Vector norms in the head are held constant, as the normaliser is in the layer norm rule (Ali et al. 2022). So it is
    exact on DAN, too. With the norms differentiated, the maps of a descriptor of length 1 would always sum to 0.

    Where the model knows the maps of the average training clip, $A_c$ is the difference from them: the map shows how
    this clip differs, and the bias is the score of the average clip.
    """
    activations, score, gradients = _differentiate(model, inputs, earlier, norms=_ConstantNorms())
    if model.reference is not None and not earlier:
        activations = activations - model.reference
    maps = torch.einsum("nc...,ntc...->nt...", activations, gradients) * activations[0, 0].numel()
    return _with_bias(maps, score)


def layer_cam(model: Model, inputs: Tensor, earlier: int = 0) -> Attribution:
    r"""LayerCAM (Jiang et al. 2021): positive gradients × activation, made for the finer maps of earlier layers.

    $M_t = N \sum_c \max(0, \partial s_t / \partial A_c) \, A_c$, without the final ReLU. It leaves out negative
    gradients, so a larger part of the score is in `bias`.
    """
    activations, score, gradients = _differentiate(model, inputs, earlier)
    maps = torch.einsum("nc...,ntc...->nt...", activations, gradients.clamp(min=0)) * activations[0, 0].numel()
    return _with_bias(maps, score)


def grad_cam(model: Model, inputs: Tensor, earlier: int = 0) -> Attribution:
    r"""Grad-CAM (Selvaraju et al. 2017) without its ReLU, which would hide negative attribution.

    $M_t = N \sum_c \overline{\partial s_t / \partial A_c} \, A_c$: the weight of a map is its mean gradient.
    """
    activations, score, gradients = _differentiate(model, inputs, earlier)
    weights = gradients.flatten(3).mean(3)
    maps = torch.einsum("nc...,ntc->nt...", activations, weights) * activations[0, 0].numel()
    return _with_bias(maps, score)


def occlusion(
    model: Model,
    inputs: Tensor,
    window: int = 16,
    stride: int = 8,
    batch: int = 64,
    baseline: Callable[[Tensor], Tensor] = torch.zeros_like,
) -> Attribution:
    """Occlusion (Zeiler and Fergus 2014): how far the score falls when a window of the input is covered.

    The map of a position is the mean fall over all windows that cover it. The rest of the score is in `bias`.

    Args:
        model: The network.
        inputs: `(N, channels, *space)`.
        window: Length of a window along each of two dimensions; along a single dimension, the square of it.
        stride: From one window to the next; along a single dimension `stride * window`.
        batch: How many covered inputs are scored at once.
        baseline: From inputs to what a window is covered with, of the same shape.
    """
    if not 0 < stride <= window:
        raise ValueError(
            f"Got a stride of {stride} for windows of {window}: expected 1 to {window}, else there are gaps."
        )
    windows = _windows(tuple(inputs.shape[2:]), window, stride)
    covers, score = baseline(inputs), _score(model, inputs)
    falls, counts = inputs.new_zeros(*score.shape, *inputs.shape[2:]), inputs.new_zeros(inputs.shape[2:])
    step = max(1, batch // len(inputs))
    for first in range(0, len(windows), step):
        some = windows[first : first + step]
        covered = inputs.repeat(len(some), *[1] * (inputs.ndim - 1))
        for part, where in zip(covered.unflatten(0, (len(some), -1)), some, strict=True):
            part[where] = covers[where]
        for without, where in zip(_score(model, covered).unflatten(0, (len(some), -1)), some, strict=True):
            falls[where] += (score - without).view(*score.shape, *[1] * (inputs.ndim - 2))
            counts[where] += 1
    return _with_bias(falls / counts, score)


def _windows(space: tuple[int, ...], window: int, stride: int) -> list[tuple[slice | EllipsisType, ...]]:
    """Return the windows of `occlusion`, which together cover the space."""
    length, step = (window, stride) if len(space) == 2 else (window**2, stride * window)
    lengths = [min(length, size) for size in space]
    starts = [range(0, size - part + step, step) for size, part in zip(space, lengths, strict=True)]
    return [
        (..., *(slice(start, start + part) for start, part in zip(corner, lengths, strict=True)))
        for corner in itertools.product(*starts)
    ]


def random_map(model: Model, inputs: Tensor) -> Attribution:
    """Noise with the resolution of the model's maps, seeded by the input: a control for the other methods."""
    with _evaluating(model), torch.no_grad():
        activations = model.backbone(inputs)
        score = model.head[:-1](activations)
    seeds = (inputs.cpu().double().flatten(1).sum(1).abs() * 1e6).long().tolist()
    shape = (score.shape[1], *activations.shape[2:])
    maps = [torch.randn(shape, generator=torch.Generator().manual_seed(seed % 2**31)) for seed in seeds]
    return _with_bias(torch.stack(maps).to(score), score)


def best(model: Model, inputs: Tensor, **options: Any) -> Attribution:
    """Explain a model by the method that suits it best, which it names in `explained_by`."""
    return METHODS[model.explained_by](model, inputs, **options)


METHODS: dict[str, Method] = {
    "class_activation": class_activation,
    "hirescam": hirescam,
    "layer_cam": layer_cam,
    "grad_cam": grad_cam,
    "occlusion": occlusion,
    "random_map": random_map,
}


def check(method: Method, model: Model) -> None:
    """Try a method on an input of zeros, so that one that does not suit the model is refused before the work.

    Raises:
        ValueError: The method does not suit the model or has no such option.
    """
    if name_of(method, model) == "occlusion":  # suits every model, and takes long
        return
    try:
        method(model, torch.zeros(1, *model.input_shape[1:], device=model.device))
    except TypeError as error:
        raise ValueError(f"{type(model).__name__} cannot be explained as asked: {error}.") from error


def name_of(method: Method, model: Model) -> str:
    """Return the name of a method in `METHODS`."""
    function = method
    while isinstance(function, partial):  # Hydra's own kind of `partial` does not merge with others
        function = function.func
    return str(model.explained_by) if function is best else function.__name__


def with_baseline(method: Method, baseline: Callable[[Tensor], Tensor]) -> Method:
    """Set the option `baseline` of a method that has it; return any other method as it is."""
    options: dict[str, Any] = {"baseline": baseline}
    return partial(method, **options) if "baseline" in inspect.signature(method).parameters else method


def resize(maps: Tensor, space: tuple[int, ...]) -> Tensor:
    """Enlarge maps `(N, targets, *space')` to the input's size, linearly, with the same mean.

    Maps of few cells stay blocks: a smooth hill would pretend to know where in a cell it lies. Whole factors keep the
    mean by themselves. What others add or lose at the edges is spread over all positions.
    """
    if min(maps.shape[2:]) <= FEW_CELLS:
        enlarged = functional.interpolate(maps, size=space, mode="nearest-exact")
    else:
        mode = {1: "linear", 2: "bilinear"}[len(space)]
        enlarged = functional.interpolate(maps, size=space, mode=mode, align_corners=False)
    if all(new % old == 0 for new, old in zip(space, maps.shape[2:], strict=True)):
        return enlarged
    lost = maps.flatten(2).mean(2) - enlarged.flatten(2).mean(2)
    return enlarged + lost.view(*lost.shape, *[1] * len(space))


def _score(model: Model, inputs: Tensor) -> Tensor:
    """Score inputs `(N, channels, *space)` before the last activation: `(N, targets)`."""
    with _evaluating(model), torch.no_grad():
        score: Tensor = model.head[:-1](model.backbone(inputs))
        return score


def _with_bias(maps: Tensor, score: Tensor) -> Attribution:
    return Attribution(maps, score - maps.flatten(2).mean(2), score)


class _ConstantNorms(TorchFunctionMode):
    """Hold vector norms constant under differentiation."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        return result.detach() if func in (Tensor.norm, torch.linalg.vector_norm) else result


def _differentiate(
    model: Model, inputs: Tensor, earlier: int, norms: AbstractContextManager[Any] | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return activations `(N, channels, *space')`, scores `(N, targets)`, gradients `(N, targets, channels, *space')`.

    The scores are computed within the context `norms`.
    """
    below, above = _split_backbone(model, earlier)
    with _evaluating(model), torch.inference_mode(False), torch.enable_grad():
        with torch.no_grad():
            activations = below(inputs.clone())
        activations = activations.detach().requires_grad_()
        with norms or nullcontext():
            score = model.head[:-1](above(activations))
        gradients = [
            torch.autograd.grad(score[:, target].sum(), activations, retain_graph=True)[0]
            for target in range(score.shape[1])
        ]
    return activations.detach(), score.detach(), torch.stack(gradients, dim=1)


def _split_backbone(model: Model, earlier: int) -> tuple[nn.Module, nn.Module]:
    """Split the backbone before its n-th last pooling."""
    if earlier == 0:
        return model.backbone, nn.Identity()
    layers = model.backbone if isinstance(model.backbone, nn.Sequential) else nn.Sequential()
    pools = [index for index, layer in enumerate(layers) if isinstance(layer, POOLS)]
    if not 0 < earlier <= len(pools):
        raise ValueError(
            f"Got earlier={earlier} for the backbone of {type(model).__name__}: expected 0 to {len(pools)}, the "
            "number of its poolings."
        )
    return layers[: pools[-earlier]], layers[pools[-earlier] :]


@contextmanager
def _evaluating(model: Model) -> Iterator[None]:
    """Switch dropout and batch statistics off, then restore the mode of every module."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
