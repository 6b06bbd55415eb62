"""Compute the features of every clip before the training.

python prepare.py corpus=first_impressions corpus.root=DIR "experiment=[face_dan]"
python prepare.py data=raw_wav_fft verify=true                 compute damaged features again
python prepare.py data=raw_wav_fft "shard=[0,8]"               one job of eight
"""

import logging
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig

from personality.memory import quick_imports
from personality.scripts.command_line import command

log = logging.getLogger(__name__)


@command("prepare")
def main(config: DictConfig) -> None:
    """Compute the features that are missing in the cache, then report the state of every clip."""
    with quick_imports():  # here, so that a wrong argument is reported at once
        from personality.data.inventory import inventory, inventory_text, repair

    data = instantiate(config.data, corpus=instantiate(config.corpus, _convert_="all"), _convert_="all")
    if config.verify or config.retry:
        damaged = repair(data, config.retry)
        log.info("%d clips have damaged features%s", len(damaged), ", ".join(["", *damaged[:20]]))
    data.prepare_data(shard=tuple(config.shard))
    clips = inventory(data)
    text = inventory_text(clips)
    clips.to_csv(Path(config.run, "clips.csv"), index=False)
    Path(config.run, "clips.txt").write_text(text + "\n", encoding="utf-8")
    log.info("Features are in %s, the state of every clip in %s:\n\n%s\n", data.folder, config.run, text)
