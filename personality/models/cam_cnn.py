"""CAM CNN: a network whose last map can be read as its reason."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from personality.models.backbones import build_backbone
from personality.models.base import TraitRegressor


class GlobalAveragePool(nn.Module):
    """The mean over all positions, `(N, channels, *space)` to `(N, channels)`."""

    def forward(self, maps: Tensor) -> Tensor:
        """Average."""
        return maps.flatten(2).mean(2)


class CamCNN(TraitRegressor):
    """Backbone > global average pool > linear (Zhou et al. 2016; for traits from sound, Hayat et al. 2019).

    The score is a weighted mean of the last maps, so the same weights without the mean show where it comes from.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        backbone: A name of `personality.models.backbones.BACKBONES`; by default what fits the input.
        **training: See `TraitRegressor`.
    """

    explained_by = "class_activation"

    def __init__(
        self,
        input_shape: Sequence[int],
        backbone: str | None = None,
        **training: Any,
    ) -> None:
        super().__init__(input_shape, **training)
        self.save_hyperparameters()
        self.assemble(build_backbone(input_shape, backbone, self.width, self.batch_norm), GlobalAveragePool())
