"""The notebooks run from top to bottom and carry no outputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
def test_notebooks_run(tmp_path):
    for notebook in NOTEBOOKS:
        shutil.copy(notebook, tmp_path)
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "--nbmake", "--nbmake-timeout=400"]
    command += [f"--rootdir={tmp_path}", "-p", "no:cacheprovider", "-q", "."]
    result = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True)
    assert result.returncode == 0, result.stdout[-4000:]
    assert f"{len(NOTEBOOKS)} passed" in result.stdout


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_few_functions(notebook):
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    assert sum("".join(cell["source"]).count("def ") for cell in cells) <= 1
