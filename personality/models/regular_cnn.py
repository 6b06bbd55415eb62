"""Regular CNN: convolutions and fully connected layers, the baseline of the other models."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from personality.models.backbones import build_backbone, output_shape
from personality.models.base import TraitRegressor


class RegularCNN(TraitRegressor):
    """Backbone > flatten > fully connected 4096 > fully connected 4096 > linear (VGG; Hayat et al. 2019).

    On portraits it is VGG-Face with five outputs, 134.28 million parameters.

    Args:
        input_shape: `(segments, channels, *space)` of the data.
        backbone: A name of `personality.models.backbones.BACKBONES`; by default the one that fits the input.
        hidden: Sizes of the fully connected layers; empty for none, as in the original on the raw-wav FFT.
        dropout: Dropout probability of the inputs of each fully connected layer, the last included.
        **training: See `TraitRegressor`.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        backbone: str | None = None,
        hidden: Sequence[int] = (4096, 4096),
        dropout: float = 0.5,
        **training: Any,
    ) -> None:
        super().__init__(input_shape, **training)
        convolutions = build_backbone(input_shape, self.modality, backbone, self.width, self.batch_norm)
        (size,) = output_shape(nn.Flatten(), output_shape(convolutions, input_shape[1:]))
        layers: list[nn.Module] = [nn.Flatten(), nn.Dropout(dropout)]
        for units in hidden:
            layers += [nn.Linear(size, size := round(units * self.width)), nn.ReLU(), nn.Dropout(dropout)]
        self.assemble(convolutions, nn.Sequential(*layers))
