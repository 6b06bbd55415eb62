"""CAM CNN: a network whose score is a sum over the positions of its last maps."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from personality.models.backbones import build_backbone, require_positions
from personality.models.backbones.stages import Stages
from personality.models.base import TraitRegressor


class GlobalAveragePool(nn.Module):
    """The mean over all positions, `(N, channels, *space)` to `(N, channels)`."""

    def forward(self, maps: Tensor) -> Tensor:
        """Average."""
        return maps.flatten(2).mean(2)


class CamCNN(TraitRegressor):
    """Backbone > global average pool > linear (Zhou et al. 2016; for traits from sound, Hayat et al. 2019).

    The score is a weighted mean of the last maps. The same weights without the mean give the class activation map.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        backbone: A name of `personality.models.backbones.BACKBONES`; by default the one that fits the input.
        stages: Layers of the backbone whose maps are taken, all on the grid of the finest; by default the last. Earlier
            layers know expression, age and light, where the last keep identity alone.
        **training: See `TraitRegressor`.
    """

    explained_by = "class_activation"

    def __init__(
        self,
        input_shape: Sequence[int],
        backbone: str | None = None,
        stages: Sequence[str] | None = None,
        **training: Any,
    ) -> None:
        super().__init__(input_shape, **training)
        require_positions(input_shape, self.modality)
        layers = build_backbone(input_shape, self.modality, backbone, self.width, self.batch_norm)
        self.assemble(Stages(layers, stages) if stages else layers, GlobalAveragePool())
