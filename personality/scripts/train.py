"""Train a model, test its best checkpoint, and save its heatmaps and report.

python train.py                                                the synthetic sample corpus, made where it is missing
python train.py data=face_frames model=dan                     another input, another model
python train.py "experiment=[face_dan]" model.lr=0.001         a published system, with one setting changed
python train.py corpus=first_impressions corpus.root=DIR "experiment=[clip_cam]" resume=true
python train.py corpus=table corpus.file=clips.csv corpus.group=subject folds=5
"""

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from personality.memory import keep_freed_memory, quick_imports
from personality.scripts.command_line import command

log = logging.getLogger(__name__)


@command("train")
def main(config: DictConfig) -> float:
    """Train once, or on every fold. Return the skill in validation, for a sweep."""
    with quick_imports():  # here, so that a wrong argument is reported at once
        from personality.scripts import folds

    if config.keep_memory:
        keep_freed_memory()
    if not config.folds:
        return train(config)
    chosen = range(config.folds) if config.fold is None else [config.fold]
    skills = []
    for fold in chosen:
        one = folds.fold_config(config, fold) if config.fold is None else config
        skill = folds.skill_of(one.run) if config.resume else None
        if skill is None:
            log.info("Fold %d of %d", fold, config.folds)
            skill = train(one)
            if folds.is_first_process():  # the others do not wait until its heatmaps and report are written
                folds.finish(one.run, skill)
        skills.append(skill)
    if config.fold is None and folds.is_first_process():
        folds.gather(config)
        log.info("All files of this run are in %s", config.run)
    return sum(skills) / len(skills)


def train(config: DictConfig) -> float:
    """Fit, then validate and test the best checkpoint. Return the skill in validation."""
    from pytorch_lightning import seed_everything

    from personality.callbacks.save_artifacts import end_tracking

    seed_everything(config.seed, workers=True)
    data = instantiate(config.data, corpus=instantiate(config.corpus, _convert_="all"), _convert_="all")
    model = instantiate(config.model, **data.model_arguments, _convert_="all")
    if config.compile:
        model.compile()
    trainer = instantiate(config.trainer, _convert_="all")

    last = Path(config.run, "checkpoints", "last.ckpt")
    resumed = config.resume and last.exists()
    try:
        trainer.fit(model, data, ckpt_path=last if resumed else None, weights_only=True)
    except RuntimeError as error:
        if resumed and "loading state_dict" in str(error):
            raise ValueError(_other_settings(last, model.config)) from error
        raise
    best = trainer.checkpoint_callback.best_model_path
    trainer.validate(model, data, ckpt_path=best, weights_only=True, verbose=False)
    skill = float(trainer.callback_metrics["val/skill"])
    try:
        data.clips("test")
    except FileNotFoundError as error:
        log.warning("The test is left out, and the report shows the validation: %s", error)
    else:
        trainer.test(model, data, ckpt_path=best, weights_only=True, verbose=False)
    end_tracking(trainer)
    log.info("All files of this run are in %s", config.run)
    return skill


def _other_settings(last: Path, settings: dict[str, Any]) -> str:
    """Say in what the model of a checkpoint differs from the one that was to continue it."""
    from personality.pretrained import read_checkpoint

    before = read_checkpoint(last).config["model"]
    changed = [
        f"model.{key} {before.get(key)} instead of {now}" for key, now in settings.items() if before.get(key) != now
    ]
    return (
        f"{last} has another model: {', '.join(changed)}. Expected resume=true with the arguments of the run that it "
        "continues, the newest of this data and model; give the same ones, or name its folder by hydra.run.dir=."
    )
