"""What the scripts share: configuration, help, run folders, and errors as one paragraph."""

import difflib
import functools
import inspect
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from personality.scripts.arguments import to_overrides

HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf").exists() else HERE.parents[1] / "conf"
"""The configuration: beside this file in an installed wheel, at the top of the source tree."""
RUN = "PERSONALITY_RUN"
"""The environment variable with the folder of the current run, for all of its processes."""
LOGGERS = ("wandb", "mlflow")
"""Those that an extra of the same name brings."""
CONTINUE = {
    "train": "; resume=true continues after the last complete epoch, with the same results",
    "prepare": "; the same command continues with the next clip",
}
"""How to continue a script that was stopped."""


def command(name: str, paths: bool = False) -> Callable[[Callable[[DictConfig], Any]], Callable[[], None]]:
    """Make a script of a function, which is called with the configuration composed from `conf/<name>.yaml`.

    Args:
        name: Name of the script.
        paths: Whether plain arguments are paths: of a checkpoint and of videos.
    """

    def decorate(function: Callable[[DictConfig], Any]) -> Callable[[], None]:
        @functools.wraps(function)
        def run() -> None:
            groups = {path.name for path in CONF.iterdir() if path.is_dir()}
            known = {str(key) for key in OmegaConf.load(CONF / f"{name}.yaml")} | groups | {"hydra"} if paths else None
            options, overrides = to_overrides(name, sys.argv[1:], known)
            sys.argv[1:] = options + overrides
            if {"--help", "-h"} & {*options} and not any(option.startswith("--config-") for option in options):
                print(_help(name, overrides, inspect.getmodule(function).__doc__ or ""))
                return
            call = functools.wraps(function)(functools.partial(_call, name, function))
            try:
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=name)(call)()
            except SystemExit as end:
                _suggest(end.__context__)
                raise

        return run

    return decorate


def _call(name: str, function: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """Call a script's function; end with one paragraph if an error is not a defect of the code."""
    try:
        OmegaConf.to_container(config, resolve=True)  # report a wrong interpolation before anything takes long
        return function(config)
    except (KeyboardInterrupt, SystemExit) as end:
        if type(end) is SystemExit and not isinstance(end.__context__, KeyboardInterrupt):
            raise  # the reason has been reported; Lightning exits in this way after Ctrl-C
        sys.exit(f"\n{name}: stopped. What is finished stays{CONTINUE.get(name, '')}.")
    except (
        InstantiationException,
        MissingMandatoryValue,
        ValueError,
        OSError,
        ImportError,
        FloatingPointError,
    ) as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        reason = error.__cause__ if isinstance(error, InstantiationException) and error.__cause__ else error
        if isinstance(error, MissingMandatoryValue):
            reason = ValueError(
                f"{error.full_key} is not set. Expected a value: add {error.full_key}=VALUE; see --help."
            )
        for extra in LOGGERS:
            if isinstance(reason, ImportError) and f"'{extra}" in str(reason):
                reason = ImportError(f"The logger {extra} is not installed. Run `uv sync --extra {extra}`.")
        sys.exit(f"\n{name}: {reason}\n(HYDRA_FULL_ERROR=1 shows where in the code.)")
    except RuntimeError as error:
        import torch.distributed  # here, because a wrong argument is reported without the seconds of this import

        if os.environ.get("HYDRA_FULL_ERROR") == "1" or not torch.distributed.is_initialized():
            raise
        sys.exit(
            f"\n{name}: {error}\nThis run has several processes, and this error often means that another one ended: "
            "see its message above or its log. Without a message it was killed, probably because memory was short"
            f"{CONTINUE.get(name, '')}. (HYDRA_FULL_ERROR=1 shows where in the code.)"
        )
    finally:
        os.environ.pop(RUN, None)  # the next run of a sweep has a folder of its own


def _suggest(error: BaseException | None) -> None:
    """Print the setting that is most like an unknown one. Hydra has reported the error."""
    cause = error and error.__cause__
    if not isinstance(cause, OmegaConfBaseException) or not isinstance(cause.parent_node, DictConfig):
        return
    parent, _, _ = str(cause.full_key).rpartition(".")
    known = [str(key) for key in cause.parent_node] + ([] if parent else ["experiment"])
    for key in difflib.get_close_matches(str(cause.key), known, n=1):
        print(f"Did you mean {f'{parent}.{key}' if parent else key}? --help lists all settings.", file=sys.stderr)


def _help(name: str, overrides: list[str], about: str) -> str:
    """Describe a script, its groups, and the settings of the chosen yamls."""
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            chosen = GlobalHydra.instance().config_loader().compute_defaults_list(name, overrides, RunMode.RUN)
        except HydraException as error:
            sys.exit(f"{name}: {error}")
    groups = [path for path in sorted(CONF.iterdir()) if path.is_dir()]
    options = [f"  {group.name}: {', '.join(sorted(file.stem for file in group.glob('[!_]*')))}" for group in groups]
    files = dict.fromkeys(CONF / f"{entry.config_path}.yaml" for entry in chosen.defaults)
    texts = [
        f"## {file.relative_to(CONF)}\n{file.read_text(encoding='utf-8').strip()}" for file in files if file.exists()
    ]
    return "\n\n".join(
        [
            about.strip(),
            "Groups (group=choice; callbacks, experiment and logger take several: [a,b]):\n" + "\n".join(options),
            "Settings of the chosen files (group.setting=value, such as model.lr=0.01; --help data=face_frames shows\n"
            "those of another choice). Where a setting is listed twice, the later one counts.",
            *texts,
            "--cfg job prints the composed configuration, --hydra-help the options of Hydra.",
        ]
    )


def run_folder(name: str, resume: bool) -> str:
    """Name a run's folder below `runs`: a new one, or to resume, the folder `name` that was written to last."""
    if RUN not in os.environ:
        os.environ[RUN] = _new_or_last(name, resume)
    return os.environ[RUN]


def _new_or_last(name: str, resume: bool) -> str:
    runs = Path("runs", name)
    if resume:
        checkpoints = [*runs.glob("*/checkpoints/last.ckpt"), *runs.glob("*/fold_*/checkpoints/last.ckpt")]
        if checkpoints:
            newest = max(checkpoints, key=lambda path: path.stat().st_mtime)
            return f"{name}/{newest.relative_to(runs).parts[0]}"
    moment = time.strftime("%Y-%m-%d_%H-%M-%S")
    return f"{name}/{moment}" if not (runs / moment).exists() else f"{name}/{moment}-{os.getpid()}"


OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
OmegaConf.register_new_resolver("in_terminal", lambda: sys.stderr.isatty(), replace=True)

# Settings of a checkpoint that explain.py changes: any key may be set.
ConfigStore.instance().store(
    "changes", {part: OmegaConf.create({}, flags={"struct": False}) for part in ("corpus", "data")}
)

# Messages that Lightning prints in every run.
warnings.filterwarnings("ignore", "The '.*dataloader' does not have many workers")  # batches come from a memory map
warnings.filterwarnings("ignore", "It is recommended to use .*sync_dist")  # metrics are the same in all processes
warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated")  # its own call of torch 2.14
logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(  # advertisements for litlogger and litmodels
    lambda record: not record.getMessage().startswith("💡 Tip: For seamless cloud")
)
