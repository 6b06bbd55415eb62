"""What was run, for the head of a report: data, model, corpus, seed, versions."""

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from personality.explanation.protocols import Data, Model

PACKAGES = ("personality", "torch", "pytorch-lightning")
SYNTHETIC = "SampleCorpus"


def about(data: Data, model: Model) -> dict[str, str]:
    """Describe a run in a few lines, by their titles. They hold no path of the machine."""
    lines = {"data": _data(data), "model": _model(model), "corpus": _corpus(data)}
    trained_on = model.origin.get("corpus") or {}
    if trained_on and _name(trained_on) != _name(data.corpus.config):
        lines["trained on"] = _named(trained_on)
    lines["seed"] = str(model.hparams.get("seed", "unknown"))
    lines["versions"] = ", ".join([*map(_version, PACKAGES), f"Python {platform.python_version()}"])
    return lines


def _data(data: Data) -> str:
    if data.parts:
        return "; ".join(f"{name}: {_data(part)}" for name, part in data.parts.items())
    segments, *shape = data.input_shape
    count = f"{segments} segment{'s' * (segments != 1)}"
    return f"{_name(data.config)} ({data.modality}), {count} of {' × '.join(map(str, shape))}"


def _model(model: Model) -> str:
    config = dict(model.hparams)
    backbones = [config.get("backbone")] if "parts" not in config else [
        f"{name} {_name(part)}" for name, part in config["parts"].items() if part
    ]  # fmt: skip
    named = ", ".join(["", *map(str, filter(None, backbones))])
    return f"{type(model).__name__}{named}, {sum(each.numel() for each in model.parameters()):,} parameters"


def _corpus(data: Data) -> str:
    splits = [f"{len(data.clips(split)):,} {split}" for split in data.splits()]
    fold = data.corpus.config.get("folds")
    folds = f", fold {data.corpus.config.get('fold') or 0} of {fold}" if fold else ""
    return f"{_named(data.corpus.config)}: {' + '.join(splits)} clips{folds}"


def _named(config: Mapping[str, Any]) -> str:
    return f"{_name(config)}{' (synthetic)' * (_name(config) == SYNTHETIC)}"


def _name(config: Mapping[str, Any]) -> str:
    """Return the class that a config names."""
    return str(config.get("_target_", "unknown")).rpartition(".")[2]


def _version(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # run from its source
        return f"{package} of unknown version"
