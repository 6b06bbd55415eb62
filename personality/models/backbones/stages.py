"""The maps of several layers of a backbone, on one grid."""

import copy
from collections.abc import Iterable, Sequence
from functools import cache

import torch
from torch import Tensor, nn

LETTERS = "abc"


class Stages(nn.Module):
    """Run a backbone and return the maps of several of its layers, one behind the other along the channels.

    All maps are brought to the finest grid by `resample`, which keeps the mean of every map. So a head on several
    stages is a head on one tensor of maps, and what explains the one explains the other.

    `(N, channels, *space)` to `(N, sum of the stages' channels, *finest space)`.

    Args:
        layers: The backbone. Layers after the last stage stay, for the weight files, but are not computed.
        stages: Names of its layers.

    Raises:
        ValueError: The backbone has no such layer.
    """

    def __init__(self, layers: nn.Sequential, stages: Iterable[str]) -> None:
        super().__init__()
        names, self.stages = [name for name, _ in layers.named_children()], [*stages]
        if unknown := [stage for stage in self.stages if stage not in names]:
            raise ValueError(
                f"Got the stages {', '.join(unknown)}: expected layers of the backbone, {', '.join(names)}; correct "
                "model.stages."
            )
        self.stages.sort(key=names.index)
        self.layers = layers

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps."""
        found = self.maps(inputs)
        space = max((maps.shape[2:] for maps in found), key=torch.Size.numel)
        return torch.cat([resample(maps, space) for maps in found], dim=1)

    def extra_repr(self) -> str:
        """Name the stages."""
        return f"stages={self.stages}"

    def channels(self, shape: Sequence[int]) -> list[int]:
        """Return how many maps each stage has, for inputs of a shape `(channels, *space)`."""
        empty = torch.empty(1, *shape, device="meta")
        return [maps.shape[1] for maps in copy.deepcopy(self).eval().to("meta").maps(empty)]

    def maps(self, inputs: Tensor) -> list[Tensor]:
        """Compute the maps of every stage, each on its own grid."""
        found = []
        for name, layer in self.layers.named_children():
            inputs = layer(inputs)
            if name in self.stages:
                found.append(inputs)
            if len(found) == len(self.stages):
                break
        return found


def resample(maps: Tensor, space: Iterable[int]) -> Tensor:
    """Bring maps to another grid by the areas that its cells share with those of theirs.

    The mean of every map stays. A whole factor repeats values, so that the maximum stays, too.

    Args:
        maps: `(N, channels, *space')`.
        space: The sizes wanted.

    >>> resample(torch.tensor([[[1.0, 3.0]]]), [4]), resample(torch.tensor([[[1.0, 3.0]]]), [3])
    (tensor([[[1., 1., 3., 3.]]]), tensor([[[1., 2., 3.]]]))
    """
    axes = LETTERS[: maps.ndim - 2]
    for axis, size in zip(axes, map(int, space), strict=True):  # plain numbers, also when a model is exported
        found = int(maps.shape[2 + axes.index(axis)])
        if found != size:
            maps = torch.einsum(f"nc{axes},z{axis}->nc{axes.replace(axis, 'z')}", maps, _shared(found, size).to(maps))
    return maps


@cache
def _shared(old: int, new: int) -> Tensor:
    """Return the share of each new cell that lies in each old cell of the same interval, `(new, old)`."""
    starts, ends = ([edge / size for edge in range(size + 1)] for size in (new, old))
    return torch.tensor(
        [
            [max(0.0, min(starts[i + 1], ends[j + 1]) - max(starts[i], ends[j])) * new for j in range(old)]
            for i in range(new)
        ]
    )
