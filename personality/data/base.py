"""What every input shares: it prepares features once, serves batches of whole clips, and knows where a segment lies."""

import logging
import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler, Sampler

from personality.corpus import SPLITS, Corpus
from personality.data.cues import mask_cues
from personality.features.cache import FeatureCache
from personality.features.encoding import encode_sound
from personality.features.media import DECODING, MediaError, read_waveform
from personality.traits import Batch, Coordinates

log = logging.getLogger(__name__)

SPOKEN_RATE = 16_000  # Hz of the sound that is to be listened to: it keeps what a log-mel spectrogram shows


class TraitDataModule(LightningDataModule):
    """Clips of a corpus as bags of segments of one shape.

    An input says `extract` and `input_shape`, and `coordinates` where a segment lies; all else is here.

    Args:
        corpus: Where the clips and their labels are.
        extract: From a video file to its features, `extract(path) -> {"inputs": (segments, channels, *space), ...}`; a
            `functools.partial` whose keywords are all that the features depend on.
        input_shape: `(segments, channels, *space)` of a clip, as a model sees it.
        stored_shape: The same as it lies on disk, where that is another.
        extra_arrays: Shape and dtype of each further array that `extract` returns.
        dtype: Of the inputs on disk.
        cache: Folder for features that have been computed.
        batch_size: Clips a step.
        train_segments: Segments of each clip that a training step takes, at random; by default all of them.
        normalise: `clip` brings each clip to mean 0 and deviation 1, `patches` does so for every position over the
            segments of its clip, `none` leaves inputs as they are.
        targets: Names of the labels; by default all that the corpus has.
        processes: How many prepare features at the same time; by default one for each core, and for a few videos of
            one's own this process alone.
        time_limit: Seconds after which preparing one clip is given up.
        on_device: Keep all features in the accelerator's memory, where they fit: no step then waits for the disk.
        seed: The order of the training clips follows from it and the epoch's number.
    """

    modality: Literal["audio", "image"] = "audio"
    """What of a video it reads."""
    normalisations: tuple[str, ...] = ("clip", "patches", "none")
    test_split = "test"
    """What `trainer.test` runs over; `explain.py` may ask for another."""

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
        normalise: str = "clip",
        targets: Sequence[str] | None = None,
        processes: int | None = None,
        time_limit: float = 60.0,
        on_device: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
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
        self.corpus, self.extract, self.input_shape = corpus, extract, tuple(input_shape)
        self.stored_shape, self.train_segments = tuple(stored_shape or input_shape), train_segments
        self.extra_arrays, self.dtype, self.folder = extra_arrays or {}, dtype, Path(cache)
        self.batch_size, self.normalisation, self.targets = batch_size, normalise, list(targets or corpus.targets)
        self.processes, self.time_limit, self.on_device, self.seed = processes, time_limit, on_device, seed
        self.labels: dict[str, Tensor] = {}
        self.held: dict[str, Tensor] = {}
        self.tables: dict[str, pd.DataFrame] = {}
        self.caches: dict[str, FeatureCache] = {}

    @abstractmethod
    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Say where in its clip a segment lies, and what the positions of its space mean."""

    def waveform(self, split: str, clip: int) -> np.ndarray | None:
        """Outline the sound of a clip, `(2, moments)`: lowest and highest values. None where the input shows time."""
        return None

    def sound(self, split: str, clip: int) -> bytes | None:
        """Read what a clip sounds like, as a small MP3; None where nothing can be heard."""
        try:
            waveform = read_waveform(self.clips(split).path.iloc[clip], SPOKEN_RATE)
        except (MediaError, OSError):  # the page does without
            return None
        return encode_sound(waveform, SPOKEN_RATE) if waveform.any() else None

    def prepare_data(self, shard: tuple[int, int] = (0, 1)) -> None:
        """Make what is missing: the corpus, then the features of its splits. Does nothing the second time.

        Args:
            shard: `(index, count)` makes the features of one of `count` equal parts; other machines make the others.
        """
        self.corpus.prepare()
        for split in self._needed():
            self.clips(split)  # or an error that says what is missing, before features take hours
        for split in self.splits():
            cache = self.open(split)
            paths = self.clips(split).path
            pool = len(paths) > self.corpus.pool_above
            processes = 0 if self.processes is None and not pool else self.processes
            cache.fill(self.extract, paths, processes=processes, time_limit=self.time_limit, shard=shard)
            failures = cache.failures()
            if len(failures):
                log.warning(
                    "%d of %d %s clips are left out; the first: %s: %s. All of them: %s",
                    *(len(failures), len(self.clips(split)), split, *failures.iloc[0], cache.folder / "failures.csv"),
                )

    def _needed(self) -> list[str]:
        """Name the splits that the trainer is about to read."""
        function = self.trainer and self.trainer.state.fn
        if function == TrainerFn.FITTING:
            return ["train", "val"] if self.trainer.limit_val_batches else ["train"]  # type: ignore[union-attr]
        if function == TrainerFn.VALIDATING:
            return ["val"]
        return [self.test_split] if function == TrainerFn.TESTING else []

    def setup(self, stage: str | None = None) -> None:
        """Open what `prepare_data` made."""
        self.caches = {split: self.open(split) for split in self.splits()}

    def usable(self, split: str) -> np.ndarray:
        """List the rows of a split's clips whose features could be computed."""
        return np.flatnonzero(self.caches[split].segments > 0)

    def splits(self) -> list[str]:
        """Name the splits that the corpus has: one that is not there is missed only when it is asked for."""
        there = []
        for split in SPLITS:
            with suppress(FileNotFoundError):
                self.clips(split)
                there.append(split)
        return there

    def clips(self, split: str) -> pd.DataFrame:
        """Table of a split's clips, read once: index `clip`, the video's `path`, a column for each trait."""
        if split not in self.tables:
            table = self.corpus.clips(split)
            if missing := [target for target in self.targets if target not in table]:
                raise ValueError(
                    f"The {split} clips of {self.corpus.name} have no labels of {', '.join(missing)}: expected targets "
                    f"among {', '.join(self.corpus.targets)}."
                )
            self.tables[split] = table
        return self.tables[split]

    def open(self, split: str) -> FeatureCache:
        """Open the cache of a split's features: other parameters or files mean another cache."""
        how = {
            **self.extract.keywords,
            "extract": self.extract.func.__qualname__,
            "decoding": DECODING,
            "videos": self.corpus.fingerprint(split),
        }
        return FeatureCache(
            self.folder / self.corpus.name / type(self).__name__ / split,
            parameters=how,
            clips=list(self.clips(split).index),
            row=self.stored_shape,
            dtype=self.dtype,
            extra_arrays=self.extra_arrays,
        )

    @property
    def target_mean(self) -> Tensor:
        """The mean of the training labels `(targets,)`: the prediction that every model must beat."""
        return torch.tensor(self.clips("train")[self.targets].mean().to_numpy(), dtype=torch.float32)

    def fetch(self, split: str, clips: Sequence[int] | np.ndarray, count: int | None = None) -> Batch:
        """Read clips by their rows in the split's table: a batch on the CPU, as it is on disk.

        Args:
            split: The split.
            clips: Rows.
            count: How many segments of each clip to read, chosen at random; by default all.
        """
        rows, cache = np.asarray(clips), self.caches[split]
        if split not in self.labels:
            self.labels[split] = torch.tensor(self.clips(split)[self.targets].to_numpy(dtype=np.float32))
        segments = cache.segments[rows].astype(np.int64)
        chosen: np.ndarray | None = None
        if count is not None and count < self.stored_shape[0]:
            rng = self.rng(torch.from_numpy(rows)).random((len(rows), self.stored_shape[0]))
            rng[np.arange(self.stored_shape[0]) >= segments[:, None]] = 1  # what pads a clip is drawn last
            chosen = np.argsort(rng, axis=1)[:, :count]
            segments = np.minimum(segments, count)
        return Batch(
            inputs=self._read(split, rows, chosen),
            labels=self.labels[split][torch.from_numpy(rows)],
            segments=torch.from_numpy(segments),
            clip=torch.from_numpy(rows),
        )

    def _read(self, split: str, rows: np.ndarray, chosen: np.ndarray | None) -> Tensor:
        """Read rows of the cache, or some segments `(clips, segments)` of each."""
        if not self.on_device:
            inputs = self.caches[split].inputs
            return torch.from_numpy(inputs[rows] if chosen is None else inputs[rows[:, None], chosen])
        if split not in self.held:
            device = self.trainer.strategy.root_device if self.trainer else "cpu"
            self.held[split] = torch.tensor(self.caches[split].inputs, device=device)
        held = self.held[split]
        places = [
            torch.from_numpy(index).to(held.device, non_blocking=True) for index in (rows, chosen) if index is not None
        ]
        return held[places[0]] if chosen is None else held[places[0][:, None], places[1]]

    def rng(self, clips: Tensor) -> np.random.Generator:
        """Randomness of a batch: it follows from seed, epoch and clips alone, and so is the same in a resumed run."""
        epoch = self.trainer.current_epoch if self.trainer else 0
        return np.random.default_rng([self.seed, epoch, *clips.tolist()])

    def crop(self, batch: Batch) -> Batch:
        """Crop a batch as it is on disk to what a model sees, which `coordinates` describes; by default all of it."""
        return batch

    def normalise(self, batch: Batch) -> Batch:
        """Turn a batch as it is on disk into a model's inputs, where it lies, which in training is the accelerator."""
        inputs = self.crop(batch).inputs.float()
        if self.normalisation == "none":
            return batch._replace(inputs=inputs)
        space = () if self.normalisation == "patches" else tuple(range(2, inputs.ndim))
        real = torch.arange(inputs.shape[1], device=inputs.device) < torch.as_tensor(batch.segments).unsqueeze(1)
        real = real.view(*real.shape, *[1] * (inputs.ndim - 2)).float()
        count = real.sum(1, keepdim=True) * math.prod(inputs.shape[axis] for axis in space)
        centred = inputs * real
        for _ in range(2):  # the first mean has a rounding error, which in silence would be all that there is to scale
            centred = centred - centred.sum((1, *space), keepdim=True) / count * real
        deviation = (centred.square().sum((1, *space), keepdim=True) / count).sqrt()
        return batch._replace(inputs=centred / (deviation + 1e-8))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move a batch, but for its clips' rows: to read those there would be to wait for the device."""
        return super().transfer_batch_to_device(batch, device, dataloader_idx)._replace(clip=batch.clip)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Normalise on the device, not in front of it."""
        return self.normalise(batch)

    def train_dataloader(self) -> DataLoader[Batch]:
        """Clips in an order of their own in every epoch."""
        return self._loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Clips in the order of their names."""
        return self._loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Clips of `test_split`, in the order of their names."""
        return self._loader(self.test_split)

    def _loader(self, split: str, shuffle: bool = False) -> DataLoader[Batch]:
        clips = ClipDataset(self, split, self.train_segments if shuffle else None)
        processes, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        order: Sampler[int] = DistributedSampler(clips, processes, rank, shuffle=shuffle, seed=self.seed)
        pin = torch.cuda.is_available() and not self.on_device
        return DataLoader(clips, self.batch_size, sampler=order, collate_fn=_as_it_is, pin_memory=pin)

    def cues(self, split: str, clip: int, segment: int) -> dict[str, np.ndarray]:
        """Say where planted cues lie in a segment.

        Returns:
            For each trait a boolean mask of the input's space; nothing where the corpus has no planted evidence.
        """
        name = self.clips(split).index[clip]
        if name not in self._cues.groups:
            return {}
        return mask_cues(self._cues.get_group(name), self.coordinates(split, clip, segment))

    @cached_property
    def _cues(self) -> Any:
        """The corpus's table of planted cues, clip by clip."""
        table = self.corpus.cues()
        return (pd.DataFrame({"clip": []}) if table is None else table).groupby("clip")


class ClipDataset(Dataset[Batch]):
    """The clips of a split whose features are there; read a whole batch at a time."""

    def __init__(self, data: TraitDataModule, split: str, train_segments: int | None = None) -> None:
        self.data, self.split, self.train_segments = data, split, train_segments
        clips = len(data.clips(split))  # or an error that says why there are none
        self.rows = data.usable(split)
        if not len(self.rows):
            raise ValueError(
                f"None of the {clips} {split} clips could be used: "
                f"{data.caches[split].folder / 'failures.csv'} says why."
            )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, places: list[int]) -> Batch:
        """Read a batch."""
        return self.data.fetch(self.split, self.rows[places], self.train_segments)


def _as_it_is(batch: Any) -> Any:
    return batch
