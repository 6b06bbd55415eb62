"""Score and explain with a trained model: a split, or videos of one's own.

python explain.py runs/.../checkpoints/best.ckpt split=val cam=occlusion
python explain.py best.ckpt "My talk (1).mp4" interviews/      one's own videos, files and folders
python explain.py best.ckpt faithfulness=true                  how truthful are the maps of every method?
"""

import logging
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from personality.scripts.command_line import command

log = logging.getLogger(__name__)


@command("explain", paths=True)
def main(config: DictConfig) -> None:
    """Rebuild data and model from the checkpoint, then score and explain."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    corpus, data, videos = plain["corpus"], plain["data"], plain["clips"]
    if videos is not None:
        if not videos:
            raise ValueError(
                f"Got clips={videos}. Expected at least one video or folder, as in explain.py best.ckpt talk.mp4; "
                "leave clips out to score a split of the checkpoint's own corpus."
            )
        data["cache"] = f"{config.run}/features"
    import personality.predictor  # here, so that a wrong argument is answered at once

    predictor = personality.predictor.load(config.checkpoint, corpus, data, videos=videos)
    predictor.data.test_split = config.split if videos is None else "test"
    instantiate(config.trainer, _convert_="all").test(*predictor, verbose=False)
    log.info("Scores and heatmaps lie in %s", config.run)
