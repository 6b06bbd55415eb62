"""Joint data: several inputs of the same clips, such as voice, face and words."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.data.cache_rows import CacheRows
from personality.features.cache import FeatureCache
from personality.settings import build
from personality.tables import format_clips, join_names
from personality.traits import Batch, Coordinates

log = logging.getLogger(__name__)


class Joint(TraitDataModule):
    """Several inputs of one clip, each under a name, with its own cache, segments and coordinates.

    A part is missing in a clip if its features could not be computed: no sound, no picture, no words. Such a clip is
    served without it. A clip is left out only if all parts are missing.

    Args:
        corpus: Where the clips and their labels are.
        parts: By name a data module, its config: `_target_` and settings, or None, which leaves it out. Batch size,
            cache, seed and targets are those of the joint data.
        normalise: None: each part has its own.
        **loading: See `TraitDataModule`.

    Example:
        data = Joint(corpus, {"voice": ClipSpectrogram(corpus), "words": Transcript(corpus)})
        batch = data.fetch("test", [0, 1])
        batch.parts["voice"].inputs, batch.parts["words"].segments
    """

    modality = "joint"
    normalisations = ("none",)

    def __init__(
        self,
        corpus: Corpus,
        parts: Mapping[str, TraitDataModule | Mapping[str, Any] | None],
        normalise: str | None = None,
        **loading: Any,
    ) -> None:
        chosen = {name: part for name, part in parts.items() if part is not None}
        if not chosen or any(not name.isidentifier() for name in chosen):
            raise ValueError(
                f"Got the parts {join_names(chosen) or 'none'}: expected names of letters, such as voice and face; "
                "correct data.parts."
            )
        super().__init__(corpus, partial(_nothing), (1,), normalise=normalise or "none", **loading)
        self.train_segments = 1  # the clip; of each part, as many as it says
        shared = {"cache": str(self.folder), "seed": self.seed, "targets": self.targets, "test_split": self.test_split}
        self.parts = {name: _build_part(part, corpus, shared) for name, part in chosen.items()}
        self.settings["parts"] = {name: part.config for name, part in self.parts.items()}

    @property
    def model_arguments(self) -> dict[str, Any]:
        """What a joint model for these data is built with."""
        inputs = {
            name: {"input_shape": [*part.input_shape], "modality": part.modality} for name, part in self.parts.items()
        }
        return {"inputs": inputs, "targets": self.targets}

    def prepare_data(self, shard: tuple[int, int] = (0, 1)) -> None:
        """Compute the features that are missing, of every part."""
        for part in self.parts.values():
            part.trainer = self.trainer
            part.prepare_data(shard)

    def setup(self, stage: str | None = None) -> None:
        """Open the features of every part, and say what is missing."""
        for part in self.parts.values():
            part.trainer = self.trainer
            part.setup(stage)
        super().setup(stage)
        for split in self.splits():
            for name, part in self.parts.items():
                without = np.setdiff1d(self.usable(split), np.flatnonzero(part.segments(split) > 0))
                if len(without):
                    clips = self.clips(split).index[without]
                    log.warning(
                        "%s is missing in %d of %d %s clips, which are scored without it: %s",
                        *(name, len(clips), len(self.clips(split)), split, format_clips([*clips])),
                    )

    def open(self, split: str) -> FeatureCache | CacheRows:
        """Open the features of every part; return those of the first."""
        for part in self.parts.values():
            part.caches[split] = part.open(split)
        return next(iter(self.parts.values())).caches[split]

    def usable(self, split: str) -> np.ndarray:
        """List the rows of the clips of which at least one part is there."""
        return np.flatnonzero(self.segments(split))

    def segments(self, split: str) -> np.ndarray:
        """Return for each clip whether at least one part is there, `(clips,)`: the clip is the segment."""
        there: np.ndarray = np.any([part.segments(split) > 0 for part in self.parts.values()], axis=0)
        return there.astype(np.int32)

    @property
    def encoded_by(self) -> str:  # type: ignore[override]
        """The keys of the networks whose output the parts load instead of inputs."""
        return " ".join(filter(None, (part.encoded_by for part in self.parts.values())))

    def dataset(self, split: str, count: int | None = None, key: str = "") -> "JointDataset":  # type: ignore[override]
        """Return the clips of a split as a dataset, each part with its own number of segments in training."""
        parts = {
            name: part.dataset(split, count and part.train_segments, part.encoded_by if key else "")
            for name, part in self.parts.items()
        }
        labels = torch.tensor(self.clips(split)[self.targets].to_numpy(dtype=np.float32))
        return JointDataset({name: each.read for name, each in parts.items()}, self.usable(split), labels)

    def training_batches(self, clips: int, device: torch.device) -> Iterator[Batch]:
        """Load up to so many training clips, evenly chosen, as they are loaded to be scored."""
        rows, dataset = self.usable("train"), self.dataset("train", key=self.encoded_by)
        chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(clips, len(rows))).astype(int))]
        for some in np.array_split(chosen, -(-len(chosen) // self.batch_size)):
            moved = self.transfer_batch_to_device(dataset.read(some), device, 0)
            yield self.on_after_batch_transfer(moved, 0)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move the parts of a batch."""
        moved = super().transfer_batch_to_device(batch._replace(parts={}), device, dataloader_idx)
        parts = {
            name: self.parts[name].transfer_batch_to_device(part, device, dataloader_idx)
            for name, part in batch.parts.items()
        }
        return moved._replace(parts=parts)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalise the parts of a batch, each in its own way."""
        parts = {
            name: self.parts[name].on_after_batch_transfer(part, dataloader_idx) for name, part in batch.parts.items()
        }
        return batch._replace(parts=parts)

    def normalise(self, batch: Batch) -> Batch:
        """Normalise the parts of a stored batch, each in its own way."""
        return batch._replace(parts={name: self.parts[name].normalise(part) for name, part in batch.parts.items()})

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate the clip, which is the one segment. What lies in it, its parts know."""
        return Coordinates(0.0, float("nan"), ())

    def state_dict(self) -> dict[str, Any]:
        """Return what the parts have learnt: a part of the checkpoint."""
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Give the parts what they had learnt."""
        for name, state in state_dict.items():
            self.parts[name].load_state_dict(state)


class JointDataset(Dataset[Batch]):
    """Batches of clips in several parts.

    Args:
        parts: For each part the function that reads clips by their rows.
        rows: The clips to serve.
        labels: `(clips, targets)`.
    """

    def __init__(self, parts: Mapping[str, Callable[[np.ndarray], Batch]], rows: np.ndarray, labels: Tensor) -> None:
        self.parts, self.rows, self.labels = parts, rows, labels

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Read a batch; a `DataLoader` needs `collate_fn=same`."""
        return self.read(self.rows[indices])

    def read(self, rows: np.ndarray) -> Batch:
        """Read a batch of clips by their rows."""
        clips = torch.from_numpy(rows)
        parts = {name: read(rows) for name, read in self.parts.items()}
        return Batch(torch.empty(len(rows), 1, 0), self.labels[clips], torch.ones_like(clips), clips, "", parts)


def _build_part(
    part: TraitDataModule | Mapping[str, Any], corpus: Corpus, shared: Mapping[str, Any]
) -> TraitDataModule:
    config = part.config if isinstance(part, TraitDataModule) else part
    built: TraitDataModule = build(TraitDataModule, config, corpus=corpus, **shared)
    return built


def _nothing(source: Sequence[Any]) -> dict[str, np.ndarray]:
    """Stand for the features of joint data, which are those of its parts."""
    raise NotImplementedError
