"""The callback that saves the scores of a split and its results beside the baselines.

```
Trainer(callbacks=[SaveResults()]).test(model, data)
```
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from personality.callbacks.trainers import datamodule, scored_split
from personality.evaluation.fairness import as_groups, fairness
from personality.evaluation.plots import draw_results
from personality.evaluation.predictions import UNIT, Scale, write_predictions
from personality.evaluation.results import evaluate_folds
from personality.evaluation.text import fairness_text, remarks, results_text
from personality.traits import Batch, source_id

log = logging.getLogger(__name__)


class SaveResults(Callback):
    """Save the scores and the results of a split after `validate` and `test`.

    The trainer's folder then holds `predictions_<split>.csv`, with a row for each clip of the split;
    `labels_train.csv`, the labels of the training clips; `results_<split>.csv`, `.txt` and `.png`; and where the corpus
    knows attributes of the people, `fairness_<split>.csv` and `.txt`. The commands of `python -m
    personality.evaluation` work on these files.
    """

    table: Tensor | None = None
    """A row for each clip of the split: its scores, their standard deviations, its number of segments; at first NaN."""

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start a new table."""
        self.table = None
        if trainer.state.fn != TrainerFn.FITTING:
            data = datamodule(trainer, self)
            clips = len(data.clips(scored_split(trainer, data)))
            self.table = torch.full((clips, 2 * len(data.targets) + 1), torch.nan)

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
            std = (squares * (real / count).unsqueeze(2)).sum(1).sqrt()
            rows = torch.cat([clips, std, count], dim=1)
            self.table[torch.as_tensor(batch.clip).cpu()] = rows.cpu()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merge the tables of all processes; one process writes the files."""
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
        data, folder = datamodule(trainer, self), Path(trainer.default_root_dir)
        split = scored_split(trainer, data)
        folder.mkdir(parents=True, exist_ok=True)
        clips, targets = data.clips(split), data.targets
        columns = [*targets, *(f"{target}_std" for target in targets), "segments"]
        predictions = pd.DataFrame(table.double().numpy(), index=clips.index, columns=columns)
        predictions = with_group(predictions.join(clips[targets].add_suffix("_label")), clips["group"])
        write_predictions(folder / f"predictions_{split}.csv", predictions)
        if clips[targets].isna().all(axis=None):
            return
        train, scale = None, UNIT
        with suppress(FileNotFoundError):  # there are no baselines without the training clips
            train = with_group(data.clips("train")[targets], data.clips("train")["group"])
            train.to_csv(folder / "labels_train.csv", index_label="clip")
            low, high = (pd.Series(end, targets) for end in data.target_scale.tolist())
            scale = low, high
        write_results(folder, split, [(predictions, train)], scale, data.people(split))


def write_results(
    folder: Path,
    split: str,
    folds: Sequence[tuple[pd.DataFrame, pd.DataFrame | None]],
    scale: Scale = UNIT,
    people: pd.DataFrame | None = None,
) -> None:
    """Write the results of a split, as table, text and picture, and by the attributes of the people.

    Args:
        folder: Where to write `results_<split>.csv`, `.txt` and `.png`, `fairness_<split>.csv` and `.txt`.
        split: Name of the split.
        folds: Predictions with labels, and labels of the training clips: one pair, or one for each fold.
        scale: The lowest and the highest label there can be.
        people: `Corpus.people`.
    """
    predictions = pd.concat([scored for scored, _ in folds]).sort_index()
    train = folds[0][1] if len(folds) == 1 else None
    results = evaluate_folds(folds, scale=scale)
    results.to_csv(folder / f"results_{split}.csv", index=False, float_format="%.7g")
    notes = ["Every clip is scored by the model of the fold that has no clip of its group in training."]
    if len(folds) == 1:
        notes = remarks(predictions, train, scale)
    text = "\n".join([results_text(results), "", *notes])
    (folder / f"results_{split}.txt").write_text(text + "\n", encoding="utf-8")
    name = f"{split} split"
    draw_results(folder / f"results_{split}.png", {name: predictions}, train, scale, {name: results})
    log.info("The %s split, in %s:\n\n%s\n", split, folder, text)
    if people is not None and people.notna().any(axis=None):
        by_group = fairness(predictions, as_groups(people), train, scale=scale)
        by_group.to_csv(folder / f"fairness_{split}.csv", index=False, float_format="%.7g")
        text = fairness_text(by_group)
        (folder / f"fairness_{split}.txt").write_text(text + "\n", encoding="utf-8")
        log.info("By attributes of the people:\n\n%s\n", text)


def with_group(table: pd.DataFrame, groups: pd.Series) -> pd.DataFrame:
    """Add the column `group`, where the names of clips do not say it."""
    known = [source_id(clip) for clip in table.index]
    return table if groups.tolist() == known else table.assign(group=groups)
