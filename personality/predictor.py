"""A trained model with the data that it understands, brought back from its checkpoint."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from personality.corpus import Corpus, VideoFiles
from personality.data import TraitDataModule
from personality.explanation import cam, segments
from personality.models import TraitRegressor
from personality.traits import TRAITS, Coordinates


class Explanation(NamedTuple):
    """What speaks for and against each trait in one segment."""

    maps: dict[str, np.ndarray]
    """`(*space)` for each trait: signed, in units of the score."""
    inputs: np.ndarray
    """`(channels, *space)`, as the model sees it but not normalised."""
    coordinates: Coordinates
    """Where in its clip the segment lies, and what the positions of its space mean."""


class Predictor(NamedTuple):
    """What a checkpoint knows: the model, and how its inputs are made.

    Example:
        predictor = personality.load("best.ckpt")
        predictor.predict("talk.mp4")  # a line for each 15.3 s
        maps, inputs, coordinates = predictor.explain("talk.mp4", clip=0, segment=3)
    """

    model: TraitRegressor
    data: TraitDataModule

    def predict(self, *videos: str | Path) -> pd.DataFrame:
        """Score videos.

        Returns:
            A line for each clip of 15.3 s (see `VideoFiles`): index `clip`, a column for each trait, and for each the
            standard deviation over the clip's segments, `<trait>_std`. NaN where a clip could not be read.
        """
        with self._reading(videos) as data, torch.inference_mode():
            targets, rows = data.targets, data.usable("test")
            table = np.full((len(data.clips("test")), 2 * len(targets)), np.nan)
            for row in rows:
                batch = data.transfer_batch_to_device(data.fetch("test", [row]), self.model.device, 0)
                scores, weights = self.model.score(data.normalise(batch))
                scores = scores[0, weights[0] > 0]
                table[row] = torch.cat([scores.mean(0), scores.std(0, correction=0)]).cpu().numpy()
        columns = [*targets, *(f"{target}_std" for target in targets)]
        return pd.DataFrame(table, index=data.clips("test").index, columns=columns)

    def explain(self, video: str | Path, clip: int = 0, segment: int = 0, method: cam.Method = cam.best) -> Explanation:
        """Say what in a segment of a video speaks for and against each trait."""
        with self._reading([video]) as data:
            names = data.clips("test").index
            if not 0 <= clip < len(names):
                raise ValueError(f"{video} has {len(names)} clips: expected one of these instead of {clip}, from 0 on.")
            there = int(data.caches["test"].segments[clip])
            if not 0 <= segment < there:
                failures = dict(data.caches["test"].failures().to_numpy())
                name = names[clip]
                raise ValueError(
                    f"{video}, clip {clip}, has {there} segments: expected one of these instead of {segment}. "
                    f"{failures.get(name, '')}".strip()
                )
            found = segments.explain(method, self.model, data, "test", np.array([[clip, segment]]))[clip, segment]
            maps = dict(zip(data.targets, found.maps, strict=True))
            return Explanation(maps, found.inputs, data.coordinates("test", clip, segment))

    @contextmanager
    def _reading(self, videos: Sequence[str | Path]) -> Iterator[TraitDataModule]:
        """Prepare videos of one's own in a temporary folder."""
        with TemporaryDirectory() as folder:
            settings = self.model.config["data"] | {"cache": folder}  # type: ignore[index]
            data = _build(TraitDataModule, settings, corpus=VideoFiles(videos, self.data.modality))
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
    """Rebuild model and data from a checkpoint alone.

    The file is read as numbers and plain words, and only classes of this framework's kinds are built from it: a
    checkpoint from a stranger cannot run code.

    Args:
        checkpoint: Written by `train.py`.
        corpus: Settings of the corpus that differ here, such as `{"root": "elsewhere"}`, or with `_target_`
            another corpus.
        data: Settings of the data module that differ here, such as `{"batch_size": 4}`.
        videos: Files and folders of one's own instead of the corpus (see `VideoFiles`): the split `test`.
        device: Where the model computes, such as `cuda`; by default the CPU. Results are on the CPU in any case.

    Raises:
        FileNotFoundError: There is no such file, or one of the videos does not exist.
        ValueError: The file is not a checkpoint of this framework, or does not fit the model it names.
    """
    if videos is not None and corpus:
        raise ValueError(f"Got both videos and a corpus, {corpus}. Expected one of them; leave the other out.")
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(
            f"There is no checkpoint {checkpoint}: expected a file such as runs/*/*/checkpoints/best.ckpt."
        )
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        config = content["config"] | {"data": {"targets": [*TRAITS]} | content["config"]["data"]}
    except Exception as error:
        raise ValueError(
            f"{checkpoint} is not a checkpoint of `personality`: {error!r}. Expected one of train.py, or of a "
            "model whose `config` was set before its training."
        ) from error
    config["data"] |= data or {}
    clips: Corpus
    if videos is not None:
        clips = VideoFiles(videos, _class(TraitDataModule, config["data"]).modality)
        clips.prepare()
    else:
        corpus = corpus or {}
        clips = _build(Corpus, corpus if "_target_" in corpus else config["corpus"] | corpus)
    module = _build(TraitDataModule, config["data"], corpus=clips)
    model = _build(TraitRegressor, config["model"], input_shape=module.input_shape, targets=module.targets)
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"{checkpoint} does not fit the {type(model).__name__} that it names: {error}") from error
    model.config = config
    return Predictor(model.eval().to(device), module)


def _build(kind: Any, node: dict[str, Any], **more: Any) -> Any:
    """Build what a config's `_target_` names, if it is of the right kind."""
    return _class(kind, node)(**{name: value for name, value in node.items() if name != "_target_"}, **more)


def _class(kind: Any, node: dict[str, Any]) -> Any:
    """Find the class that a config's `_target_` names, if it is of the right kind."""
    module, _, name = node["_target_"].rpartition(".")
    found = getattr(import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ValueError(
            f"The checkpoint asks for {module}.{name}: expected a {kind.__name__}. Do not trust this file."
        )
    return found
