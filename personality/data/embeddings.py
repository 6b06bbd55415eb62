"""Embeddings: numbers of each clip that another program computed, read from files."""

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from personality.corpus import Corpus
from personality.data.base import TraitDataModule
from personality.data.embedding_files import Feature, open_features
from personality.traits import Axis, Batch, Coordinates

CHUNK = 256
"""How many clips are read at once to learn their mean."""


def extract(
    source: str,
    files: Sequence[str],
    select: Sequence[str] | None,
    frames: int,
    vector: bool,
    stamps: Sequence[Sequence[int]],
) -> dict[str, np.ndarray]:
    """Look the numbers of a clip up: `(1, 1, numbers)`, or a sequence as `(1, numbers, frames)`.

    A sequence is averaged over `frames` equal stretches of time.

    Args:
        source: The clip's name.
        files: See `Embeddings`.
        select: See `Embeddings`.
        frames: Positions in time.
        vector: Whether the clip is a vector.
        stamps: Sizes and times of the files, so that changed files are read again.
    """
    parts = [feature.read(source) for feature in _open(files, select, stamps)]
    pooled = [functional.adaptive_avg_pool1d(torch.from_numpy(part.T)[None], frames) for part in parts]
    inputs = torch.cat(pooled, dim=1)
    return {
        "inputs": (inputs.transpose(1, 2) if vector else inputs).numpy(),
        "frames": np.array([len(parts[0])], np.float32),
    }


def _open(files: Sequence[str], select: Sequence[str] | None, stamps: Sequence[Sequence[int]]) -> list[Feature]:
    """Open files once, until they change. Two processes must not share an open file."""
    chosen = None if select is None else tuple(select)
    return _open_once(tuple(files), chosen, tuple(map(tuple, stamps)), os.getpid())


@lru_cache(maxsize=1)
def _open_once(
    files: tuple[str, ...], select: tuple[str, ...] | None, stamps: tuple[tuple[int, ...], ...], process: int
) -> list[Feature]:
    return open_features(files, select)


def _stamp(file: str) -> tuple[int, ...]:
    """Return the size of a file and when it was changed; of a folder, the number of its files and the last change."""
    path = Path(file)
    if path.is_dir():
        times = [each.stat().st_mtime_ns for each in path.iterdir()]
        return len(times), max(times, default=0)
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.exists() else ()


class Embeddings(TraitDataModule):
    """Numbers of each clip from csv, npz or HDF5 files (see `data.embedding_files`): no video is read.

    Where all are vectors, a clip is `(1, 1, numbers)`: several files stand behind each other. A sequence of vectors is
    `(1, numbers, frames)`: as many channels as numbers, along time. A clip that a file lacks is left out and listed.

    By default each number is standardised by its mean and deviation over the training clips. These are learnt when the
    training starts, are part of the checkpoint, and their zero is the baseline of deletion.

    Args:
        corpus: Where the clips and their labels are; it says which splits or folds there are.
        files: A file or several, or a folder of npy files.
        select: Names of columns, numbers or features to take; by default all.
        frames: Positions in time of a sequence, which is averaged over equal stretches; by default the median length.
            1 makes a vector of it, its mean over time.
        rate: Vectors a second of a sequence. Without it, time is counted in vectors.
        normalise: `training`, or `none` to leave numbers as they are.
        **loading: See `TraitDataModule`.

    Example:
        data = Embeddings(corpus, files="sound.csv")
        trainer.fit(Linear(data.input_shape, modality="vector", sigmoid=False), data)
    """

    modality = "vector"
    normalisations = ("training", "none")

    def __init__(
        self,
        corpus: Corpus,
        files: str | Path | Sequence[str | Path],
        select: Sequence[str] | None = None,
        frames: int | None = None,
        rate: float | None = None,
        normalise: str | None = "training",
        **loading: Any,
    ) -> None:
        if normalise == "clip":
            raise ValueError(
                "Got normalise 'clip' for embeddings, whose numbers have different units: expected training or none; "
                "set data.normalise=training."
            )
        paths = [os.fspath(file) for file in ([files] if isinstance(files, str | Path) else files)]
        for name, value in {"frames": frames, "rate": rate}.items():
            if value is not None and value <= 0:
                raise ValueError(f"Got {name} {value}: expected a number above 0.")
        if not paths or len({*paths}) < len(paths):
            raise ValueError(f"Got data.files={paths}: expected at least one file, each of them once.")
        stamps = [[*_stamp(path)] for path in paths]
        features = _open(paths, select, stamps)
        self.numbers = [number for feature in features for number in feature.numbers]
        self.rate = rate
        frames = frames or _usual_length(features)
        self.vector, count = frames == 1, len(self.numbers)
        chosen = None if select is None else [*select]
        super().__init__(
            corpus,
            partial(extract, files=paths, select=chosen, frames=frames, vector=self.vector, stamps=stamps),
            (1, 1, count) if self.vector else (1, count, frames),
            extra_arrays={"frames": ((1,), "float32")},
            **(loading | {"normalise": normalise, "processes": loading.get("processes") or 0}),
        )
        self.settings["frames"] = frames  # files that grow may have another median
        self.statistics: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def sources(self, split: str) -> Sequence[str]:
        """Return what `extract` takes of each clip: its name."""
        return [*self.clips(split).index]

    def setup(self, stage: str | None = None) -> None:
        """Open the numbers, and learn their mean and deviation, unless a checkpoint knows them."""
        super().setup(stage)
        if not self.statistics:
            mean, std = self._learn()
            self.statistics = {torch.device("cpu"): (mean.float(), std.float())}

    def state_dict(self) -> dict[str, Any]:
        """Return what is learnt: a part of the checkpoint."""
        mean, std = self._statistics(torch.device("cpu"))
        return {"numbers": self.numbers, "mean": mean, "std": std}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what a checkpoint has learnt.

        Raises:
            ValueError: It was learnt of other numbers than those of the files.
        """
        if not state_dict:
            return
        known = state_dict["numbers"]
        if known != self.numbers:
            pairs = zip([*known, None], [*self.numbers, None], strict=False)
            was, now = next((was, now) for was, now in pairs if was != now)
            raise ValueError(
                f"Got {len(self.numbers)} numbers in {', '.join(self.extract.keywords['files'])}, and the checkpoint "
                f"was trained on {len(known)}: {now or 'nothing'} stands where {was or 'nothing'} stood. Expected the "
                "same numbers in the same order; name other files or columns in data.files and data.select."
            )
        mean, std = (torch.as_tensor(state_dict[name], dtype=torch.float32).cpu() for name in ("mean", "std"))
        self.statistics = {torch.device("cpu"): (mean, std)}

    def coordinates(self, split: str, clip: int, segment: int) -> Coordinates:
        """Locate the one segment, which is the clip; its space is the named numbers, or time."""
        if self.vector:
            axis = Axis("number", np.arange(len(self.numbers), dtype=float), (*self.numbers,))
            return Coordinates(0.0, float("nan"), (axis,))
        length = float(self.caches[split].extra("frames")[clip, 0])
        positions = (np.arange(self.input_shape[2]) + 0.5) * length / self.input_shape[2]
        if self.rate is None:
            return Coordinates(0.0, float("nan"), (Axis("frame", positions),))
        return Coordinates(0.0, length / self.rate, (Axis("time", positions / self.rate),))

    def normalise(self, batch: Batch) -> Batch:
        """Standardise a stored batch, on its own device."""
        inputs = batch.inputs.float()
        if self.normalisation == "training":
            mean, std = self._statistics(inputs.device)
            inputs = self._last((self._last(inputs) - mean) / std)
        return batch._replace(inputs=inputs)

    def baseline(self, inputs: Tensor) -> Tensor:
        """Return the mean of the training clips, in the shape of inputs `(N, channels, *space)`."""
        if self.normalisation == "training":
            return torch.zeros_like(inputs)
        mean, _ = self._statistics(inputs.device)
        return self._last(mean.expand_as(self._last(inputs)))

    def cues(self, split: str, clip: int, segment: int) -> dict[str, np.ndarray]:
        """Return nothing: it is unknown where a planted cue went in the numbers."""
        return {}

    def _last(self, values: Tensor) -> Tensor:
        """Put the numbers last, or back."""
        return values if self.vector else values.transpose(-1, -2)

    def _statistics(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return mean and deviation of the numbers on a device."""
        if device not in self.statistics:
            mean, std = self.statistics[torch.device("cpu")]
            self.statistics[device] = mean.to(device), std.to(device)
        return self.statistics[device]

    def _learn(self) -> tuple[Tensor, Tensor]:
        """Compute mean and deviation over the training clips."""
        self.clips("train")  # raises where there are none
        rows, inputs = self.usable("train"), self.caches["train"].inputs
        if not len(rows):
            raise ValueError(
                f"None of the {len(self.clips('train'))} train clips could be used: "
                f"{self.caches['train'].folder / 'failures.csv'} says why."
            )

        def blocks() -> Iterator[Tensor]:
            for start in range(0, len(rows), CHUNK):
                values = torch.from_numpy(np.asarray(inputs[rows[start : start + CHUNK]])).double()
                yield self._last(values).flatten(0, -2)

        count = sum(len(block) for block in blocks())
        mean = sum((block.sum(0) for block in blocks()), torch.tensor(0.0)) / count
        variance = sum(((block - mean).square().sum(0) for block in blocks()), torch.tensor(0.0)) / count
        std = variance.sqrt()
        return mean, std.where(std > 1e-6 * mean.abs().clamp(min=1e-12), 1.0)  # 1 where only rounding differs


def _usual_length(features: Sequence[Feature]) -> int:
    """Return the median length of sequences, 1 where all are vectors."""
    sequences = [feature for feature in features if feature.is_sequence]
    vectors = [feature for feature in features if not feature.is_sequence]
    if sequences and vectors:
        raise ValueError(
            f"Got sequences ({sequences[0].name} in {sequences[0].file}) beside vectors ({vectors[0].name} in "
            f"{vectors[0].file}). Expected one kind; set data.frames=1 to average sequences over time, or choose with "
            "data.select."
        )
    return sequences[0].usual_length if sequences else 1
