"""Score and explain videos on a page in the browser, on this machine alone.

personality-app                                                the newest model under runs/
personality-app runs/.../checkpoints/best.ckpt                 this one, or a folder of save_pretrained, or hf://USER/NAME
personality-app best.ckpt seconds=60 megabytes=50 port=8080
"""

import logging
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from personality.memory import quick_imports
from personality.scripts.command_line import command

log = logging.getLogger(__name__)

PRIVATE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1", "DISABLE_TELEMETRY": "1"}


@command("app", paths=True)
def main(config: DictConfig) -> None:
    """Serve the page until Ctrl-C."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    for name in ("megabytes", "seconds", "videos", "minutes", "waiting"):
        if not (isinstance(plain[name], int | float) and plain[name] > 0):
            raise ValueError(f"Got {name}={plain[name]}: expected a number above 0.")
    os.environ |= PRIVATE
    for name in ("personality", "pytorch_lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)  # not a line for each video
    for own in (log, logging.getLogger("personality.app")):
        own.setLevel(logging.INFO)
    with quick_imports():
        from personality.app.models import Models
        from personality.app.scoring import Limits
        from personality.app.store import Store

    models = Models()
    if plain["checkpoint"]:
        models.get(plain["checkpoint"])  # raises before the page opens
    limits = Limits(plain["megabytes"], plain["seconds"], plain["videos"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that all is deleted
    with Store.temporary(plain["minutes"]) as store, suppress(KeyboardInterrupt):
        os.environ["GRADIO_TEMP_DIR"] = str(store.uploads)  # read when Gradio is imported
        try:
            with quick_imports():
                from personality.app.page import Page
                from personality.app.server import LOOPBACK, serve
        except ImportError as error:
            raise ImportError(f"The page needs the package gradio ({error}): run `uv sync --extra app`.") from error
        if plain["host"] not in LOOPBACK:
            log.warning(
                "host=%s: everybody on the network can open the page and score videos on this machine. There is no "
                "password.",
                plain["host"],
            )
        runs, checkpoint, accelerator = Path(plain["runs"]), plain["checkpoint"], plain["accelerator"]
        serve(
            Page(store, limits, models, runs, checkpoint, accelerator, plain["waiting"]), plain["host"], plain["port"]
        )
