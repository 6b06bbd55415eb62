"""DAN and DAN+: descriptor aggregation networks, the winners of the First Impressions challenge."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from personality.models.backbones import build_backbone, last_convolution, output_shape, require_positions
from personality.models.backbones.stages import Stages
from personality.models.base import TraitRegressor


class DescriptorPool(nn.Module):
    """The maximum and the mean of every map over all positions, each vector scaled to length 1 (times `scale`).

    `(N, channels, *space)` to `(N, 2 * channels)`. HiResCAM holds these lengths constant, see
    `personality.explanation.cam.hirescam`: it recognises `Tensor.norm`.
    """

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, maps: Tensor) -> Tensor:
        """Aggregate the maps."""
        maps = maps.flatten(2)
        descriptors = maps.max(2).values, maps.mean(2)
        lengths = [each.norm(dim=1, keepdim=True).clamp(min=1e-12) for each in descriptors]
        return self.scale * torch.cat([each / length for each, length in zip(descriptors, lengths, strict=True)], dim=1)


class DAN(TraitRegressor):
    """Backbone > max and average descriptors > linear > sigmoid (Zhang, Zhang, Wei and Wu 2016).

    With VGG-Face as its backbone it has 14.7 million parameters instead of 134. Its maps are those of the last
    convolution; the last pooling belongs to the head, so that explanations have the finer grid.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        backbone: A name of `personality.models.backbones.BACKBONES`; by default the one that fits the input.
        plus: DAN+, which also takes the two descriptors of the second last convolution.
        stages: Layers of the backbone; the two descriptors of each are taken, instead of those of the last convolution.
        scale: Length of every descriptor; above 1, a network without pretrained weights learns faster.
        dropout: Dropout probability of the descriptors.
        **training: See `TraitRegressor`.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        backbone: str | None = None,
        plus: bool = False,
        stages: Sequence[str] | None = None,
        scale: float = 1.0,
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(input_shape, **training)
        require_positions(input_shape, self.modality)
        layers = build_backbone(input_shape, self.modality, backbone, self.width, self.batch_norm)
        if plus and stages:
            raise ValueError(f"Got plus and the stages {', '.join(stages)}: expected one of the two; leave one unset.")
        last = last_convolution(layers)
        pools = (i for i in range(last, len(layers)) if isinstance(layers[i], nn.MaxPool1d | nn.MaxPool2d))
        end = next(pools, len(layers))
        describe = DescriptorPool(scale)
        if stages:
            staged = Stages(layers, stages)
            body: nn.Module = staged
            pool: nn.Module = DescribeEach(staged.channels(input_shape[1:]), describe)
        elif plus:
            body = LastTwo(layers[:last], layers[last:end])
            (channels, *_) = output_shape(layers[:last], input_shape[1:])
            pool = DescribeBoth(channels, layers[end:], describe)
        else:
            body, pool = layers[:end], nn.Sequential(layers[end:], describe)
        self.assemble(body, nn.Sequential(pool, nn.Dropout(dropout)), nn.Sigmoid())


class DescribeEach(nn.Module):
    """The descriptors of several groups of maps, which lie one behind the other along the channels."""

    def __init__(self, channels: Sequence[int], describe: DescriptorPool) -> None:
        super().__init__()
        self.channels, self.describe = [*channels], describe

    def forward(self, maps: Tensor) -> Tensor:
        """Aggregate each group."""
        return torch.cat([self.describe(group) for group in maps.split(self.channels, dim=1)], dim=1)


class LastTwo(nn.Module):
    """The input and the output maps of the last convolution, concatenated along the channels."""

    def __init__(self, body: nn.Sequential, last: nn.Sequential) -> None:
        super().__init__()
        self.body, self.last = body, last

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the maps."""
        before = self.body(inputs)
        return torch.cat([before, self.last(before)], dim=1)


class DescribeBoth(nn.Module):
    """Descriptors of the output of `LastTwo`: the first `channels` maps as they are, the others after pooling."""

    def __init__(self, channels: int, pool: nn.Module, describe: DescriptorPool) -> None:
        super().__init__()
        self.channels, self.pool, self.describe = channels, pool, describe

    def forward(self, maps: Tensor) -> Tensor:
        """Aggregate both."""
        before, after = maps[:, : self.channels], maps[:, self.channels :]
        return torch.cat([self.describe(before), self.describe(self.pool(after))], dim=1)
