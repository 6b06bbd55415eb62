"""How the house is built: who imports whom, how long a file may be, and that every yaml is sound."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

HOUSE = Path(__file__).parents[1]
FILES = sorted((HOUSE / "personality").rglob("*.py"))
CONF = HOUSE / "conf"
GROUPS = ("corpus", "data", "model", "cam", "logger", "trainer")

ALLOWED = {
    "traits": [],
    "memory": [],
    "atomic": [],
    "pickles": [],
    "tables": ["traits", "pickles"],
    "features": ["traits", "atomic"],
    "corpus": ["traits", "atomic", "tables", "pickles", "features.media", "features.encoding"],
    "data": ["traits", "corpus", "features"],
    "models": ["traits", "atomic", "evaluation.metrics"],
    "evaluation": ["traits", "atomic", "tables"],
    "explanation": ["traits", "atomic", "evaluation"],
    "callbacks": ["traits", "evaluation", "explanation"],
}
"""What a wing may import besides itself."""
ALL_TOGETHER = ("predictor", "scripts", "__init__")
"""What brings wings together."""
DRAWING = ["explanation.pictures", "explanation.average", "evaluation.plots"]


def module(file):
    return ".".join(file.relative_to(HOUSE).with_suffix("").parts)


def imports(file):
    """All that a file imports, wherever in it, as full names: `from a import b` is `a.b`."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name, rooms):
    return any(f"{name}.".startswith(f"{room}.") for room in rooms)


@pytest.mark.parametrize("file", FILES, ids=module)
def test_a_room_imports_only_from_its_neighbours(file):
    wing = module(file).split(".")[1]
    assert wing in {*ALLOWED, *ALL_TOGETHER}
    if wing in ALLOWED:
        rooms = [f"personality.{room}" for room in [wing, *ALLOWED[wing]]]
        strangers = [name for name in imports(file) if within(name, ["personality"]) and not within(name, rooms)]
        assert not strangers


@pytest.mark.parametrize("file", sorted((HOUSE / "personality/features").glob("*.py")), ids=module)
def test_features_know_nothing_of_one_another_nor_of_lightning(file):
    ours = [name for name in imports(file) if within(name, ["personality"])]
    assert all(
        within(name, [f"personality.{module}" for module in ("traits", "atomic", "features.workers", "features.demux")])
        for name in ours
    )
    assert not any(within(name, ["pytorch_lightning", "lightning"]) for name in imports(file))


@pytest.mark.parametrize(
    ("library", "rooms"),
    [
        (["hydra", "omegaconf"], ["personality.scripts"]),
        (["matplotlib"], [f"personality.{room}" for room in DRAWING]),
        (["av"], [f"personality.features.{name}" for name in ("demux", "media", "encoding")]),
        (["torchcam", "captum", "sklearn", "skimage"], []),
    ],
)
def test_a_library_is_known_in_few_rooms(library, rooms):
    known = [module(file) for file in FILES if any(within(name, library) for name in imports(file))]
    assert all(within(name, rooms) for name in known)


@pytest.mark.parametrize("file", FILES, ids=module)
def test_a_file_is_short(file):
    assert len(file.read_text().splitlines()) < 400


def targets(node):
    """Every part of a configuration that names a class or function."""
    if OmegaConf.is_dict(node):
        if "_target_" in node:
            yield node
        for key in node:
            if not OmegaConf.is_missing(node, key):
                yield from targets(node._get_node(key))


def yamls():
    return [file for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]


def found(target):
    room, _, name = target.rpartition(".")
    return getattr(import_module(room), name)


def defaults(target):
    """Keywords and their defaults, those of base classes too, to whom `**words` are handed on."""
    callables = [base.__init__ for base in reversed(target.__mro__[:-1])] if inspect.isclass(target) else [target]
    words = {}
    for function in callables:
        words |= {name: each.default for name, each in inspect.signature(function).parameters.items()}
    return words


@pytest.mark.parametrize("file", [*yamls(), *sorted(CONF.glob("*.yaml"))], ids=lambda file: str(file.relative_to(CONF)))
def test_a_yaml_names_what_exists_and_repeats_no_default(file):
    loaded = OmegaConf.load(file)
    nodes = list(targets(loaded))
    assert nodes or "defaults" in loaded
    for node in nodes:
        known = defaults(found(node._target_))
        raw = OmegaConf.to_container(node, resolve=False)
        for word, value in raw.items():
            if not word.startswith("_"):
                assert word in known or "kwargs" in known, f"{node._target_} has no word {word}"
                assert value != known.get(word), f"{node._target_} has {word}={value} by default"


@pytest.mark.parametrize("experiment", sorted(file.stem for file in (CONF / "experiment").glob("*.yaml")))
@pytest.mark.parametrize("size", ["", ",sample"])
def test_an_experiment_composes_and_builds(experiment, size, tmp_path):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = [f"experiment=[{experiment}{size}]", "++model.width=0.02", f"++corpus.root={tmp_path}"]
        config = compose("train", words)
    data = instantiate(config.data, corpus=instantiate(config.corpus), _convert_="all")
    model = instantiate(config.model, input_shape=data.input_shape, targets=data.targets, _convert_="all")
    assert model.input_shape == data.input_shape
    assert model.seed == data.seed == config.seed
    assert callable(instantiate(config.cam, _convert_="all"))
