"""What the scripts share: words on the command line, run folders, and errors that a person can read.

The only file of the package that knows Hydra; nothing else in the package imports it.
"""

import functools
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

log = logging.getLogger(__name__)


def command(name: str) -> Callable[[Callable[[DictConfig], None]], Callable[[], None]]:
    """Make a script of a function: it is called with the configuration composed from `conf/<name>.yaml`.

    `model.width=1` sets a word of a class whether or not a yaml mentions it; Hydra alone asks for `++model.width=1`.
    """

    def decorate(verb: Callable[[DictConfig], None]) -> Callable[[], None]:
        @functools.wraps(verb)
        def explained(config: DictConfig) -> None:
            try:
                OmegaConf.resolve(config)
                verb(config)
            except (InstantiationException, ValueError, OSError) as error:
                if os.environ.get("HYDRA_FULL_ERROR") == "1":
                    raise
                reason = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
                sys.exit(f"\n{name}: {reason}\n(HYDRA_FULL_ERROR=1 shows where in the code.)")

        @functools.wraps(verb)
        def run() -> None:
            words = r"(corpus|data|model|cam|trainer|logger|callbacks)\.[\w.]+="
            sys.argv[1:] = [re.sub(f"^(?={words})", "++", word) for word in sys.argv[1:]]
            hydra.main(version_base="1.3", config_path="conf", config_name=name)(explained)()

        return run

    return decorate


def run_folder(name: str, resume: bool) -> str:
    """Name a run's folder: a new one, or to resume, the one of this name that was written to last."""
    runs = Path("runs") / name
    if resume:
        checkpoints = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        if checkpoints:
            return str(checkpoints[-1].parent.parent)
    folder = runs / time.strftime("%Y-%m-%d_%H-%M-%S")
    return str(folder) if not folder.exists() else f"{folder}-{os.getpid()}"


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)

warnings.filterwarnings("ignore", "The '.*dataloader' does not have many workers")  # batches come from a memory map
