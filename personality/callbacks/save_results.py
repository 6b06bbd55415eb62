"""The callback that saves the scores of a split and its results beside the baselines.

```
Trainer(callbacks=[SaveResults()]).test(model, data)
```
"""

from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from personality.callbacks.trainers import datamodule, scored_split
from personality.evaluation.predictions import FROM, with_group, write_predictions
from personality.evaluation.result_files import write_results
from personality.traits import Batch


class SaveResults(Callback):
    """Save the scores and the results of a split after `validate` and `test`.

    The trainer's folder then holds `predictions_<split>.csv`, with a row for each clip of the split;
    `labels_train.csv`, the labels of the training clips; `results_<split>.csv`, `.txt` and `.png`; and where the corpus
    knows attributes of the people, `fairness_<split>.csv` and `.txt`. The commands of `python -m
    personality.evaluation` work on these files.
    """

    table: Tensor | None = None
    """A row for each clip of the split: its scores, their standard deviations, its number of segments, and of a joint
    model what each part adds; at first NaN."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new table."""
        self.table = None
        if trainer.state.fn != TrainerFn.FITTING:
            data = datamodule(trainer, self)
            clips = len(data.clips(scored_split(trainer, data)))
            self.table = torch.full((clips, (2 + len(data.parts)) * len(data.targets) + 1), torch.nan)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Enter the clips of a batch."""
        if self.table is not None:
            clips, segments = outputs["clips"].float(), outputs["segments"].float()
            count = torch.as_tensor(batch.segments, device=clips.device).clamp(max=segments.shape[1]).unsqueeze(1)
            real = torch.arange(segments.shape[1], device=clips.device) < count
            squares = (segments - clips.unsqueeze(1)).square().masked_fill(~real.unsqueeze(2), 0)
            std = (squares * (real / count.clamp(min=1)).unsqueeze(2)).sum(1).sqrt()
            parts = [outputs["parts"].float().flatten(1)] if datamodule(trainer, self).parts else []
            rows = torch.cat([clips, std, count, *parts], dim=1)
            self.table[torch.as_tensor(batch.clip).cpu()] = rows.cpu()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merge the tables of all processes; one process writes the files."""
        if self.table is None:
            return
        table = torch.as_tensor(pl_module.all_gather(self.table)).view(-1, *self.table.shape).nanmean(0).cpu()
        if trainer.is_global_zero:
            self._write(trainer, pl_module, table)
        self.table = None

    on_test_start, on_test_batch_end, on_test_epoch_end = (
        on_validation_start,
        on_validation_batch_end,
        on_validation_epoch_end,
    )

    def _write(self, trainer: Trainer, model: LightningModule, table: Tensor) -> None:
        data, folder = datamodule(trainer, self), Path(trainer.default_root_dir)
        split = scored_split(trainer, data)
        folder.mkdir(parents=True, exist_ok=True)
        clips, targets = data.clips(split), data.targets
        columns = [*targets, *(f"{target}_std" for target in targets), "segments"]
        columns += [f"{target}{FROM}{part}" for part in data.parts for target in targets]
        predictions = pd.DataFrame(table.double().numpy(), index=clips.index, columns=columns)
        predictions = with_group(predictions.join(clips[targets].add_suffix("_label")), clips["group"])
        write_predictions(folder / f"predictions_{split}.csv", predictions)
        if clips[targets].isna().all(axis=None):
            return
        train = None
        with suppress(FileNotFoundError):  # there are no baselines without the training clips
            train = with_group(data.clips("train")[targets], data.clips("train")["group"])
            train.to_csv(folder / "labels_train.csv", index_label="clip")
        low, high = (pd.Series(end, targets) for end in model.get_buffer("target_scale").tolist())
        write_results(folder, split, [(predictions, train)], (low, high), data.people(split))
