"""Where a score comes from: attribution maps, a function a method.

All share one signature, `(model, inputs) -> Attribution`, and one convention: the mean of a map over its positions plus
the bias is the score before the model's last activation. Maps keep their sign. Nothing is hooked into the model:
`backbone` gives the maps and `head` is differentiated at them, so parameters, their `.grad`, and the modes of the model
stay as they are.

Methods that differentiate take `earlier=n`: maps before the n-th last pooling, twice as fine for every one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Attribution(NamedTuple):
    """What speaks for and against each trait in a batch of inputs."""

    maps: Tensor
    """`(N, targets, *space')`, signed, in units of the score."""
    bias: Tensor
    """`(N, targets)`: the part of the score that belongs to no position."""
    score: Tensor
    """`(N, targets)` before the last activation: `maps.mean(positions) + bias`."""


Method = Callable[[Any, Tensor], Attribution]


def class_activation(model: Any, inputs: Tensor) -> Attribution:
    r"""Class activation map (Zhou et al. 2016), exact, for a head that is linear in averaged maps.

    $M_t = \sum_c w_{tc} A_c$: the output weights of a trait, applied to the maps before they are averaged. No gradient
    is needed, and all traits are one product.
    """
    with _as_it_predicts(model), torch.no_grad():
        return class_activation_of(model, model.backbone(inputs))


def class_activation_of(model: Any, activations: Tensor) -> Attribution:
    """Class activation maps of what `backbone` has returned already: `(N, channels, *space')`."""
    linear = model.head.linear
    if linear.in_features != activations.shape[1]:
        raise ValueError(
            f"Class activation needs a head that is linear in averaged maps, but {type(model).__name__} makes "
            f"{linear.in_features} numbers of {activations.shape[1]} maps: use hirescam."
        )
    maps = torch.einsum("tc,nc...->nt...", linear.weight, activations)
    return _with_rest(maps, maps.flatten(2).mean(2) + linear.bias)


def hirescam(model: Any, inputs: Tensor, earlier: int = 0) -> Attribution:
    r"""HiResCAM (Draelos and Carin 2020): gradient × activation through the head.

    $M_t = N \sum_c A_c \cdot \partial s_t / \partial A_c$ over $N$ positions. Exact where the score is linear in the
    maps or in their parts that count: the same map as `class_activation` on a CAM CNN, and on DAN the exact share of
    every position, maximum and mean together. On a regular CNN the biases of its hidden layers stay over, in `bias`.
    """
    activations, score, gradients = _differentiate(model, inputs, earlier)
    maps = torch.einsum("nc...,ntc...->nt...", activations, gradients) * activations[0, 0].numel()
    return _with_rest(maps, score)


def layer_cam(model: Any, inputs: Tensor, earlier: int = 0) -> Attribution:
    r"""LayerCAM (Jiang et al. 2021): positive gradients × activation, made for the finer maps of earlier layers.

    $M_t = N \sum_c \max(0, \partial s_t / \partial A_c) \, A_c$, without a last ReLU. It hears what speaks for a trait
    and is deaf to what speaks against it, so that more than usual stays in `bias`.
    """
    activations, score, gradients = _differentiate(model, inputs, earlier)
    maps = torch.einsum("nc...,ntc...->nt...", activations, gradients.clamp(min=0)) * activations[0, 0].numel()
    return _with_rest(maps, score)


def grad_cam(model: Any, inputs: Tensor, earlier: int = 0) -> Attribution:
    r"""Grad-CAM (Selvaraju et al. 2017) without its ReLU, which would hide all attribution against a trait.

    $M_t = N \sum_c \overline{\partial s_t / \partial A_c} \, A_c$: every map is weighted by its mean gradient.
    """
    activations, score, gradients = _differentiate(model, inputs, earlier)
    weights = gradients.flatten(3).mean(3)
    maps = torch.einsum("nc...,ntc->nt...", activations, weights) * activations[0, 0].numel()
    return _with_rest(maps, score)


def occlusion(model: Any, inputs: Tensor, window: int = 16, stride: int = 8, batch: int = 64) -> Attribution:
    """Occlusion (Zeiler and Fergus 2014): how far the score falls when a window is covered; asks nothing of the model.

    A position has the mean fall over all windows that cover it. The rest of the score is in `bias`.

    Args:
        model: Any function from inputs to scores, if it has no `backbone` and `head` to look into.
        inputs: `(N, channels, *space)`.
        window: Length of a window along each dimension; along a single one its square, as long as the area.
        stride: From one window to the next; along a single dimension `stride * window`.
        batch: How many covered inputs are scored at once.
    """
    if not 0 < stride <= window:
        raise ValueError(
            f"Got a stride of {stride} for windows of {window}: expected 1 to {window}, else there are gaps."
        )
    space = inputs.shape[2:]
    length, step = (window, stride) if len(space) == 2 else (window**2, stride * window)
    lengths = [min(length, size) for size in space]
    starts = [range(0, size - part + step, step) for size, part in zip(space, lengths, strict=True)]
    corners = torch.cartesian_prod(*map(torch.tensor, starts)).view(-1, len(space))
    windows: list[tuple[Any, ...]] = [
        tuple(slice(int(a), int(a) + part) for a, part in zip(at, lengths, strict=True)) for at in corners
    ]
    hidden_by, score = baseline(inputs), _scores(model, inputs)
    falls, covered = inputs.new_zeros(*score.shape, *space), inputs.new_zeros(space)
    for place in windows:
        covered[place] += 1
    each = max(1, batch // len(inputs))
    for first in range(0, len(windows), each):
        some = windows[first : first + each]
        hidden = inputs.repeat(len(some), *[1] * (inputs.ndim - 1))
        for number, place in enumerate(some):
            rows = slice(number * len(inputs), (number + 1) * len(inputs))
            hidden[rows][(..., *place)] = hidden_by[(..., *place)]
        for place, without in zip(some, _scores(model, hidden).split(len(inputs)), strict=True):
            falls[(..., *place)] += (score - without).view(*score.shape, *[1] * len(space))
    return _with_rest(falls / covered, score)


def random_map(model: Any, inputs: Tensor) -> Attribution:
    """Noise as fine as the maps of the model, other noise for every input: what a map that knows nothing looks like."""
    with _as_it_predicts(model), torch.no_grad():
        activations = model.backbone(inputs)
        score = _score(model, activations)
    seeds = (inputs.cpu().double().flatten(1).sum(1).abs() * 1e6).long().tolist()
    shape = (score.shape[1], *activations.shape[2:])
    maps = [torch.randn(shape, generator=torch.Generator().manual_seed(seed % 2**31)) for seed in seeds]
    return _with_rest(torch.stack(maps).to(score), score)


def best(model: Any, inputs: Tensor, **words: Any) -> Attribution:
    """Explain by the method that tells the most of this model: the one it names in `explained_by`."""
    return METHODS[model.explained_by](model, inputs, **words)


METHODS: dict[str, Method] = {
    "class_activation": class_activation,
    "hirescam": hirescam,
    "layer_cam": layer_cam,
    "grad_cam": grad_cam,
    "occlusion": occlusion,
    "random_map": random_map,
}


def check(method: Method, model: Any) -> None:
    """Try a method on an empty input, so that one that cannot explain a model is refused before there is work to lose.

    Raises:
        ValueError: It does not suit this model, or has no such word.
    """
    if name_of(method, model) == "occlusion":  # asks nothing of a model, and takes its time
        return
    try:
        method(model, torch.zeros(1, *model.input_shape[1:], device=model.device))
    except TypeError as error:
        raise ValueError(f"{type(model).__name__} cannot be explained as asked: {error}.") from error


def name_of(method: Method, model: Any) -> str:
    """Name a method as `METHODS` does."""
    function = method.func if isinstance(method, partial) else method
    return str(model.explained_by) if function is best else function.__name__


def resize(maps: Tensor, space: tuple[int, ...]) -> Tensor:
    """Enlarge maps `(N, targets, *space')` to the input's size, linearly: whole factors keep their mean."""
    mode = {1: "linear", 2: "bilinear"}[len(space)]
    return functional.interpolate(maps, size=space, mode=mode, align_corners=False)


def baseline(inputs: Tensor) -> Tensor:
    """Say what stands where nothing is: silence in sound, in a picture its mean colour; zeros would be something.

    Args:
        inputs: `(N, channels, *space)`; three channels are taken for pictures.

    Returns:
        The same shape: the lowest level in each segment of sound, or each picture's mean colour.
    """
    if inputs.shape[1] == 3:
        return inputs.mean(tuple(range(2, inputs.ndim)), keepdim=True).expand_as(inputs)
    return inputs.amin(tuple(range(1, inputs.ndim)), keepdim=True).expand_as(inputs)


def _score(model: Any, activations: Tensor) -> Tensor:
    return model.head.linear(model.head.pool(activations))


def _scores(model: Any, inputs: Tensor) -> Tensor:
    if not hasattr(model, "backbone"):
        with torch.no_grad():
            return model(inputs)
    with _as_it_predicts(model), torch.no_grad():
        return _score(model, model.backbone(inputs))


def _with_rest(maps: Tensor, score: Tensor) -> Attribution:
    return Attribution(maps, score - maps.flatten(2).mean(2), score)


def _differentiate(model: Any, inputs: Tensor, earlier: int) -> tuple[Tensor, Tensor, Tensor]:
    """Activations `(N, channels, *space')`, scores `(N, targets)`, gradients `(N, targets, channels, *space')`."""
    below, above = _parted(model, earlier)
    with _as_it_predicts(model), torch.inference_mode(False), torch.enable_grad():
        with torch.no_grad():
            activations = below(inputs.clone())
        activations = activations.detach().requires_grad_()
        score = _score(model, above(activations))
        gradients = [
            torch.autograd.grad(score[:, target].sum(), activations, retain_graph=True)[0]
            for target in range(score.shape[1])
        ]
    return activations.detach(), score.detach(), torch.stack(gradients, dim=1)


def _parted(model: Any, earlier: int) -> tuple[nn.Module, nn.Module]:
    """Part the backbone before its n-th last pooling."""
    if earlier == 0:
        return model.backbone, nn.Identity()
    layers: Any = model.backbone if isinstance(model.backbone, nn.Sequential) else []
    pools = [place for place, layer in enumerate(layers) if "Pool" in type(layer).__name__]
    if not 0 < earlier <= len(pools):
        raise ValueError(
            f"Got earlier={earlier} for the backbone of {type(model).__name__}: expected 0 to {len(pools)}, the "
            "number of its poolings."
        )
    return model.backbone[: pools[-earlier]], model.backbone[pools[-earlier] :]


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
