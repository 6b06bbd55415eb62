"""The commands start in any folder, from the source tree and from an installed wheel."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMMANDS = PROJECT["project"]["scripts"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The content of the wheel: the packages, and what pyproject.toml adds to them."""
    folder = tmp_path_factory.mktemp("installed")
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    for name in wheel["packages"]:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for source, target in wheel["force-include"].items():
        shutil.copytree(ROOT / source, folder / target)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("origin", ["source tree", "wheel"])
def test_a_command_composes_its_configuration_in_any_folder(command, origin, installed, tmp_path):
    module, _, function = COMMANDS[command].partition(":")
    path = installed if origin == "wheel" else ROOT
    start = f"import sys, {module} as module; print(module.__file__, file=sys.stderr); module.{function}()"
    environment = os.environ | {"PYTHONPATH": str(path)}
    process = subprocess.run(
        [sys.executable, "-c", start, "--cfg", "job"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr.startswith(f"{path}{os.sep}")
    assert ("_target_: personality.explanation" in process.stdout) == (
        command in ("personality-train", "personality-explain")
    )
    assert ("run: ${hydra:runtime.output_dir}" in process.stdout) == (command != "personality-app")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("script", ["train", "explain", "prepare", "export"])
def test_a_script_of_the_source_tree_is_its_command(script, tmp_path):
    assert COMMANDS[f"personality-{script}"] == f"personality.scripts.{script}:main"
    process = subprocess.run(
        [sys.executable, str(ROOT / f"{script}.py"), "--cfg", "job"], cwd=tmp_path, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert "run: ${hydra:runtime.output_dir}" in process.stdout
    assert ("checkpoint: ???" in process.stdout) == (script in ("explain", "export"))
    assert ("shard:" in process.stdout) == (script == "prepare")
