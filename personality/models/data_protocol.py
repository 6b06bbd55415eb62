"""What a model reads of the data module that it is trained on."""

from collections.abc import Iterator, Mapping
from typing import Protocol

import pandas as pd
import torch
from torch import Tensor, nn

from personality.settings import RecordsSettings
from personality.traits import Batch


class Data(Protocol):
    """What a model reads of the trainer's data module."""

    test_split: str
    corpus: RecordsSettings
    encoded_by: str

    @property
    def target_mean(self) -> Tensor:
        """`(targets,)`: the mean training label."""

    @property
    def target_scale(self) -> Tensor:
        """`(2, targets)`: the lowest and the highest label."""

    @property
    def target_quantiles(self) -> Tensor:
        """`(QUANTILES, targets)`: the distribution of the training labels."""

    def clips(self, split: str) -> pd.DataFrame:
        """The clips of a split, a row each, with the column `group`."""

    @property
    def parts(self) -> "Mapping[str, Data]":
        """Of joint data: the inputs, by name."""

    def training_batches(self, clips: int, device: torch.device) -> Iterator[Batch]:
        """Of joint data: batches of so many training clips, as they are loaded to be scored."""

    def encode(self, network: nn.Module, key: str, compute: bool) -> None:
        """Serve what a frozen network makes of the inputs, under a key; compute what is missing, or serve inputs."""

    def encoded_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of what is served of the training clips, `(descriptors,)` each."""
