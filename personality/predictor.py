"""A trained model with the data that it understands, brought back from its checkpoint."""

from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch

from personality.corpus import Corpus
from personality.data import TraitDataModule
from personality.models import TraitRegressor


class Predictor(NamedTuple):
    """What a checkpoint knows: the model, and how its inputs are made."""

    model: TraitRegressor
    data: TraitDataModule


def load(checkpoint: str | Path, corpus: dict[str, Any] | None = None, data: dict[str, Any] | None = None) -> Predictor:
    """Rebuild model and data from a checkpoint alone.

    The file is read as numbers and plain words, and only classes of this framework's kinds are built from it: a
    checkpoint from a stranger cannot run code.

    Args:
        checkpoint: Written by `train.py`.
        corpus: Words of the corpus that differ here, such as `{"root": "elsewhere"}`.
        data: Words of the data module that differ here, such as `{"batch_size": 4}`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not a checkpoint of this framework, or does not fit the model it names.
    """
    if not Path(checkpoint).is_file():
        raise FileNotFoundError(
            f"There is no checkpoint {checkpoint}: expected a file such as runs/*/*/checkpoints/best.ckpt."
        )
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        recipe = content["recipe"]
    except Exception as error:
        raise ValueError(
            f"{checkpoint} is not a checkpoint of `personality`: {error!r}. Expected one of train.py."
        ) from error
    clips = _build(Corpus, recipe["corpus"] | (corpus or {}))
    module = _build(TraitDataModule, recipe["data"] | (data or {}), corpus=clips)
    model = _build(TraitRegressor, recipe["model"], input_shape=module.input_shape, targets=module.targets)
    try:
        model.load_state_dict(content["state_dict"])
    except RuntimeError as error:
        raise ValueError(f"{checkpoint} does not fit the {type(model).__name__} that it names: {error}") from error
    model.recipe = recipe
    return Predictor(model.eval(), module)


def _build(kind: Any, node: dict[str, Any], **more: Any) -> Any:
    """Build what a recipe's `_target_` names, if it is of the right kind."""
    words = dict(node)
    module, _, name = words.pop("_target_").rpartition(".")
    found = getattr(import_module(module), name, None)
    if not (isinstance(found, type) and issubclass(found, kind)):
        raise ValueError(
            f"The checkpoint asks for {module}.{name}: expected a {kind.__name__}. Do not trust this file."
        )
    return found(**words, **more)
