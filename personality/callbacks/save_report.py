"""The callback that writes the report of a run.

```
Trainer(callbacks=[SaveResults(), SaveHeatmaps(), SaveReport()]).test(model, data)
```
"""

import logging
from pathlib import Path
from typing import cast

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from personality.callbacks.trainers import datamodule, scored_split
from personality.explanation.protocols import Model
from personality.explanation.report import write_report

log = logging.getLogger(__name__)


class SaveReport(Callback):
    """Write `report.html` after `trainer.test`: one file without links, from what the other callbacks saved.

    Where the corpus has no test clips, write the report after `trainer.validate`. Put this callback after `SaveResults`
    and `SaveHeatmaps`. The report leaves out what they did not save.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the report of the tested split."""
        if trainer.is_global_zero:
            data = datamodule(trainer, self)
            folder, split = Path(trainer.default_root_dir), scored_split(trainer, data)
            path = write_report(folder, data, split, cast(Model, pl_module))
            log.info("Report: %s", path)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the report of the validation split, if there are no test clips."""
        if trainer.state.fn == TrainerFn.VALIDATING and "test" not in datamodule(trainer, self).splits():
            self.on_test_end(trainer, pl_module)
