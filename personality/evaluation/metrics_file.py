"""`metrics.csv` of a run that may have broken off."""

import warnings
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.trainer.states import TrainerFn


class MetricsFile(CSVLogger):
    """Lightning's table of measures, which `KeepMetrics` lets a resumed run go on with."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """What writes the table; a new one begins anew."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Experiment logs directory")  # all else that is there stays
            return super().experiment

    @property
    def table(self) -> str:
        """What was written so far."""
        path = Path(self.experiment.metrics_file_path)
        return path.read_bytes().decode() if path.exists() else ""

    def restore(self, table: str) -> None:
        """Go on with a table that was written before."""
        Path(self.experiment.metrics_file_path).write_bytes(table.encode())
        self.experiment.metrics_keys = table.splitlines()[0].split(",")


class KeepMetrics(Callback):
    """Keep `metrics.csv` in every checkpoint, so that a resumed run's is that of an undisturbed one, row by row.

    The file itself may say more or less than the checkpoint: a process is killed after the validation of an epoch that
    will be done again, or before the epoch's last row, which Lightning writes when the checkpoint is there already.
    """

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take in the table, and the row that comes next."""
        for logger in self._loggers(trainer):
            epoch, measured = trainer.fit_loop.epoch_progress.current, trainer.callback_metrics
            over = epoch.processed > epoch.completed  # type: ignore[attr-defined]
            row = {name: measured[name].item() for name in measured if over and name.startswith("train/")}
            row = row and {**row, "epoch": trainer.current_epoch}
            checkpoint["metrics"] = {"table": logger.table, "row": row, "step": trainer.global_step - 1}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Before training goes on, bring the table back."""
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
