"""What the documents tell people to type works."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hydra.utils import instantiate
from pytorch_lightning import Trainer
from test_scripts import run

from personality.data import SummarySpectrogram
from personality.evaluation.__main__ import parser
from personality.explanation import SaveHeatmaps

HOUSE = Path(__file__).parents[1]


def commands():
    """Every line of the README's shell examples, a line that goes on taken together, comments cut off."""
    for block in re.findall(r"```sh\n(.*?)```", (HOUSE / "README.md").read_text(), re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words:
                yield words[{"srun": 1, "uv": 2}.get(words[0], 0) :]


LINES = [*commands()]
SCRIPTS = [line for line in LINES if re.search(r"(train|explain|prepare)\.py$", " ".join(line[:2]))]


def test_the_readme_has_examples():
    assert len(SCRIPTS) > 10


@pytest.mark.parametrize("line", SCRIPTS, ids=" ".join)
def test_a_command_of_the_readme_composes(line, tmp_path):
    script, *words = [word for word in line if word not in ("python", "-m")]
    script = script.removesuffix(".py")
    if "-m" in line:
        words = [word.split(",")[0] if "=" in word and "[" not in word else word for word in words]
    said = run(script, *words, "--cfg", "job", "--resolve", folder=tmp_path)
    assert "_target_: pytorch_lightning.Trainer" in said or script == "prepare"


def test_commands_of_the_evaluation_are_known():
    lines = [line for line in LINES if line[1:3] == ["-m", "personality.evaluation"]]
    assert len(lines) >= 2
    for line in lines:
        assert parser().parse_args(line[3:])


def test_the_model_of_the_contributing_page_trains_and_is_explained(corpus, loading, tmp_path, monkeypatch):
    page = (HOUSE / "CONTRIBUTING.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (target,) = re.findall(r"`_target_: (.*?)`", page)
    module = ModuleType(target.rpartition(".")[0])
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(code, vars(module))
    monkeypatch.setattr("personality.models.wide_cnn", module, raising=False)
    for shape in ((10, 3, 224, 224), (1, 1, 30605), (1, 1, 1529, 26), (15, 1, 96, 64)):
        assert module.WideCNN(shape, width=0.25)(torch.zeros(1, *shape[1:])).shape == (1, 5)
    data = SummarySpectrogram(corpus, **loading)
    model = instantiate({"_target_": target}, input_shape=data.input_shape, targets=data.targets)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = Trainer(max_epochs=1, default_root_dir=tmp_path, callbacks=[SaveHeatmaps(top=1)], **quiet)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert (tmp_path / "heatmaps/test/openness.png").exists()
