"""The notebooks run from top to bottom, and carry no outputs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))


def test_notebooks_run(tmp_path):
    for notebook in NOTEBOOKS:
        shutil.copy(notebook, tmp_path)
    words = (
        "-o",
        "addopts=",
        "--nbmake",
        "--nbmake-timeout=400",
        f"--rootdir={tmp_path}",
        "-p",
        "no:cacheprovider",
        "-q",
    )
    done = subprocess.run([sys.executable, "-m", "pytest", *words, "."], cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{len(NOTEBOOKS)} passed" in done.stdout


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_carries_no_outputs_and_defines_next_to_nothing(notebook):
    cells = [cell for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells)
    assert sum("".join(cell["source"]).count("def ") for cell in cells) <= 1
