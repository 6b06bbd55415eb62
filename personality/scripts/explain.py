"""Score and explain a split or own videos with a trained model.

python explain.py runs/.../checkpoints/best.ckpt split=val cam=occlusion
python explain.py best.ckpt "My talk (1).mp4" interviews/      own videos, files and folders
python explain.py best.ckpt faithfulness=true                  how faithful are the maps of every method?
python explain.py best.ckpt cues=mm_ocean/                         do they lie on what people saw?
"""

import logging
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from personality.memory import quick_imports
from personality.scripts.command_line import command

log = logging.getLogger(__name__)


@command("explain", paths=True)
def main(config: DictConfig) -> None:
    """Load data and model from the checkpoint, then score and explain."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    videos, data = plain["clips"], plain["data"]
    if videos is None:
        data["test_split"] = config.split
    elif not videos:
        raise ValueError(
            f"Got clips={videos}. Expected at least one video or folder, as in explain.py best.ckpt talk.mp4; "
            "leave clips out to score a split of the checkpoint's own corpus."
        )
    else:
        data["cache"] = f"{config.run}/features"
    with quick_imports():  # here, so that a wrong argument is reported at once
        import personality.predictor

    predictor = personality.predictor.load(config.checkpoint, plain["corpus"], data, videos=videos)
    instantiate(config.trainer, _convert_="all").test(*predictor, verbose=False)
    log.info("Scores and heatmaps are in %s", config.run)
