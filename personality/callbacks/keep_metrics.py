"""`metrics.csv` of a run that can be interrupted and resumed."""

import warnings
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.trainer.states import TrainerFn


class MetricsFile(CSVLogger):
    """Lightning's CSV logger, with a table that `KeepMetrics` can read and restore."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes the table, without a warning where the folder holds other files."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Experiment logs directory")
            return super().experiment

    @property
    def table(self) -> str:
        """The content of the file so far."""
        path = Path(self.experiment.metrics_file_path)
        return path.read_bytes().decode() if path.exists() else ""

    def restore(self, table: str) -> None:
        """Replace the content of the file."""
        Path(self.experiment.metrics_file_path).write_bytes(table.encode())
        self.experiment.metrics_keys = table.splitlines()[0].split(",")


class KeepMetrics(Callback):
    """Keep `metrics.csv` in every checkpoint, so that a resumed run has the same rows as an uninterrupted one.

    The file can have more or fewer rows than belong to the last checkpoint: a process can be killed after the
    validation of an epoch that is then repeated, or after the checkpoint and before the last row of its epoch.
    """

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Save the table, and the row that Lightning writes next."""
        for logger in self._loggers(trainer):
            epoch, metrics = trainer.fit_loop.epoch_progress.current, trainer.callback_metrics
            done = epoch.processed > epoch.completed  # type: ignore[attr-defined]
            row = {name: metrics[name].item() for name in metrics if done and name.startswith("train/")}
            row = row and {**row, "epoch": trainer.current_epoch}
            checkpoint["metrics"] = {"table": logger.table, "row": row, "step": trainer.global_step - 1}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restore the table before the training is resumed."""
        metrics = checkpoint.get("metrics")
        if metrics is None or trainer.state.fn != TrainerFn.FITTING:
            return
        for logger in self._loggers(trainer):
            if metrics["table"]:
                logger.restore(metrics["table"])
            if metrics["row"]:
                logger.log_metrics(metrics["row"], metrics["step"])
                logger.save()

    @staticmethod
    def _loggers(trainer: Trainer) -> list[MetricsFile]:
        return [each for each in trainer.loggers if isinstance(each, MetricsFile) and trainer.is_global_zero]
