"""Score and explain with a trained model: a split, or videos of one's own.

python explain.py checkpoint=runs/.../checkpoints/best.ckpt split=val cam=occlusion
python explain.py checkpoint=best.ckpt "clips=[talk.mp4,interviews/]"
python explain.py checkpoint=best.ckpt faithfulness=true       how truthful are the maps of every method?
"""

import logging

from hydra.utils import instantiate
from omegaconf import DictConfig

from personality.command_line import command

log = logging.getLogger(__name__)


@command("explain")
def main(config: DictConfig) -> None:
    """Rebuild data and model from the checkpoint, then score and explain."""
    import personality.predictor  # here, for wrong words shall be answered at once

    corpus, words = dict(config.corpus), dict(config.data)
    if config.clips:
        corpus = {"_target_": "personality.corpus.VideoFiles", "paths": list(config.clips)}
        words["cache"] = f"{config.run}/features"
    model, data = personality.predictor.load(config.checkpoint, corpus, words)
    data.test_split = "test" if config.clips else config.split
    instantiate(config.trainer, _convert_="all").test(model, data, verbose=False)
    log.info("Scores and heatmaps lie in %s", config.run)


if __name__ == "__main__":
    main()
