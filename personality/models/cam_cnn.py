"""CAM CNN: a network whose last map can be read as its reason."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from personality.models.base import TraitRegressor
from personality.models.trunks import build_trunk


class GlobalAveragePool(nn.Module):
    """The mean over all positions, `(N, channels, *space)` to `(N, channels)`."""

    def forward(self, maps: Tensor) -> Tensor:
        """Average."""
        return maps.flatten(2).mean(2)


class CamCNN(TraitRegressor):
    """Trunk > global average pool > linear (Zhou et al. 2016; for traits from sound, Hayat et al. 2019).

    The score is a weighted mean of the last maps, so the same weights without the mean show where it comes from.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        trunk: A name of `personality.models.trunks.TRUNKS`; by default what fits the input.
        **training: See `TraitRegressor`.
    """

    explained_by = "class_activation"

    def __init__(
        self,
        input_shape: Sequence[int],
        trunk: str | None = None,
        **training: Any,
    ) -> None:
        super().__init__(input_shape, **training)
        self.save_hyperparameters()
        self.assemble(build_trunk(input_shape, trunk, self.width, self.batch_norm), GlobalAveragePool())
