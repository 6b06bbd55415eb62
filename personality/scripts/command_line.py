"""What the scripts share: their configuration, run folders, and errors that a person can read."""

import difflib
import functools
import inspect
import logging
import os
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf

from personality.scripts.arguments import to_overrides

HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf").exists() else HERE.parents[1] / "conf"
"""The configuration: beside this file in an installed wheel, at the top of the source tree."""
GROUPS = ("corpus", "data", "model", "cam", "trainer", "logger", "callbacks")
RUN = "PERSONALITY_RUN"
"""The environment variable that holds the folder of the run that is going on, for all of its processes."""
AGAIN = {
    "train": "; resume=true goes on after the last whole epoch, to the same end",
    "prepare": "; the same command goes on with the next clip",
}
"""How to go on after a script was stopped."""


def command(name: str, paths: bool = False) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a script of a function: it is called with the configuration composed from `conf/<name>.yaml`.

    `model.width=1` sets a setting of a class whether or not a yaml mentions it; Hydra alone asks for `++model.width=1`.

    Args:
        name: The script's name.
        paths: Whether arguments that are no overrides are paths, of a checkpoint and of videos.
    """

    def decorate(verb: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(verb)
        def explained(config: DictConfig) -> Any:
            try:
                OmegaConf.to_container(config, resolve=True)  # or an error, before anything takes long
                return verb(config)
            except (KeyboardInterrupt, SystemExit) as end:
                if type(end) is SystemExit and not isinstance(end.__context__, KeyboardInterrupt):
                    raise  # somebody has said why already; Lightning exits so after Ctrl-C
                sys.exit(f"\n{name}: stopped. What is finished stays{AGAIN.get(name, '')}.")
            except (InstantiationException, MissingMandatoryValue, ValueError, OSError, FloatingPointError) as error:
                if os.environ.get("HYDRA_FULL_ERROR") == "1":
                    raise
                reason = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
                sys.exit(f"\n{name}: {_in_words(reason)}\n(HYDRA_FULL_ERROR=1 shows where in the code.)")
            except RuntimeError as error:
                if os.environ.get("HYDRA_FULL_ERROR") == "1" or not re.search("gloo|NCCL", str(error)):
                    raise
                sys.exit(
                    f"\n{name}: another process of this run has ended, and so does this one. What befell it "
                    "stands above or in its log; if nothing does, it was killed, as for want of memory"
                    f"{AGAIN.get(name, '')}."
                )
            finally:
                os.environ.pop(RUN, None)  # a sweep goes on with another run

        @functools.wraps(verb)
        def run() -> None:
            known = {str(key) for key in OmegaConf.load(CONF / f"{name}.yaml")} | {path.name for path in CONF.iterdir()}
            options, overrides = to_overrides(name, sys.argv[1:], known | {"hydra"}, paths)
            overrides = [re.sub(rf"^(?=({'|'.join(GROUPS)})\.[\w.]+=)", "++", override) for override in overrides]
            sys.argv[1:] = options + overrides
            if {"--help", "-h"} & {*options} and not any(option.startswith("--config-") for option in options):
                print(_help(name, overrides, inspect.getmodule(verb).__doc__ or ""))
                return
            hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(explained)()

        return run

    return decorate


def _help(name: str, overrides: list[str], about: str) -> str:
    """Describe all groups and settings of a script, as it would run with these overrides."""
    from personality.scripts.command_help import help_text

    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            composed = hydra.compose(name, overrides)
        except HydraException as error:
            sys.exit(f"{name}: {error}")
    config: Any = OmegaConf.to_container(composed)
    script = CONF / f"{name}.yaml"
    listed = [str(key).split()[-1] for entry in OmegaConf.load(script).defaults if entry != "_self_" for key in entry]
    options = {group: sorted(file.stem for file in (CONF / group).glob("*.yaml")) for group in listed}
    remarks = dict(re.findall(r"^(\w+): [^#\n]+  # (.*)$", script.read_text(encoding="utf-8"), re.MULTILINE))
    if name == "prepare":
        del config["model"]  # which only lets experiments be named
    return help_text(about, options, remarks, config)


def _in_words(error: BaseException) -> str:
    """Add to an unknown keyword of a class the keyword that was meant."""
    unknown = re.search(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if not unknown:
        return str(error)
    from personality import corpus, data, explanation, models

    offered = [getattr(part, name) for part in (corpus, data, models, explanation) for name in part.__all__]
    keywords = {
        keyword
        for kind in offered
        if inspect.isclass(kind) and any(base.__name__ == unknown[1] for base in kind.__mro__)
        for base in kind.__mro__[:-1]
        for keyword in inspect.signature(base).parameters
    }
    meant = difflib.get_close_matches(unknown[2], keywords, n=1)
    return f"{unknown[1]} has no word {unknown[2]!r}." + (f" Did you mean {meant[0]}?" if meant else "")


def run_folder(name: str, resume: bool) -> str:
    """Name a run's folder below `runs`: a new one, or to resume, the one of this name that was written to last."""
    if RUN not in os.environ:
        os.environ[RUN] = _new_or_last(name, resume)
    return os.environ[RUN]


def _new_or_last(name: str, resume: bool) -> str:
    runs = Path("runs", name)
    if resume:
        checkpoints = sorted(runs.glob("*/checkpoints/last.ckpt"), key=lambda path: path.stat().st_mtime)
        if checkpoints:
            return f"{name}/{checkpoints[-1].parent.parent.name}"
    moment = time.strftime("%Y-%m-%d_%H-%M-%S")
    return f"{name}/{moment}" if not (runs / moment).exists() else f"{name}/{moment}-{os.getpid()}"


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)

# What Lightning says on every run, whatever the run is.
warnings.filterwarnings("ignore", "The '.*dataloader' does not have many workers")  # batches come from a memory map
warnings.filterwarnings("ignore", "It is recommended to use .*sync_dist")  # metrics are the same in all processes
warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")  # its own call of torch 2.14
logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(  # advertisements for litlogger and litmodels
    lambda record: not record.getMessage().startswith("💡 Tip: For seamless cloud")
)
