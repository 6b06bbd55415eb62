"""A yaml lists every setting of its class, with the class's default and a comment; an experiment only what differs."""

import inspect
import re
from functools import cache
from importlib import import_module

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from personality.scripts.command_line import CONF

GROUPS = ("callbacks", "cam", "corpus", "data", "logger", "model", "trainer")
CHOICES = [(group, file.stem) for group in GROUPS for file in sorted((CONF / group).glob("[!_]*.yaml"))]
EXPERIMENTS = sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))

FILLED_IN = {
    "cam": {"model", "inputs", "baseline"},
    "data": {"corpus", "extract", "input_shape", "stored_shape", "extra_arrays", "dtype", "targets", "test_split"},
    "logger": {"experiment"},
    "model": {"input_shape", "modality", "targets", "inputs"},
}
"""Parameters that the code passes, not the configuration."""
TRAINER = {"max_epochs", "deterministic", "log_every_n_steps", "plugins"}
OTHER_VALUES = {
    "callbacks/best": {"filename", "monitor", "mode", "save_on_train_epoch_end", "enable_version_counter"},
    "callbacks/last": {"filename", "save_on_train_epoch_end", "enable_version_counter"},
    "callbacks/heatmaps": {"average"},
    "logger/csv": {"name", "version"},
    "logger/tensorboard": {"name", "version"},
    "logger/wandb": {"project"},
    "logger/mlflow": {"experiment_name"},
    "model/dan_plus": {"plus"},
    "trainer/default": TRAINER,
    "trainer/ddp": TRAINER | {"accelerator", "devices", "strategy"},
    "trainer/ddp_cpu": TRAINER | {"accelerator", "devices", "strategy"},
}
"""Settings with another value than the default of their class."""


@cache
def composed(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("train", [*overrides]))


def choice_of(group, name):
    """The composed settings of a yaml, without any experiment."""
    choice = f"[{name}]" if group in ("callbacks", "logger") else name
    config = composed(f"{group}={choice}", "experiment=[]")[group]
    return config[name] if group in ("callbacks", "logger") else config


def parameters(target):
    """Names and defaults of a function or class; of a class that passes **kwargs on, those of its base as well."""
    module, _, name = target.rpartition(".")
    found = getattr(import_module(module), name)
    constructors = [found]
    if inspect.isclass(found):
        constructors = [base.__init__ for base in found.__mro__[:-1] if "__init__" in vars(base)]
    defaults = {}
    for function in constructors:
        own = [each for each in inspect.signature(function).parameters.values() if each.name != "self"]
        defaults = {each.name: each.default for each in own if each.kind is not each.VAR_KEYWORD} | defaults
        if all(each.kind is not each.VAR_KEYWORD for each in own) or not target.startswith("personality."):
            break
    return defaults


def plain(value):
    return [*value] if isinstance(value, tuple) else value


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_a_yaml_lists_every_setting_of_its_class_and_no_other(group, name):
    config = choice_of(group, name)
    followed = {"seed"} if group in ("data", "model") else set()  # the run's seed
    known = set(parameters(config["_target_"])) - FILLED_IN.get(group, set()) - followed
    assert {setting for setting in config if not setting.startswith("_")} - followed == known


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_a_yaml_lists_the_default_of_every_setting(group, name):
    config = choice_of(group, name)
    listed = {key: value for key, value in config.items() if not key.startswith("_") and "${" not in str(value)}
    defaults = {key: plain(parameters(config["_target_"])[key]) for key in listed}
    required = {key for key, default in defaults.items() if default is inspect.Parameter.empty}
    other = {key for key in listed if key not in required and listed[key] != defaults[key]}
    assert other == OTHER_VALUES.get(f"{group}/{name}", set())
    assert all(listed[key] == "???" for key in required - {"parts"})


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_setting_has_a_comment(group, name):
    text = "\n".join(file.read_text() for file in [*(CONF / group).glob("_*.yaml"), CONF / group / f"{name}.yaml"])
    if group == "trainer":
        text += (CONF / "trainer/default.yaml").read_text()
    if group == "model":
        text += (CONF / "model/dan.yaml").read_text()  # which dan_plus changes
    for setting, value in choice_of(group, name).items():
        if not setting.startswith("_") and "${" not in str(value) and setting not in ("filename", "plugins"):
            assert re.search(rf"^ *{setting}: .*  # \w", text, re.MULTILINE), setting


@pytest.mark.parametrize("experiment", [name for name in EXPERIMENTS if name != "sample"])  # it overrides the others
def test_an_experiment_lists_only_what_differs(experiment):
    text = (CONF / "experiment" / f"{experiment}.yaml").read_text()
    choices = re.findall(r"override /(\w+): (\w+)", text)
    config = composed("experiment=[]", *("=".join(choice) for choice in choices))
    settings = OmegaConf.to_container(OmegaConf.create(text))
    for group in {"data", "model", "trainer"} & set(settings):
        for setting, value in settings[group].items():
            assert setting in config[group]
            assert value != config[group][setting]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("size", ["", ",sample"])
def test_an_experiment_composes_and_builds(experiment, size, tmp_path):
    if experiment == "wavlm" and size:
        pytest.skip("a published network is never small")
    small = [] if experiment == "wavlm" else ["model.width=0.02"]
    overrides = [f"experiment=[{experiment}{size}]", *small, f"corpus.root={tmp_path}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", overrides)
    (tmp_path / "numbers.csv").write_text("clip,pitch,loudness\na.mp4,200,-20\n")
    for part in (config.data, *filter(None, config.data.get("parts", {}).values())):
        if OmegaConf.is_missing(part, "files"):
            part.files = str(tmp_path / "numbers.csv")
    data = instantiate(config.data, corpus=instantiate(config.corpus, _convert_="all"), _convert_="all")
    model = instantiate(config.model, **data.model_arguments, _convert_="all")
    assert model.input_shape == data.model_arguments.get("input_shape", ())
    assert model.seed == data.seed == config.seed
    assert callable(instantiate(config.cam, _convert_="all"))
