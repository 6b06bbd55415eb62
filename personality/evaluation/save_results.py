"""The callback that puts a result beside the habits it has to beat, whenever a split has been scored.

```
Trainer(callbacks=[SaveResults()]).test(model, data)
```
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from personality.evaluation.plots import draw_results
from personality.evaluation.predictions import write_predictions
from personality.evaluation.results import evaluate
from personality.evaluation.text import remarks, results_text
from personality.traits import TRAITS, Batch

log = logging.getLogger(__name__)


class SaveResults(Callback):
    """Save what a model scored after `validate` and `test`, and how good that is.

    The trainer's folder then holds `predictions_<split>.csv`, with a line for every clip of the split, the labels of
    the training clips in `labels_train.csv`, and the results as `results_<split>.csv`, `.txt` and `.png`. All that
    `python -m personality.evaluation` does can be done with these files later.
    """

    table: Tensor | None = None
    """A row a clip of the split: its scores, their spread over segments, number of segments; NaN until it is seen."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a run whose results could not stand beside others."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        if data is None:
            raise ValueError("SaveResults names clips: pass the trainer a datamodule, not dataloaders.")
        if not set(TRAITS) <= set(data.targets):
            raise ValueError(
                f"Got the targets {', '.join(data.targets)}. SaveResults expects all of {', '.join(TRAITS)}, as tables "
                "of results do; train on all five, or take the callback off."
            )

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a new table."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        rows = None if trainer.state.fn == TrainerFn.FITTING else len(data.clips(_split(trainer)))
        self.table = None if rows is None else torch.full((rows, 2 * len(data.targets) + 1), torch.nan)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Fill in the clips of a batch."""
        if self.table is not None:
            scores, weights = outputs["scores"].float(), outputs["weights"].float().unsqueeze(2)
            mean = (scores * weights).sum(1)
            spread = ((scores - mean.unsqueeze(1)).square() * weights).sum(1).sqrt()
            self.table[torch.as_tensor(batch.clip).cpu()] = torch.cat([mean, spread, (weights > 0).sum(1)], dim=1).cpu()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the tables of all processes together; one process writes."""
        if self.table is None:
            return
        table = torch.as_tensor(pl_module.all_gather(self.table)).view(-1, *self.table.shape).nanmean(0).cpu()
        if trainer.is_global_zero:
            self._write(trainer, table)
        self.table = None

    on_test_start, on_test_batch_end, on_test_epoch_end = (
        on_validation_start,
        on_validation_batch_end,
        on_validation_epoch_end,
    )

    def _write(self, trainer: Trainer, table: Tensor) -> None:
        data, split, folder = trainer.datamodule, _split(trainer), Path(trainer.default_root_dir)  # type: ignore[attr-defined]
        folder.mkdir(parents=True, exist_ok=True)
        clips, targets = data.clips(split), data.targets
        columns = [*targets, *(f"{target}_std" for target in targets), "segments"]
        predictions = pd.DataFrame(table.double().numpy(), index=clips.index, columns=columns)
        predictions = predictions.join(clips[targets].add_suffix("_label"))
        write_predictions(folder / f"predictions_{split}.csv", predictions)
        if clips[targets].isna().all(axis=None):
            return
        train = None
        with suppress(FileNotFoundError):  # without the training clips there is nothing to stand beside
            train = data.clips("train")[targets]
            train.to_csv(folder / "labels_train.csv", index_label="clip")
        results = evaluate(predictions, train)
        results.to_csv(folder / f"results_{split}.csv", index=False, float_format="%.7g")
        text = "\n".join([results_text(results), "", *remarks(predictions, train)])
        (folder / f"results_{split}.txt").write_text(text + "\n", encoding="utf-8")
        draw_results(folder / f"results_{split}.png", {f"{split} split": predictions}, train)
        log.info("The %s split, in %s:\n\n%s\n", split, folder, text)


def _split(trainer: Trainer) -> str:
    return trainer.datamodule.test_split if trainer.state.fn == TrainerFn.TESTING else "val"  # type: ignore[attr-defined]
