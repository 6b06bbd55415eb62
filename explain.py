"""Scores and heatmaps of a trained model, for a split: `python explain.py checkpoint=PATH [split=test]`."""

import logging

from hydra.utils import instantiate
from omegaconf import DictConfig

import personality
from personality.command_line import command

log = logging.getLogger(__name__)


@command("explain")
def main(config: DictConfig) -> None:
    """Rebuild data and model from the checkpoint, then score and explain the split."""
    model, data = personality.load(config.checkpoint, dict(config.corpus), dict(config.data))
    data.test_split = config.split
    instantiate(config.trainer, _convert_="all").test(model, data, verbose=False)
    log.info("Scores and heatmaps lie in %s", config.run)


if __name__ == "__main__":
    main()
