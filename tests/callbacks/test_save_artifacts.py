"""The files of a run as artefacts, offline: in the file of wandb, and in a folder of MLflow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXPECTED = ["heatmaps/test/openness.png", "report.html", "results_test.csv", "results_test.txt"]
pytestmark = pytest.mark.slow  # a whole run each


def train(corpus, folder, *overrides):
    """Run the script in a process of its own: trackers start threads, which a fork would not survive."""
    small = ["trainer.max_epochs=1", "model.width=0.1", "callbacks.heatmaps.top=1"]
    data = [f"corpus.root={corpus.root}", f"corpus.sizes=[{','.join(map(str, corpus.sizes))}]", "corpus.seconds=4"]
    own = {f"WANDB_{name}_DIR": str(folder / name) for name in ("CACHE", "CONFIG", "DATA")}
    process = subprocess.run(
        [sys.executable, ROOT / "train.py", *data, *small, *overrides],
        cwd=folder,
        env=os.environ | own | {"MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    (run,) = folder.glob("runs/*/*")
    return run


def test_wandb_gets_the_files_of_a_run_offline(corpus, tmp_path):
    pytest.importorskip("wandb", reason="needs `uv sync --extra wandb`")
    run = train(corpus, tmp_path, "logger=wandb", "logger.wandb.offline=true")
    (written,) = run.glob("wandb/offline-run-*/*.wandb")
    content = written.read_bytes()
    assert all(name.encode() in content for name in (*EXPECTED, "val/skill"))


@pytest.mark.filterwarnings("ignore:.*noload.* loader strategy")  # MLflow 3.17 under SQLAlchemy 2.1
def test_mlflow_gets_the_files_of_a_run(corpus, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="needs `uv sync --extra mlflow`")
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    run = train(corpus, tmp_path, "logger=[csv,mlflow]", f"logger.mlflow.tracking_uri={store}")
    (found,) = mlflow.MlflowClient(store).search_runs(["1"])
    assert "val/skill" in found.data.metrics
    folder = Path(found.info.artifact_uri.removeprefix("file://"))
    for name in EXPECTED:
        assert (folder / name).read_bytes() == (run / name).read_bytes()
