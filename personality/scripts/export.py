"""Write a trained model and its attribution maps to a file that runs without this package.

python export.py runs/.../checkpoints/best.ckpt                ONNX, for onnxruntime in any language
python export.py runs/.../checkpoints/best.ckpt format=torch   for torch.export.load
"""

import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from personality.memory import quick_imports
from personality.scripts.command_line import command

log = logging.getLogger(__name__)

SUFFIXES = {"onnx": ".onnx", "torch": ".pt2"}


@command("export", paths=True)
def main(config: DictConfig) -> None:
    """Load the model from the checkpoint and export it."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    if plain["format"] not in SUFFIXES:
        raise ValueError(f"Got format={plain['format']}: expected {' or '.join(SUFFIXES)}.")
    with quick_imports():  # here, so that a wrong argument is reported at once
        from personality.explanation.export import export_model
        from personality.predictor import load

    path = Path(plain["run"], "model").with_suffix(SUFFIXES[plain["format"]])
    export_model(path, *load(plain["checkpoint"], plain["corpus"], plain["data"]))
    log.info("Scores and maps of segments: %s", path)
