"""The callback that hands the files of a run on to an experiment tracker.

```
callbacks = [SaveResults(), SaveHeatmaps(), SaveReport(), SaveArtifacts()]
Trainer(logger=WandbLogger(), callbacks=callbacks).test(model, data)
```
"""

from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import MLFlowLogger, WandbLogger
from pytorch_lightning.trainer.states import TrainerFn

from personality.callbacks.trainers import datamodule

FILES = ("results_*.csv", "results_*.txt", "heatmaps/*/*.png", "report.html")
"""Results tables, sheets of heatmaps and the report, in the trainer's folder."""


class SaveArtifacts(Callback):
    """Hand results, sheets of heatmaps and the report on to Weights & Biases and MLflow, as artefacts of their run.

    It works after `trainer.test`, or where the corpus has no test clips after `trainer.validate`, and does nothing
    without a `WandbLogger` or an `MLFlowLogger`. Put this callback after those that write the files.
    """

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the files on."""
        if not trainer.is_global_zero:
            return
        folder = Path(trainer.default_root_dir)
        files = sorted(path for pattern in FILES for path in folder.glob(pattern))
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                _to_wandb(logger, folder, files)
            elif isinstance(logger, MLFlowLogger):
                _to_mlflow(logger, folder, files)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Hand the files on, if there are no test clips."""
        if trainer.state.fn == TrainerFn.VALIDATING and "test" not in datamodule(trainer, self).splits():
            self.on_test_end(trainer, pl_module)


def end_tracking(trainer: Trainer) -> None:
    """End the run of Weights & Biases, so that the next fold or run of a sweep has one of its own."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger) and trainer.is_global_zero:
            logger.experiment.finish()


def _to_wandb(logger: WandbLogger, folder: Path, files: list[Path]) -> None:
    from wandb import Artifact

    artifact = Artifact(f"run-{logger.experiment.id}-results", type="results")
    for path in files:
        artifact.add_file(str(path), str(path.relative_to(folder)))
    logger.experiment.log_artifact(artifact)


def _to_mlflow(logger: MLFlowLogger, folder: Path, files: list[Path]) -> None:
    for path in files:
        below = path.parent.relative_to(folder)
        logger.experiment.log_artifact(logger.run_id, str(path), str(below) if below.parts else None)
