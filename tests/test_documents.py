"""What the documents tell people to type works."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from test_scripts import run

from personality.callbacks import SaveHeatmaps
from personality.data import SummarySpectrogram
from personality.evaluation.__main__ import COMMANDS, parser

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def code(page, language):
    """List a page's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(pages):
    """List every shell command of some pages once, as arguments, without comments and line breaks."""
    found = {}
    for page in pages:
        for line in "".join(code(page, "sh")).replace("\\\n", " ").splitlines():
            arguments = shlex.split(line, comments=True)
            if arguments:
                arguments = arguments[{"srun": 1, "uv": 2}.get(arguments[0], 0) :]
                found[" ".join(arguments)] = arguments
    return list(found.values())


EVERY_DAY = commands(PAGES[:1])  # those of the README; composing takes a second each
LINES = commands(PAGES)
SCRIPTS = [
    pytest.param(line, marks=() if line in EVERY_DAY else pytest.mark.slow, id=" ".join(line))
    for line in LINES
    if re.search(r"(train|explain|prepare|export)\.py$", " ".join(line[:2]))
]


def test_the_pages_have_commands():
    assert len(SCRIPTS) > 20


@pytest.mark.parametrize("command", SCRIPTS)
def test_a_command_composes(command, tmp_path):
    script, *arguments = [argument for argument in command if argument not in ("python", "-m")]
    script = script.removesuffix(".py")
    if "-m" in command:
        arguments = [text.split(",")[0] if "=" in text and "[" not in text else text for text in arguments]
    output = run(script, *arguments, "--cfg", "job", "--resolve", folder=tmp_path)
    assert "_target_: pytorch_lightning.Trainer" in output or script in ("prepare", "export")


def test_commands_of_the_evaluation_are_known():
    evaluations = [line[3:] for line in LINES if line[1:3] == ["-m", "personality.evaluation"]]
    assert {"compare", "plot", "leaderboard", "fuse", "calibrate"} < {arguments[0] for arguments in evaluations}
    for arguments in evaluations:
        default = [] if arguments[0] in COMMANDS else ["evaluate"]
        assert parser().parse_args([*default, *arguments])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_of_a_page_imports_what_exists(page):
    for block in code(page, "python"):
        compile(block, str(page), "exec")
        for line in re.findall(r"(?m)^(?:from|import) personality.*", block):
            exec(line, {})


def test_links_of_the_readme_lead_to_files():
    for page in (REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"):
        links = [link for link in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()) if "://" not in link]
        assert links
        assert all((REPOSITORY / link).exists() for link in links)


def test_the_model_of_the_documentation_trains_and_is_explained(corpus, loading, tmp_path, monkeypatch):
    page = REPOSITORY / "docs/adding.md"
    (source,), (yaml,) = code(page, "python"), code(page, "yaml")
    target = OmegaConf.create(yaml)._target_
    module = ModuleType(target.rpartition(".")[0])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(source, vars(module))
    monkeypatch.setattr("personality.models.wide_cnn", module, raising=False)
    for shape in ((10, 3, 224, 224), (1, 1, 30605), (1, 1, 1529, 26), (15, 1, 96, 64)):
        assert module.WideCNN(shape, width=0.25)(torch.zeros(1, *shape[1:])).shape == (1, 5)
    data = SummarySpectrogram(corpus, **loading)
    of_data = {"input_shape": data.input_shape, "modality": data.modality, "targets": data.targets}
    model = instantiate({"_target_": target}, **of_data, _convert_="all")
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path, callbacks=[SaveHeatmaps(top=1)], **quiet)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert (tmp_path / "heatmaps/test/openness.png").exists()
