"""Train a model, test its best checkpoint, draw its heatmaps.

python train.py                                                the synthetic sample corpus, made where it is missing
python train.py data=face_frames model=dan                     another input, another model
python train.py "experiment=[face_dan]" model.lr=0.001         a published system; overrides change any setting of it
python train.py corpus=first_impressions corpus.root=DIR "experiment=[clip_cam]" resume=true
"""

import logging
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from personality.memory import keep_freed_memory
from personality.scripts.command_line import command

log = logging.getLogger(__name__)


@command("train")
def main(config: DictConfig) -> float:
    """Fit, then validate and test the best checkpoint; return the skill in validation to a sweep."""
    from pytorch_lightning import seed_everything  # here, so that a wrong argument is answered at once

    if config.keep_memory:
        keep_freed_memory()
    seed_everything(config.seed, workers=True)
    data = instantiate(config.data, corpus=instantiate(config.corpus), _convert_="all")
    model = instantiate(config.model, input_shape=data.input_shape, targets=data.targets, _convert_="all")
    settings: Any = OmegaConf.to_container(config, resolve=True)
    model.config = {part: settings[part] for part in ("corpus", "data", "model")}
    model.config["data"]["targets"] = [*data.targets]
    if config.compile:
        model.compile()
    trainer = instantiate(config.trainer, _convert_="all")

    last = Path(config.run, "checkpoints", "last.ckpt")
    trainer.fit(model, data, ckpt_path=last if config.resume and last.exists() else None, weights_only=True)
    best = trainer.checkpoint_callback.best_model_path
    trainer.validate(model, data, ckpt_path=best, weights_only=True, verbose=False)
    skill = float(trainer.callback_metrics["val/skill"])
    try:
        data.clips("test")
    except FileNotFoundError as error:
        log.warning("The test is left out, and the report shows validation: %s", error)
    else:
        trainer.test(model, data, ckpt_path=best, weights_only=True, verbose=False)
    log.info("Everything of this run lies in %s", config.run)
    return skill
