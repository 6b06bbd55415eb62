"""Make the features of every clip once, before any training: `python prepare.py data=... corpus=...`."""

from hydra.utils import instantiate
from omegaconf import DictConfig

from personality.command_line import command


@command("prepare")
def main(config: DictConfig) -> None:
    """Fill the cache; what is there already stays."""
    instantiate(config.data, corpus=instantiate(config.corpus), _convert_="all").prepare_data()


if __name__ == "__main__":
    main()
