"""Load a trained model from a checkpoint; score and explain videos with it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, overload

import numpy as np
import pandas as pd
import torch

from personality import hub
from personality.corpus import Corpus, VideoFiles
from personality.data import TraitDataModule
from personality.evaluation.reference import KnownError, Reference
from personality.explanation import cam
from personality.explanation.bill import Bill, bill_of
from personality.explanation.explainer import Explainer
from personality.model_card import model_card
from personality.models import TraitRegressor
from personality.pretrained import CARD, CONFIG, Saved, read_checkpoint, read_folder, write_folder
from personality.settings import build, change, find_class
from personality.traits import TRAITS, Coordinates


class Explanation(NamedTuple):
    """The attribution maps of one segment."""

    maps: dict[str, np.ndarray]
    """`(*space)` for each trait: signed, in units of the score."""
    inputs: np.ndarray
    """`(channels, *space)` before normalisation."""
    coordinates: Coordinates
    """Where in its clip the segment and each position of its space lie."""


@dataclass(frozen=True, eq=False)
class Predictor:
    """A trained model and its data module: `model, data = predictor`.

    Example:
        predictor = personality.load("best.ckpt")
        predictor.predict("talk.mp4")  # a row for each 15.3 s
        maps, inputs, coordinates = predictor.explain("talk.mp4", clip=0, segment=3)
        predictor.reference.table(predictor.predict("talk.mp4"))  # beside the training labels and the model's error
        predictor.explain("talk.mp4").table()  # what each moment, place and word of it adds
        predictor.push_to_hub("user/name")  # others load("hf://user/name")
    """

    model: TraitRegressor
    data: TraitDataModule
    source: Path | None = None
    """The checkpoint or the folder that they were loaded from."""
    corpus: dict[str, Any] | None = None
    """The settings of the corpus that the model was trained on; by default those of the corpus of `data`."""

    @property
    def reference(self) -> Reference:
        """The distribution of the training labels, and the error on people whom the model has not met, if it is known.

        `reference.table(predict(video))` sets scores beside them: columns `score`, `percentile`, `low`, `high`.
        """
        model = self.model
        return Reference.of(self.data.targets, model.target_quantiles, model.target_scale, model.origin)

    def __iter__(self) -> Iterator[Any]:
        return iter((self.model, self.data))

    def predict(self, *videos: str | Path) -> pd.DataFrame:
        """Score videos.

        Returns:
            A row for each clip of 15.3 s (see `VideoFiles`): index `clip`, a column for each trait, and for each the
            standard deviation over the clip's segments, `<trait>_std`. NaN for clips that cannot be read. A joint model
            also says what each part adds, `<trait>_from_<part>`, NaN where the clip lacks it.
        """
        with self._prepare(videos) as data, torch.inference_mode():
            targets, rows = data.targets, data.usable("test")
            table = np.full((len(data.clips("test")), (2 + len(data.parts)) * len(targets)), np.nan)
            for row in rows:
                batch = data.transfer_batch_to_device(data.fetch("test", [row]), self.model.device, 0)
                scores = self.model.score(data.normalise(batch))
                segments = scores.segments[0, : int(batch.segments)]
                std = segments.std(0, correction=0) if len(segments) else torch.zeros_like(scores.clips[0])
                parts = [] if scores.parts is None else [scores.parts[0].flatten()]
                table[row] = torch.cat([scores.clips[0], std, *parts]).cpu().numpy()
        columns = [*targets, *(f"{target}_std" for target in targets)]
        columns += [f"{target}_from_{part}" for part in data.parts for target in targets]
        return pd.DataFrame(table, index=data.clips("test").index, columns=columns)

    @overload
    def explain(
        self, video: str | Path, clip: int = 0, segment: None = None, method: cam.Method = cam.best
    ) -> Bill: ...
    @overload
    def explain(self, video: str | Path, clip: int, segment: int, method: cam.Method = cam.best) -> Explanation: ...
    @overload
    def explain(
        self, video: str | Path, clip: int = 0, *, segment: int, method: cam.Method = cam.best
    ) -> Explanation: ...
    def explain(
        self, video: str | Path, clip: int = 0, segment: int | None = None, method: cam.Method = cam.best
    ) -> Bill | Explanation:
        """Explain the score of a clip of a video: the bias, and what each moment, place and word adds.

        Args:
            video: The file.
            clip: Which 15.3 s of it, from 0 on.
            segment: Explain this segment of a model of one input alone, and return its maps.
            method: A function of `personality.explanation.cam`.

        Returns:
            The bill of the clip: `bill.table()` lists it, with times. With a segment, its maps.
        """
        with self._prepare([video]) as data:
            names = data.clips("test").index
            if not 0 <= clip < len(names):
                raise ValueError(f"{video} has {len(names)} clips: expected one of these instead of {clip}, from 0 on.")
            cache, count = data.caches["test"], int(data.segments("test")[clip])
            if segment is None and count:
                return bill_of(self.model, data, "test", clip, method)
            if data.parts and count:
                raise ValueError(f"Got segment {segment} for a joint model, whose parts differ. Expected none.")
            if segment is None or not 0 <= segment < count:
                reason = dict(cache.failures().to_numpy()).get(names[clip], "")
                raise ValueError(
                    f"{video}, clip {clip}, has {count} segments: expected one of these instead of {segment}. "
                    f"{reason}".strip()
                )
            (found,) = Explainer(self.model, data, "test", method).explain(np.array([[clip, segment]]))
            maps = dict(zip(data.targets, found.maps, strict=True))
            return Explanation(maps, found.inputs, data.coordinates("test", clip, segment))

    def data_of(self, videos: Sequence[str | Path], cache: str | Path) -> TraitDataModule:
        """Return a data module like that of the model for other videos, which are its split `test`.

        Args:
            videos: Files and folders: see `VideoFiles`.
            cache: The folder of their features.
        """
        settings = self.data.settings | {"cache": str(cache), "test_split": "test"}
        return type(self.data)(VideoFiles(videos, self.data.modality, self.data.targets), **settings)

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the model to a folder that `personality.load` reads: see `personality.save_pretrained`."""
        self._save(Path(folder), Path(folder).resolve().name)

    def push_to_hub(self, address: str, private: bool = False) -> str:
        """Upload the model to a hub, from which `personality.load("hf://USER/NAME")` reads it.

        The environment variables of `huggingface-hub` hold: HF_TOKEN, and HF_ENDPOINT for another server.

        Args:
            address: `USER/NAME`. The repository is made if there is none.
            private: Whether only you can read a new repository.

        Returns:
            The web address of the upload.

        Raises:
            ImportError: The extra `hub` is not installed.
            ConnectionError: The upload failed.
        """
        with TemporaryDirectory() as folder:
            self._save(Path(folder), f"{hub.SCHEME}{address.removeprefix(hub.SCHEME)}")
            return hub.push(Path(folder), address, private)

    def _save(self, folder: Path, name: str) -> None:
        """Save the model under a name, with the card of the folder that it was loaded from or a new one."""
        corpus = self.data.corpus.config if self.corpus is None else self.corpus
        config = {"corpus": corpus, "data": self.data.config, "model": self.model.config}
        saved = Saved(config, self.data.state_dict(), self.model.state_dict(), self.model.origin.get("error"))
        if self.source and (card := self.source / CARD).is_file():
            text = card.read_text(encoding="utf-8")
        else:
            text = model_card(config, name, self.source)
        write_folder(folder, saved, text)

    @contextmanager
    def _prepare(self, videos: Sequence[str | Path]) -> Iterator[TraitDataModule]:
        """Compute the features of videos in a temporary folder."""
        with TemporaryDirectory() as folder:
            data = self.data_of(videos, folder)
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
    """Rebuild model and data module from a checkpoint, or from a folder that was passed on.

    A stranger's model cannot run code. A checkpoint is read with `weights_only=True`, and only corpora, data modules
    and models are built from it. A folder is read as numbers and JSON, and only those of this package are built.

    Args:
        checkpoint: Saved by a Trainer, in `train.py` or in Python. Or a folder of `save_pretrained`; or
            `hf://USER/NAME`, optionally with `@REVISION`, which is downloaded once (extra `hub`).
        corpus: Settings of the corpus that differ here, such as `{"root": "elsewhere"}`, or with `_target_`
            another corpus. A folder does not say where the clips are: without these settings its model has no corpus.
        data: Settings of the data module that differ here, such as `{"batch_size": 4}`, or of a part of joint data
            `{"parts": {"face": {"detector": "dlib"}}}`.
        videos: Files and folders of one's own instead of the corpus (see `VideoFiles`): the split `test`.
        device: Where the model computes, such as `cuda`; by default the CPU. Results are always on the CPU.

    Raises:
        FileNotFoundError: There is no such file or model, or one of the videos does not exist.
        ConnectionError: The model cannot be downloaded.
        ValueError: The file is not a checkpoint of this package, or does not fit the model that it names.
    """
    if videos is not None and corpus:
        raise ValueError(f"Got both videos and a corpus, {corpus}. Expected one of them; leave the other out.")
    source = hub.pull(str(checkpoint)) if str(checkpoint).startswith(hub.SCHEME) else Path(checkpoint)
    saved = read_folder(source) if source.is_dir() else read_checkpoint(source)
    trained_on = saved.config["corpus"]
    data = change({"targets": [*TRAITS]} | saved.config["data"], data or {})
    clips: Corpus
    if videos is not None or (source.is_dir() and not corpus):
        clips = VideoFiles(videos or [], find_class(TraitDataModule, data).modality, data["targets"])
        if videos is not None:
            clips.prepare()
    else:
        corpus = corpus or {}
        clips = build(Corpus, corpus if "_target_" in corpus else trained_on | corpus)
    module: TraitDataModule = build(TraitDataModule, data, corpus=clips)
    module.load_state_dict(saved.learnt)
    network: TraitRegressor = build(TraitRegressor, saved.config["model"], **module.model_arguments)
    try:
        network.load_state_dict(saved.weights)
    except RuntimeError as error:
        raise ValueError(f"{checkpoint} does not fit the {type(network).__name__} that it names: {error}") from error
    network.origin = {"corpus": trained_on, "error": _error_of(source, saved.error)}
    return Predictor(network.eval().to(device), module, source, trained_on)


def _error_of(source: Path, found: dict[str, Any] | None = None) -> dict[str, Any] | None:
    """Return the error that the run of a checkpoint measured, or that a folder says: `KnownError.config`."""
    if not source.is_dir():
        measured = KnownError.of_checkpoint(source)
        return None if measured is None else measured.config
    try:
        return None if found is None else KnownError.from_config(found).config
    except (ValueError, LookupError, TypeError, AttributeError) as wrong:
        raise ValueError(
            f"{source / CONFIG} is not the config of a model: its error is {found!r:.200}. Expected what "
            "save_pretrained wrote; fetch it again."
        ) from wrong


def save_pretrained(checkpoint: str | Path, folder: str | Path) -> None:
    """Save a checkpoint as a folder to pass on: weights, config and a model card.

    The folder has no path of this machine and nothing that could run. The card is filled from the results that lie
    beside the checkpoint; read it, and correct it, before you pass it on. Neither the corpus nor the videos need to be
    there.

    Args:
        checkpoint: Saved by a Trainer.
        folder: It is made if there is none; its `model.safetensors`, `config.json` and `README.md` are replaced.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: It is not a checkpoint of this package, or its data module or model is of another package.

    Example:
        personality.save_pretrained("best.ckpt", "face_model")
        personality.load("face_model").predict("talk.mp4")
    """
    source, folder = Path(checkpoint), Path(folder)
    saved = read_checkpoint(source)
    saved = saved._replace(error=_error_of(source))
    write_folder(folder, saved, model_card(saved.config, folder.resolve().name, source))
