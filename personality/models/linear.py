"""Linear regression on the input: the simplest baseline, and the published model of the log filterbanks."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from personality.models.backbones.normalise import Normalise
from personality.models.backbones.vgg import VGG_MEAN
from personality.models.base import TraitRegressor


class Linear(TraitRegressor):
    """Flatten > linear > sigmoid (the audio model of Zhang et al. 2016).

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        sigmoid: Whether a sigmoid keeps the scores between 0 and 1.
        **training: See `TraitRegressor`.
    """

    def __init__(self, input_shape: Sequence[int], sigmoid: bool = True, **training: Any) -> None:
        super().__init__(input_shape, **training)
        pixels = Normalise(VGG_MEAN, 1.0, input_shape[1]) if self.modality == "image" else nn.Identity()
        self.assemble(pixels, nn.Flatten(), nn.Sigmoid() if sigmoid else None)
