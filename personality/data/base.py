"""The base class of all inputs: it serves batches of clips, and locates segments."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, DistributedSampler, Sampler

from personality.corpus import Corpus
from personality.corpus.mm_ocean import read_annotations
from personality.data.cache_rows import ArrayRows
from personality.data.cues import mask_annotations, mask_cues
from personality.data.dataset import ClipDataset, same
from personality.data.encodings import encode, encodings
from personality.data.standardise import standardise
from personality.data.stored_clips import StoredClips
from personality.features.encoding import encode_sound
from personality.features.media import MediaError, read_waveform
from personality.settings import RecordsSettings
from personality.tables import format_clips
from personality.traits import QUANTILES, Batch, Coordinates, Modality

LISTENING_RATE = 16_000  # Hz of the sound in a report: it keeps what a log-mel spectrogram shows


class TraitDataModule(RecordsSettings, StoredClips):
    """Clips of a corpus as bags of segments of one shape.

    A subclass declares `modality`, passes on `extract` and `input_shape`, and implements `coordinates`.

    Args:
        corpus: Where the clips and their labels are.
        extract: From a video file to its features, `extract(path) -> {"inputs": (segments, channels, *space), ...}`; a
            `functools.partial` whose keywords are all that the features depend on.
        input_shape: `(segments, channels, *space)` of a clip, as a model sees it.
        stored_shape: `(segments, channels, *space)` on disk, if it differs.
        extra_arrays: Shape and dtype of each further array that `extract` returns.
        dtype: Of the inputs on disk.
        cache: Folder of computed features.
        batch_size: Clips a step.
        train_segments: How many segments of each clip a training step takes, at random; by default all.
        normalise: `clip` brings each clip to mean 0 and standard deviation 1, `patches` does so for every position
            over the segments of the clip, `none` leaves inputs as they are. None is the first that the input has.
        targets: Names of the labels; by default all of the corpus.
        processes: How many prepare features at the same time; by default one for each core, or for a few videos of
            one's own this process alone.
        time_limit: Seconds after which preparing one clip is given up.
        on_device: Keep all features in the accelerator's memory, if they fit, so that no step waits for the disk.
        seed: It and the epoch's number determine the order of the training clips and every random choice.
        test_split: The split that `trainer.test` uses.
    """

    modality: Modality
    """What the input shows: declared by each input."""
    normalisations: tuple[str, ...] = ("clip", "patches", "none")
    augments = False
    """Whether the same segment differs from one training step to another."""
    parts: Mapping[str, "TraitDataModule"] = {}
    """Of joint data: the inputs, by name."""
    encoded_by = ""
    """The key of the network whose output is loaded instead of inputs: see `encode`."""

    def __init__(
        self,
        corpus: Corpus,
        extract: partial[dict[str, np.ndarray]],
        input_shape: Sequence[int],
        stored_shape: Sequence[int] | None = None,
        extra_arrays: Mapping[str, tuple[tuple[int, ...], str]] | None = None,
        dtype: str = "float32",
        cache: str = "cache",
        batch_size: int = 8,
        train_segments: int | None = None,
        normalise: str | None = "clip",
        targets: Sequence[str] | None = None,
        processes: int | None = None,
        time_limit: float = 60.0,
        on_device: bool = False,
        seed: int = 0,
        test_split: str = "test",
    ) -> None:
        normalise = normalise or self.normalisations[0]
        if normalise not in self.normalisations:
            raise ValueError(f"Got normalise {normalise!r}: expected one of {', '.join(self.normalisations)}.")
        if normalise == "patches" and 1 in (input_shape[0], train_segments):
            raise ValueError(
                "Got normalise 'patches' for one segment a clip, which is alone at each position: expected 'clip', or "
                "more `train_segments`."
            )
        for name, value in {
            "batch_size": batch_size,
            "train_segments": train_segments,
            "segments": input_shape[0],
        }.items():
            if value is not None and value < 1:
                raise ValueError(f"Got {name} {value}: expected at least 1.")
        stored = tuple(stored_shape or input_shape)
        super().__init__(corpus, extract, stored, extra_arrays or {}, dtype, cache, targets, processes, time_limit)
        self.input_shape, self.train_segments, self.normalisation = tuple(input_shape), train_segments, normalise
        self.batch_size, self.on_device, self.seed, self.test_split = batch_size, on_device, seed, test_split
        self.settings["targets"] = self.targets  # another corpus may have others
        self.held: dict[str, Tensor] = {}

    @abstractmethod
    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate a segment in its clip, and each position of its space."""

    def waveform(self, split: str, clip: int) -> np.ndarray | None:
        """Outline the sound of a clip, `(2, moments)`: lowest and highest values. None if the input shows time."""
        return None

    def sound(self, split: str, clip: int) -> bytes | None:
        """Read the sound of a clip as a small MP3; None if there is none."""
        try:
            waveform = read_waveform(self.clips(split).path.iloc[clip], LISTENING_RATE)
        except (MediaError, OSError):
            return None
        return encode_sound(waveform, LISTENING_RATE) if waveform.any() else None

    @property
    def model_arguments(self) -> dict[str, Any]:
        """What a model for these data is built with."""
        return {"input_shape": self.input_shape, "modality": self.modality, "targets": self.targets}

    @property
    def target_mean(self) -> Tensor:
        """The mean of the training labels `(targets,)`: the baseline that every model must beat."""
        return torch.tensor(self.clips("train")[self.targets].mean().to_numpy(), dtype=torch.float32)

    @property
    def target_quantiles(self) -> Tensor:
        """The distribution of the training labels `(QUANTILES, targets)`, from the lowest to the highest."""
        quantiles = self.clips("train")[self.targets].astype(float).quantile(np.linspace(0, 1, QUANTILES).tolist())
        return torch.tensor(quantiles.to_numpy(), dtype=torch.float32)

    @property
    def target_scale(self) -> Tensor:
        """The lowest and the highest label of each target, `(2, targets)`: of the corpus, or of the training clips."""
        if self.corpus.scale is not None:
            return torch.tensor(self.corpus.scale).unsqueeze(1).expand(2, len(self.targets))
        labels = self.clips("train")[self.targets]
        return torch.tensor(np.stack([labels.min(), labels.max()]), dtype=torch.float32)

    def fetch(self, split: str, clips: Sequence[int] | np.ndarray, count: int | None = None) -> Batch:
        """Read clips by their rows in the split's table: a batch on the CPU, as stored.

        Args:
            split: The split.
            clips: Rows.
            count: How many segments of each clip to read, chosen at random; by default all.
        """
        return self.dataset(split, count).read(np.asarray(clips))

    def dataset(self, split: str, count: int | None = None, key: str = "") -> ClipDataset:
        """Return the clips of a split as a dataset; see `fetch`. With a key, their encodings: see `encode`."""
        labels = torch.tensor(self.clips(split)[self.targets].to_numpy(dtype=np.float32))
        rows, segments = self.usable(split), self.segments(split)
        return ClipDataset(self.inputs(split, key), segments, labels, count, self.rng, key, rows)

    def inputs(self, split: str, key: str = "") -> ArrayRows | np.ndarray | Tensor:
        """Return the inputs of a split, `(clips, *stored_shape)`, on disk or, with `on_device`, on the device.

        With a key, return its encodings: see `encode`.
        """
        inputs = encodings(self.caches[split], key) if key else self.caches[split].inputs
        if not self.on_device:
            return inputs
        if split + key not in self.held:
            self.held[split + key] = torch.tensor(np.asarray(inputs), device=self._device)
        return self.held[split + key]

    @property
    def _device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def encode(self, network: nn.Module, key: str, compute: bool) -> None:
        """Load batches of what a frozen network makes of the inputs, instead of the inputs.

        They are computed once and kept beside the features, for all splits. Inputs that are random in training, such as
        augmented ones, cannot be encoded.

        Args:
            network: From inputs `(N, channels, *space)` to `(N, ...)`.
            key: Names the network; a batch passes it on as `encoded_by`.
            compute: Whether to compute what is missing. Else inputs are loaded where they were not encoded under this
                key before.
        """
        if compute and not self.augments:
            if self.trainer is None or self.trainer.local_rank == 0:
                for split in self.stored_splits():
                    encode(self.stored(split), self.normalise, network, key, self._device)
            if self.trainer:
                self.trainer.strategy.barrier()
            self.encoded_by = key
        elif key != self.encoded_by:
            self.encoded_by = ""

    def encoded_statistics(self) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation of the encodings of the training segments, `(...)` float32 each.

        A number that is always the same gets the deviation 1.
        """
        inputs, segments = self.inputs("train", self.encoded_by), self.segments("train")
        sums: list[Tensor] = []
        for rows in np.array_split(self.usable("train"), max(1, len(self.usable("train")) // 256)):
            found = torch.as_tensor(inputs[rows]).cpu().double()
            found = found[torch.arange(found.shape[1]) < torch.as_tensor(segments[rows]).unsqueeze(1)]
            sums.append(torch.stack([torch.ones_like(found[0]) * len(found), found.sum(0), found.square().sum(0)]))
        count, total, squares = torch.stack(sums).sum(0)
        mean = total / count
        std = (squares / count - mean.square()).clamp(min=0).sqrt()
        return mean.float(), std.where(std > 1e-4 * mean.abs().clamp(min=1e-6), 1.0).float()

    def rng(self, clips: Tensor) -> np.random.Generator:
        """Return the random generator of a batch. It depends on seed, epoch and clips alone."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return np.random.default_rng([self.seed, epoch, *clips.tolist()])

    def crop(self, batch: Batch) -> Batch:
        """Crop a stored batch to what a model sees and `coordinates` describes; by default return it whole."""
        return batch

    def normalise(self, batch: Batch) -> Batch:
        """Crop and normalise a stored batch, on its own device."""
        inputs = self.crop(batch).inputs.float()
        if self.normalisation == "none":
            return batch._replace(inputs=inputs)
        segments = torch.as_tensor(batch.segments)
        return batch._replace(inputs=standardise(inputs, segments, each_position=self.normalisation == "patches"))

    def baseline(self, inputs: Tensor) -> Tensor:
        """Return what deletion leaves of inputs `(N, channels, *space)`, in the same shape.

        For sound it is the lowest level of each segment. In normalised inputs zeros would be a sound.
        """
        return inputs.amin(tuple(range(1, inputs.ndim)), keepdim=True).expand_as(inputs)

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch, except for its clips' rows: reading them on the device would wait for it."""
        moved: Batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        return moved._replace(clip=batch.clip)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalise a batch on the device; encodings are of normalised inputs already."""
        return batch._replace(inputs=batch.inputs.float()) if batch.encoded_by else self.normalise(batch)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Load the training clips, in another order each epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Load the validation clips in the order of their names."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Load the clips of `test_split` in the order of their names."""
        return self._loader(self.test_split)

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Batch]:
        clips = self.dataset(split, self.train_segments if shuffle else None, self.encoded_by)
        if not len(clips):
            raise ValueError(
                f"None of the {len(clips.labels)} {split} clips could be used: "
                f"{self.caches[split].folder / 'failures.csv'} says why."
            )
        processes, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        order: Sampler[int] = DistributedSampler(clips, processes, rank, shuffle=shuffle, seed=self.seed)
        pin = torch.cuda.is_available() and not self.on_device
        return DataLoader(clips, self.batch_size, sampler=order, collate_fn=same, pin_memory=pin)

    def people(self, split: str) -> pd.DataFrame | None:
        """Return the attributes of the person in each clip of a split: `Corpus.people`."""
        return self.corpus.people(split)

    def cues(self, split: str, clip: int, segment: int) -> dict[str, np.ndarray]:
        """Locate planted cues in a segment.

        Returns:
            For each trait a boolean mask of the input's space; empty if the corpus has no planted cues.
        """
        name = self.clips(split).index[clip]
        if name not in self._cues.groups:
            return {}
        return mask_cues(self._cues.get_group(name), self.modality, self.coordinates(split, clip, segment))

    def annotations(self, folder: str, split: str) -> dict[int, pd.DataFrame]:
        """Read human annotations of a split's clips.

        Args:
            folder: See `personality.corpus.mm_ocean.read_annotations`.
            split: The split.

        Returns:
            For the row of each usable clip that is annotated, its rows of `Annotations.table`.

        Raises:
            ValueError: None of the clips is annotated.
        """
        names, table = self.clips(split).index, read_annotations(folder).table
        by_clip = {str(clip): rows for clip, rows in table.groupby("clip")}
        found = {row: by_clip[names[row]] for row in self.usable(split).tolist() if names[row] in by_clip}
        if not found:
            raise ValueError(
                f"{folder} has annotations of {format_clips([*by_clip])}, none of them among the {len(names)} {split} "
                f"clips, such as {names[0]}. Expected some of the same names; choose another split or folder."
            )
        return found

    def annotated(self, split: str, clip: int, annotations: pd.DataFrame) -> dict[str, np.ndarray]:
        """Locate annotations in all segments of a clip.

        Args:
            split: The split.
            clip: The clip's row.
            annotations: Rows of `Annotations.table`: those of the clip or, as a control, those of another.

        Returns:
            For each kind and each region a boolean mask, `(segments, *space)`; nothing where the input's axes are
            neither times nor places.
        """
        found = [
            mask_annotations(annotations, self.modality, self.coordinates(split, clip, segment))
            for segment in range(self.caches[split].segments[clip])
        ]
        return {name: np.stack([masks[name] for masks in found]) for name in found[0]}

    @cached_property
    def _cues(self) -> Any:
        """The corpus's table of planted cues, clip by clip."""
        table = self.corpus.cues()
        return (pd.DataFrame({"clip": []}) if table is None else table).groupby("clip")
