"""The callback that explains the clips with the highest scores.

```
Trainer(callbacks=[SaveHeatmaps()]).validate(model, data)
```
"""

import logging
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from personality.callbacks.trainers import datamodule, scored_split
from personality.explanation import cam
from personality.explanation.annotated import save_annotations
from personality.explanation.average import save_average_attribution
from personality.explanation.bill_files import save_bills
from personality.explanation.explainer import Explainer
from personality.explanation.faithfulness import save_faithfulness
from personality.explanation.gallery import save_gallery
from personality.explanation.protocols import JointModel, Model
from personality.explanation.selection import Highest, of_part
from personality.explanation.words import save_words
from personality.traits import Batch, Scores

log = logging.getLogger(__name__)


class SaveHeatmaps(Callback):
    """Save, for every trait, the attribution maps of the clips with the highest scores in a split.

    `heatmaps/<split>/` in the trainer's folder (while fitting `<split>_epoch_<number>/`) then holds for each trait a
    sheet of all maps, a picture of each, and the maps as arrays; for all traits `index.csv`, and `cues.csv` if the
    corpus has planted cues: the energy-based pointing game, with 95 % intervals. `annotations.csv` and `.txt` are the
    pointing games on what human annotators marked.

    Args:
        top: How many clips of each trait.
        method: A function of `personality.explanation.cam`; by default the one that suits the model best.
        every_n_epochs: Also explain while fitting, every so many epochs; 0 explains only in `validate` and `test`.
        all_segments: Rank all segments of all clips by their own scores, as the original did, so that a clip can appear
            several times. By default each clip appears once, ranked by its score, with its highest segment.
        bills: Of how many of the highest clips of each trait to save the bill, in `bills/`: the whole clip, moment by
            moment, of all parts (see `personality.explanation.bill`).
        sheets: Also draw the maps of each trait on one sheet.
        average: Also draw the average attribution of high-scoring and of low-scoring clips, at most `top` of each.
        faithfulness: Also measure the faithfulness of all methods: deletion, insertion, pointing games, and the
            parameter randomisation test.
        cues: Also play the pointing games on what people saw: a folder of human annotations, see
            `personality.corpus.mm_ocean`.
    """

    def __init__(
        self,
        top: int = 20,
        method: cam.Method = cam.best,
        every_n_epochs: int = 0,
        all_segments: bool = False,
        bills: int = 1,
        sheets: bool = True,
        average: bool = False,
        faithfulness: bool = False,
        cues: str | None = None,
    ) -> None:
        if top < 1:
            raise ValueError(f"Got top {top}: expected at least 1 clip a trait.")
        if cues is not None and not Path(cues).is_dir():
            raise FileNotFoundError(
                f"There is no folder {cues}. Expected a folder of annotation files; check the path."
            )
        self.top, self.method, self.every_n_epochs, self.all_segments = top, method, every_n_epochs, all_segments
        self.average, self.faithfulness, self.cues, self.bills = average, faithfulness, cues, bills
        self.sheets = sheets
        self.selections: dict[str, Highest] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a run whose clips cannot be read again."""
        datamodule(trainer, self)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Refuse a method that does not suit the model, before the training."""
        networks = cast(JointModel, pl_module).models.values() if datamodule(trainer, self).parts else [pl_module]
        for network in networks:
            cam.check(self.method, cast(Model, network))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start new selections."""
        fitting = trainer.state.fn == TrainerFn.FITTING
        due = self.every_n_epochs and (trainer.current_epoch + 1) % self.every_n_epochs == 0
        self.selections = {}
        if not trainer.sanity_checking and (due or not fitting):
            targets = len(datamodule(trainer, self).targets)
            self.selections = {
                "shown": Highest(targets, self.top, self.all_segments),
                "high": Highest(targets, self.top),
                "low": Highest(targets, self.top, lowest=True),
            }

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the clips of a batch to the selections."""
        for selection in self.selections.values():
            selection.add_batch(Scores(**outputs), torch.as_tensor(batch.clip))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Merge the selections of all processes; one process explains them."""
        if trainer.world_size > 1:
            for selection in self.selections.values():
                for rows in torch.as_tensor(pl_module.all_gather(torch.from_numpy(selection.rows))):
                    selection.add_rows(rows.cpu().numpy())
        if self.selections and trainer.is_global_zero:
            targets = datamodule(trainer, self).targets
            self._save(trainer, pl_module, **{name: each.table(targets) for name, each in self.selections.items()})
        self.selections = {}

    on_test_start, on_test_batch_end, on_test_epoch_end = (
        on_validation_start,
        on_validation_batch_end,
        on_validation_epoch_end,
    )

    def _save(
        self, trainer: Trainer, model: LightningModule, shown: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame
    ) -> None:
        data = datamodule(trainer, self)
        split = scored_split(trainer, data)
        folder = Path(trainer.default_root_dir) / "heatmaps" / split
        if trainer.state.fn == TrainerFn.FITTING:
            folder = folder.with_name(f"{split}_epoch_{trainer.current_epoch:03d}")
        if set(data.targets) - set(shown["trait"]):
            log.warning("No heatmaps of the %s split: the model's scores are not numbers. Did training diverge?", split)
            return
        if data.parts:
            for name, network in cast(JointModel, model).models.items():
                explainer = Explainer(network, data.parts[name], split, self.method)
                self._explain(folder / name, explainer, *(of_part(explainer, each) for each in (shown, high, low)))
        else:
            self._explain(folder, Explainer(cast(Model, model), data, split, self.method), shown, high, low)
        if self.bills:
            most = shown[shown["rank"] <= self.bills]
            save_bills(folder / "bills", cast(Model, model), data, split, most, self.method)

    def _explain(
        self, folder: Path, explainer: Explainer, shown: pd.DataFrame, high: pd.DataFrame, low: pd.DataFrame
    ) -> None:
        """Save what was asked for of one input."""
        if shown.empty:
            return
        data, split = explainer.data, explainer.split
        save_gallery(folder, explainer, shown, self.sheets)
        log.info("Heatmaps of the %s split: %s", split, folder)
        if self.faithfulness:
            save_faithfulness(folder, explainer, shown)
        if self.cues is not None:
            save_annotations(folder, explainer, self.cues)
        if data.modality == "text":
            save_words(folder, explainer)
        if self.average and data.modality != "text":  # the same position is another word in another clip
            count = min(high["trait"].value_counts().min(), max(1, len(data.usable(split)) // 4))
            high, low = (side[side["rank"] <= count] for side in (high, low))
            if len(np.unique([high["clip"], low["clip"]])) > 1:  # there is nothing to compare in a single clip
                save_average_attribution(folder, explainer, high, low)
