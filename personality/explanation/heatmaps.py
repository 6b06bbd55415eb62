"""The callback that shows why: it keeps the 20 best clips of every trait while validating, and draws their maps after.

```
Trainer(callbacks=[SaveHeatmaps()]).validate(model, data)
```
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from personality.explanation import cam, faithfulness
from personality.explanation.average import save_average_attribution
from personality.explanation.gallery import save_gallery
from personality.traits import Batch

log = logging.getLogger(__name__)


class Highest:
    """The highest-scoring clips of every trait, however many pass by: memory for `top` rows a trait, no more.

    A row is `(score, clip, segment, segment's score)`. Equal scores are ordered by clip and segment, so that the choice
    depends neither on the batches nor on the number of processes. A clip counts once, or if `all_segments` compete, a
    segment.
    """

    def __init__(self, targets: int, top: int, all_segments: bool = False) -> None:
        self.top = top
        self.one = slice(1, 3 if all_segments else 2)
        self.rows = np.empty((targets, 0, 4))

    def add(self, rows: np.ndarray) -> None:
        """Take in candidates `(targets, n, 4)`; rows of NaN are none."""
        self.rows = np.stack([self._highest(candidates) for candidates in np.concatenate([self.rows, rows], axis=1)])

    def _highest(self, rows: np.ndarray) -> np.ndarray:
        rows = rows[np.isfinite(rows[:, 0])]
        rows = rows[np.lexsort((rows[:, 2], rows[:, 1], -rows[:, 0]))]
        _, first = np.unique(rows[:, self.one], axis=0, return_index=True)  # a distributed sampler repeats clips
        rows = rows[np.sort(first)][: self.top]
        return np.pad(rows, ((0, self.top - len(rows)), (0, 0)), constant_values=np.nan)


class SaveHeatmaps(Callback):
    """Save, for every trait, what the highest-scoring clips of a validated split owe their score to.

    `heatmaps/<split>/` in the trainer's folder (while fitting `<split>_epoch_<number>/`) then holds, for each trait, a
    sheet of all 20, a picture of each, the maps as numbers, and for all traits `index.csv` and, where the corpus has
    planted cues, `cues.csv`: how much of the maps lies on them in multiples of chance, with 95 % intervals.

    Args:
        top: How many clips a trait.
        method: How to explain: a function of `personality.explanation.cam`. By default the one that fits the model.
        every_n_epochs: Also draw while fitting, after every so many epochs; 0 draws only for `validate` and `test`.
        all_segments: Let all segments of all clips compete by their own score, as in the original, where one clip can
            appear many times. By default each clip is there once, ranked by its score, shown by its best segment.
        average: Also draw the average evidence of high-scoring against low-scoring clips, at most `top` of each.
        faithfulness: Also measure how truthful the maps of all methods are, in `faithfulness.csv` and `sanity.csv`.
    """

    def __init__(
        self,
        top: int = 20,
        method: cam.Method = cam.best,
        every_n_epochs: int = 0,
        all_segments: bool = False,
        average: bool = False,
        faithfulness: bool = False,
    ) -> None:
        if top < 1:
            raise ValueError(f"Got top {top}: expected at least 1 clip a trait.")
        self.top, self.method, self.every_n_epochs, self.all_segments = top, method, every_n_epochs, all_segments
        self.average, self.faithfulness = average, faithfulness
        self.selections: tuple[Highest, Highest, Highest] | None = None  # to show, of high clips, of low clips

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a run whose clips could not be found again afterwards."""
        if trainer.datamodule is None:  # type: ignore[attr-defined]
            raise ValueError("SaveHeatmaps reads the best clips again: pass the trainer a datamodule, not dataloaders.")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a method that does not suit the model, before the training and not after it."""
        cam.check(self.method, pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a new selection."""
        fitting = trainer.state.fn == TrainerFn.FITTING
        due = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        self.selections = None
        if not trainer.sanity_checking and (due or not fitting):
            targets = len(trainer.datamodule.targets)  # type: ignore[attr-defined]
            self.selections = (
                Highest(targets, self.top, self.all_segments),
                Highest(targets, self.top),
                Highest(targets, self.top),
            )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Let the clips of a batch compete."""
        if self.selections is not None:
            scores, weights, clip = outputs["scores"].cpu(), outputs["weights"].cpu(), torch.as_tensor(batch.clip).cpu()
            shown, high, low = self.selections
            clips = _candidates(scores, weights, clip)
            shown.add(_candidates(scores, weights, clip, all_segments=True) if self.all_segments else clips)
            high.add(clips)
            low.add(clips * [-1, 1, 1, 1])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the selections of all processes together; one process draws."""
        if self.selections is None:
            return
        if trainer.world_size > 1:
            for selection in self.selections:
                everywhere = torch.as_tensor(pl_module.all_gather(torch.from_numpy(selection.rows)))
                for rows in everywhere:
                    selection.add(rows.cpu().numpy())
        if trainer.is_global_zero:
            self._draw(trainer, pl_module, *(selection.rows for selection in self.selections))
        self.selections = None

    on_test_start, on_test_batch_end, on_test_epoch_end = (
        on_validation_start,
        on_validation_batch_end,
        on_validation_epoch_end,
    )

    def _draw(
        self, trainer: Trainer, model: LightningModule, shown: np.ndarray, high: np.ndarray, low: np.ndarray
    ) -> None:
        data = trainer.datamodule  # type: ignore[attr-defined]
        split = data.test_split if trainer.state.fn == TrainerFn.TESTING else "val"
        folder = Path(trainer.default_root_dir) / "heatmaps" / split
        if trainer.state.fn == TrainerFn.FITTING:
            folder = folder.with_name(f"{split}_epoch_{trainer.current_epoch:03d}")
        save_gallery(folder, model, data, split, shown, self.method)
        log.info("Heatmaps of the %s split: %s", split, folder)
        if self.average and folder.exists():
            scored = int(np.isfinite(high[..., 0]).sum(1).min())
            count = min(scored, max(1, len(data.usable(split)) // 4))
            sides = np.stack([rows[:, :count, 1].astype(int) for rows in (high, low)])
            if len(np.unique(sides)) > 1:  # a single clip would stand beside itself
                save_average_attribution(folder, model, data, split, sides, self.method)
        if self.faithfulness and folder.exists():
            chosen = [rows[np.isfinite(rows[:, 0]), 1:3].astype(int) for rows in shown]
            faithfulness.save(folder, model, data, split, chosen, self.method)


def _candidates(scores: Tensor, weights: Tensor, clips: Tensor, all_segments: bool = False) -> np.ndarray:
    """Turn a batch's scores `(B, S, targets)` into rows `(targets, n, 4)` for `Highest`."""
    scores, weights = scores.double(), weights.double()
    whole = torch.einsum("bst,bs->tb", scores, weights).unsqueeze(2)
    each = scores.masked_fill(weights.unsqueeze(2) == 0, float("nan")).permute(2, 0, 1)
    segment = torch.arange(each.shape[2]).expand_as(each)
    if not all_segments:
        segment = each.nan_to_num(nan=-torch.inf).argmax(2, keepdim=True)
        each = each.gather(2, segment)
    clip = clips.view(1, -1, 1).expand_as(each)
    rank_by = each if all_segments else whole.expand_as(each)
    return torch.stack([rank_by, clip, segment, each], dim=3).flatten(1, 2).numpy()
