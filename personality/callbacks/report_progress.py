"""The callback that says where a run stands, in plain lines.

```
Trainer(enable_progress_bar=False, callbacks=[ReportProgress()]).fit(model, data)
```
"""

import logging
import time

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from personality.callbacks.trainers import datamodule, scored_split

log = logging.getLogger(__name__)

METRICS = ("train/loss", "val/skill")


class ReportProgress(Callback):
    """Log a line at the end of each epoch and at the start of validation and test, unless Lightning shows its bar."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.start, self.before = time.monotonic(), trainer.current_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which epoch ended, its loss, and its skill in validation."""
        if _quiet(trainer):
            return
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        left = ""
        if epochs and epochs > 0:
            seconds = (time.monotonic() - self.start) / (epoch - self.before) * (epochs - epoch)
            left = f" of {epochs}, about {seconds:.0f} s left"
        known = [name for name in METRICS if name in trainer.callback_metrics]
        metrics = "".join(f", {name} {trainer.callback_metrics[name]:.4f}" for name in known)
        log.info("Epoch %d%s%s", epoch, left, metrics)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which split is scored."""
        if not _quiet(trainer) and trainer.state.fn != TrainerFn.FITTING:
            data = datamodule(trainer, self)
            split = scored_split(trainer, data)
            log.info("Scoring the %d clips of %s", len(data.clips(split)), split)

    on_test_start = on_validation_start


def _quiet(trainer: Trainer) -> bool:
    return trainer.progress_bar_callback is not None or not trainer.is_global_zero
