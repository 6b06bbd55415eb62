"""What a trained model is read from: a checkpoint of a `Trainer`, or a folder to pass on.

The folder holds `model.safetensors`, the weights; `config.json`, the settings of corpus, data and model, what the
data module has learnt, and the error of the model where it is known; and `README.md`, a model card. No path of the
machine is in it. Nothing in it can run: it is read as numbers and JSON, and only corpora, data modules and models of
this package are built from it.
"""

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from personality.atomic import atomic_write

WEIGHTS, CONFIG, CARD = FILES = ("model.safetensors", "config.json", "README.md")
PACKAGES = {"corpus": "personality.corpus", "data": "personality.data", "model": "personality.models"}
"""The parts of a config, and the package that each is built from."""
MACHINE = {
    "corpus": {"root", "file", "keep_videos", "label_files", "paths", "processes"},
    "data": {"cache", "files", "processes", "time_limit", "on_device"},
    "model": {"weights", "sha256", "start"},
}
"""Settings that belong to a machine: they are neither written to a folder nor read from it."""
DETECTOR = "detector"
"""The setting that is a name or the path of a file; of a path, the folder has the name of the file."""


class Saved(NamedTuple):
    """Enough to build a trained model and its data module again."""

    config: dict[str, dict[str, Any]]
    """The settings of each of `PACKAGES`, and under `_target_` the class; of the corpus it may be empty."""
    learnt: dict[str, Any]
    """What the data module has learnt: its state dict."""
    weights: Mapping[str, Tensor]
    """The state dict of the model."""
    error: dict[str, Any] | None = None
    """What its run measured, plain text and numbers: `config` of `personality.evaluation.reference.KnownError`."""


def read_checkpoint(path: Path) -> Saved:
    """Read a checkpoint of a `Trainer`. With `weights_only=True`, no code in it runs.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a checkpoint of this package.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no checkpoint {path}: expected a file such as runs/*/*/checkpoints/best.ckpt, a folder of "
            "save_pretrained, or hf://USER/NAME."
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        config = {part: {**({"corpus": {}} | content["config"])[part]} for part in PACKAGES}
        data = config["data"]["_target_"].rpartition(".")[2]  # where Lightning puts what it has learnt
        return Saved(config, content.get(data, {}), content["state_dict"])
    except Exception as error:  # a file that is no checkpoint can raise any error
        raise ValueError(
            f"{path} is not a checkpoint of `personality`: {error!r}. Expected one that a Trainer saved of a model and "
            "a data module of `personality`."
        ) from error


def read_folder(folder: Path) -> Saved:
    """Read a folder that `write_folder` wrote.

    Raises:
        FileNotFoundError: There is no such folder, or it lacks a file.
        ValueError: A file is damaged, or the config asks for anything but a class of this package.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"There is no {name} in {folder}. Expected a folder of save_pretrained, or a checkpoint such as "
                "runs/*/*/checkpoints/best.ckpt; check the name."
            )
    try:
        content = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        config = portable({part: {**content[part]} for part in PACKAGES})
        learnt, error_of_run = {**content["learnt"]}, content.get("error")
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"{folder / CONFIG} is not the config of a model: {error!r}. Expected the file that save_pretrained wrote; "
            "fetch it again."
        ) from error
    for part, settings in config.items():
        if (part != "corpus" or settings) and not _is_own(part, settings):
            raise ValueError(
                f"{folder} asks for {settings.get('_target_')}: expected a class of {PACKAGES[part]}. Do not trust it."
            )
    try:
        return Saved(config, learnt, load_file(folder / WEIGHTS), error_of_run)
    except Exception as error:  # a damaged file can raise any error
        raise ValueError(
            f"{folder / WEIGHTS} cannot be read: {error}. Expected a file of safetensors; fetch it again."
        ) from error


def write_folder(folder: Path, saved: Saved, card: str) -> None:
    """Write a model to a folder. Files of the same names are replaced.

    A corpus of another package is left out, since the model can be used without it.

    Args:
        folder: It is made if there is none.
        saved: The model.
        card: The text of its model card.

    Raises:
        ValueError: Data module or model are of another package.
    """
    config = portable(saved.config)
    for part in ("data", "model"):
        if not _is_own(part, config[part]):
            raise ValueError(
                f"Got {config[part]['_target_']}: expected a class of {PACKAGES[part]}, since no other is built from a "
                "folder. Pass on the checkpoint together with the code instead."
            )
    if not _is_own("corpus", config["corpus"]):
        config["corpus"] = {}
    text = json.dumps(config | {"learnt": _plain(saved.learnt), "error": saved.error}, indent=2, ensure_ascii=False)
    weights = {  # safetensors takes neither parts of other tensors nor another order in memory
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in saved.weights.items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_write(folder / WEIGHTS) as part_of:
        save_file(weights, part_of, {"format": "pt"})
    for file, content in (CARD, card), (CONFIG, f"{text}\n"):
        with atomic_write(folder / file) as part_of:
            part_of.write_text(content, encoding="utf-8")


def portable(config: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings that hold on any machine.

    >>> portable({"corpus": {"root": "/data/videos", "fold": 1}, "data": {"detector": "/home/me/yunet.onnx"}})
    {'corpus': {'fold': 1}, 'data': {'detector': 'yunet.onnx'}}
    """
    kept = {part: _without(settings, MACHINE[part]) for part, settings in config.items()}
    for settings in (kept["data"], *filter(None, kept["data"].get("parts", {}).values())):
        if isinstance(detector := settings.get(DETECTOR), str):
            settings[DETECTOR] = PureWindowsPath(detector).name  # of any system
    return kept


def _without(settings: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Leave settings out, also those of parts."""
    return {
        name: {part: each and _without(each, names) for part, each in value.items()} if name == "parts" else value
        for name, value in settings.items()
        if name not in names
    }


def _is_own(part: str, settings: Mapping[str, Any]) -> bool:
    """Return whether settings, and those of parts, name classes of a package, before anything is imported."""
    target, parts = settings.get("_target_"), settings.get("parts", {})
    own = isinstance(target, str) and bool(re.fullmatch(rf"{re.escape(PACKAGES[part])}(\.\w+)+", target))
    return own and isinstance(parts, Mapping) and all(each is None or _is_own(part, each) for each in parts.values())


def _plain(learnt: Any) -> Any:
    """Turn tensors into lists."""
    if isinstance(learnt, Mapping):
        return {name: _plain(value) for name, value in learnt.items()}
    return learnt.tolist() if isinstance(learnt, Tensor) else learnt
