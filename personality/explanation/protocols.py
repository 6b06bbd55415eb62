"""What an explanation reads of a model and of a data module; `TraitRegressor` and `TraitDataModule` fit."""

# ruff: noqa: D102  the methods are described in those classes

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from personality.traits import Batch, Coordinates, Modality


class Model(Protocol):
    """A network whose `forward` is `head(backbone(inputs))`."""

    backbone: nn.Module
    """From an input to its maps."""
    head: nn.Sequential
    """`pool`, `linear` and `activation`, in this order."""
    input_shape: tuple[int, ...]
    """`(segments, channels, *space)`."""
    target_scale: Tensor
    """`(2, targets)`: the labels for which the network's output is 0 and 1."""
    target_quantiles: Tensor
    """`(QUANTILES, targets)`: the distribution of the training labels."""
    origin: Mapping[str, Any]
    """Of a loaded model: `corpus`, the config that it was trained on, and `error`, see `evaluation.reference`."""
    reference: Tensor | None
    """`(channels, *space')`: the maps to which attributions are relative; none for 0."""
    explained_by: str
    """The name in `cam.METHODS` of the method that suits the model best."""

    @property
    def device(self) -> torch.device: ...
    @property
    def hparams(self) -> Mapping[str, Any]:
        """The arguments that build the same network, untrained."""

    def __call__(self, inputs: Tensor) -> Tensor: ...
    def to(self, device: torch.device) -> Self: ...
    def parameters(self) -> Iterator[nn.Parameter]: ...
    def modules(self) -> Iterator[nn.Module]: ...


class JointModel(Model, Protocol):
    """A model whose score is its intercept and what its parts add."""

    gate: Tensor
    """`(parts, targets)`: the weight of each part."""
    expected: Tensor
    """`(parts, targets)`: the mean score of each part; less that, and times the gate, is what it adds."""

    @property
    def intercept(self) -> Tensor:
        """The score of a clip that has the mean score of every part, `(targets,)`."""

    @property
    def models(self) -> "Mapping[str, Model]":
        """The model of each part, by name."""


class Configured(Protocol):
    """What says how it was made."""

    @property
    def config(self) -> dict[str, Any]:
        """The settings, and under `_target_` the class."""


class Data(Protocol):
    """Clips that can be read again by their rows in a split's table."""

    @property
    def parts(self) -> "Mapping[str, Data]":
        """Of joint data: the inputs, by name."""

    @property
    def corpus(self) -> Configured:
        """Where the clips are."""

    @property
    def config(self) -> dict[str, Any]:
        """The settings, and under `_target_` the class."""

    input_shape: tuple[int, ...]
    """`(segments, channels, *space)`."""
    modality: Modality
    targets: list[str]
    test_split: str
    normalisation: str
    """What `normalise` does."""
    extract: partial[dict[str, np.ndarray]]
    """From a file to its features, with all settings that these depend on."""

    def state_dict(self) -> dict[str, Any]:
        """Return what was learnt from the training clips."""

    def splits(self) -> list[str]: ...
    def clips(self, split: str) -> pd.DataFrame: ...
    def people(self, split: str) -> pd.DataFrame | None: ...
    def usable(self, split: str) -> np.ndarray: ...
    def segments(self, split: str) -> np.ndarray:
        """Return how many segments each clip has, `(clips,)`."""

    def fetch(self, split: str, clips: Sequence[int] | np.ndarray) -> Batch: ...
    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch: ...
    def crop(self, batch: Batch) -> Batch: ...
    def normalise(self, batch: Batch) -> Batch: ...
    def baseline(self, inputs: Tensor) -> Tensor:
        """Return what stands where an input is deleted, of the inputs' shape."""

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates: ...
    def cues(self, split: str, clip: int, segment: int) -> dict[str, np.ndarray]: ...
    def annotations(self, folder: str, split: str) -> dict[int, pd.DataFrame]: ...
    def annotated(self, split: str, clip: int, annotations: pd.DataFrame) -> dict[str, np.ndarray]: ...
    def waveform(self, split: str, clip: int) -> np.ndarray | None: ...
    def sound(self, split: str, clip: int) -> bytes | None: ...
