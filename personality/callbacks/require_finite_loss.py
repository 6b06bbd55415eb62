"""The callback that ends a training whose loss is no longer a finite number.

```
Trainer(callbacks=[RequireFiniteLoss()]).fit(model, data)
```
"""

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor


class RequireFiniteLoss(Callback):
    """End a training with an error, in the epoch in which its loss becomes infinite or NaN.

    The error comes before the epoch's validation and checkpoint, so that the checkpoints of earlier epochs remain. A
    loss that is finite again at the time of the check, as after a step that mixed precision skips, is not an error.

    Args:
        every_n_steps: How often to check, besides the end of each epoch. Only a check waits for the accelerator.

    Raises:
        FloatingPointError: The loss is not finite, in any process of the run; all processes raise it.
    """

    def __init__(self, every_n_steps: int = 50) -> None:
        if every_n_steps < 1:
            raise ValueError(f"Got every_n_steps {every_n_steps}: expected at least 1.")
        self.every_n_steps = every_n_steps
        self.losses: list[Tensor] = []
        self.step = 0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reset the losses and steps."""
        self.losses, self.step = [], 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record the loss; check the recorded losses every few steps and after the last step of the epoch."""
        self.losses.append(outputs["loss"].detach())
        self.step = batch_idx + 1
        if self.step % self.every_n_steps == 0 or self.step == trainer.num_training_batches:
            self._check(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the rest of an epoch that `max_steps` or `max_time` ended early, before its checkpoint."""
        if self.losses:
            self._check(trainer)

    def _check(self, trainer: Trainer) -> None:
        losses, self.losses = torch.stack(self.losses).float().cpu(), []
        if not trainer.strategy.reduce_boolean_decision(not losses[-1].isfinite(), all=False):  # the same in all ranks
            return
        first = self.step - len(losses) + 1 + int((~losses.isfinite()).float().argmax())
        precision = "" if trainer.precision == "32-true" else f"precision {trainer.precision} (try 32-true), "
        raise FloatingPointError(
            f"The training loss is {float(losses[-1])} in epoch {trainer.current_epoch}, since step {first} of "
            f"{trainer.num_training_batches}. Expected a finite number. Likely causes: a learning rate that is too "
            f"high (lower model.lr), {precision}or labels far outside [0, 1]. No checkpoint is written with such "
            "weights; those of earlier epochs remain."
        )
