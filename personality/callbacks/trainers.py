"""What the callbacks ask of a trainer."""

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from personality.explanation.protocols import Data


def datamodule(trainer: Trainer, callback: Callback) -> Data:
    """Return the trainer's data module.

    Raises:
        ValueError: The trainer was given dataloaders, whose clips have no names.
    """
    data: Data | None = trainer.datamodule  # type: ignore[attr-defined]
    if data is None:
        name = type(callback).__name__
        raise ValueError(f"{name} got dataloaders. It looks clips up by name: pass the trainer a datamodule instead.")
    return data


def scored_split(trainer: Trainer, data: Data) -> str:
    """Return the split that the trainer scores: `val`, or in `trainer.test` the data module's `test_split`."""
    return data.test_split if trainer.state.fn == TrainerFn.TESTING else "val"
