"""Load a trained model from a checkpoint; score and explain videos with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from personality.corpus import Corpus, VideoFiles
from personality.data import TraitDataModule
from personality.explanation import cam
from personality.explanation.explainer import Explainer
from personality.models import TraitRegressor
from personality.settings import build, find_class
from personality.traits import TRAITS, Coordinates


class Explanation(NamedTuple):
    """The attribution maps of one segment."""

    maps: dict[str, np.ndarray]
    """`(*space)` for each trait: signed, in units of the score."""
    inputs: np.ndarray
    """`(channels, *space)` before normalisation."""
    coordinates: Coordinates
    """Where in its clip the segment and each position of its space lie."""


class Predictor(NamedTuple):
    """A trained model and its data module.

    Example:
        predictor = personality.load("best.ckpt")
        predictor.predict("talk.mp4")  # a row for each 15.3 s
        maps, inputs, coordinates = predictor.explain("talk.mp4", clip=0, segment=3)
    """

    model: TraitRegressor
    data: TraitDataModule

    def predict(self, *videos: str | Path) -> pd.DataFrame:
        """Score videos.

        Returns:
            A row for each clip of 15.3 s (see `VideoFiles`): index `clip`, a column for each trait, and for each the
            standard deviation over the clip's segments, `<trait>_std`. NaN for clips that cannot be read.
        """
        with self._prepare(videos) as data, torch.inference_mode():
            targets, rows = data.targets, data.usable("test")
            table = np.full((len(data.clips("test")), 2 * len(targets)), np.nan)
            for row in rows:
                batch = data.transfer_batch_to_device(data.fetch("test", [row]), self.model.device, 0)
                scores = self.model.score(data.normalise(batch))
                std = scores.segments[0, : int(batch.segments)].std(0, correction=0)
                table[row] = torch.cat([scores.clips[0], std]).cpu().numpy()
        columns = [*targets, *(f"{target}_std" for target in targets)]
        return pd.DataFrame(table, index=data.clips("test").index, columns=columns)

    def explain(self, video: str | Path, clip: int = 0, segment: int = 0, method: cam.Method = cam.best) -> Explanation:
        """Compute the attribution maps of a segment of a video."""
        with self._prepare([video]) as data:
            names = data.clips("test").index
            if not 0 <= clip < len(names):
                raise ValueError(f"{video} has {len(names)} clips: expected one of these instead of {clip}, from 0 on.")
            cache = data.caches["test"]
            count = int(cache.segments[clip])
            if not 0 <= segment < count:
                reason = dict(cache.failures().to_numpy()).get(names[clip], "")
                raise ValueError(
                    f"{video}, clip {clip}, has {count} segments: expected one of these instead of {segment}. "
                    f"{reason}".strip()
                )
            (found,) = Explainer(self.model, data, "test", method).explain(np.array([[clip, segment]]))
            maps = dict(zip(data.targets, found.maps, strict=True))
            return Explanation(maps, found.inputs, data.coordinates("test", clip, segment))

    @contextmanager
    def _prepare(self, videos: Sequence[str | Path]) -> Iterator[TraitDataModule]:
        """Compute the features of videos in a temporary folder."""
        with TemporaryDirectory() as folder:
            settings = self.data.settings | {"cache": folder}
            data = type(self.data)(VideoFiles(videos, self.data.modality, self.data.targets), **settings)
            data.prepare_data()
            data.setup()
            yield data


def load(
    checkpoint: str | Path,
    corpus: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    *,
    videos: str | Path | Sequence[str | Path] | None = None,
    device: str | torch.device | None = None,
) -> Predictor:
    """Rebuild model and data module from a checkpoint.

    The file is read with `weights_only=True`, and only corpora, data modules and models are built from it: the
    checkpoint of a stranger cannot run code.

    Args:
        checkpoint: Saved by a Trainer, in `train.py` or in Python.
        corpus: Settings of the corpus that differ here, such as `{"root": "elsewhere"}`, or with `_target_`
            another corpus.
        data: Settings of the data module that differ here, such as `{"batch_size": 4}`.
        videos: Files and folders of one's own instead of the corpus (see `VideoFiles`): the split `test`.
        device: Where the model computes, such as `cuda`; by default the CPU. Results are always on the CPU.

    Raises:
        FileNotFoundError: There is no such file, or one of the videos does not exist.
        ValueError: The file is not a checkpoint of this package, or does not fit the model that it names.
    """
    if videos is not None and corpus:
        raise ValueError(f"Got both videos and a corpus, {corpus}. Expected one of them; leave the other out.")
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(
            f"There is no checkpoint {checkpoint}: expected a file such as runs/*/*/checkpoints/best.ckpt."
        )
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        config = {"corpus": {}} | content["config"]
        data = {"targets": [*TRAITS]} | config["data"] | (data or {})
        model = config["model"]
    except Exception as error:
        raise ValueError(
            f"{checkpoint} is not a checkpoint of `personality`: {error!r}. Expected one that a Trainer saved of a "
            "model and a data module of `personality`."
        ) from error
    clips: Corpus
    if videos is not None:
        clips = VideoFiles(videos, find_class(TraitDataModule, data).modality, data["targets"])
        clips.prepare()
    else:
        corpus = corpus or {}
        clips = build(Corpus, corpus if "_target_" in corpus else config["corpus"] | corpus)
    module: TraitDataModule = build(TraitDataModule, data, corpus=clips)
    module.load_state_dict(content.get(type(module).__qualname__, {}))  # where Lightning puts what it has learnt
    network: TraitRegressor = build(TraitRegressor, model, **module.model_arguments)
    try:
        network.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"{checkpoint} does not fit the {type(network).__name__} that it names: {error}") from error
    return Predictor(network.eval().to(device), module)
