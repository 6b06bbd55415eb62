"""Linear regression on the input: the simplest baseline, and the published model of the log filterbanks."""

from collections.abc import Sequence
from typing import Any

from torch import nn

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
        self.assemble(nn.Identity(), nn.Flatten(), nn.Sigmoid() if sigmoid else None)
