"""Folds of the sample corpus: the whole is the single runs put together, also after kills."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
SMALL = [
    *("corpus.sizes=[12,6,6]", "corpus.seconds=2", "data.segments=2", "data.train_segments=2", "model.width=0.05"),
    *(
        "trainer.max_epochs=2",
        "folds=3",
        "logger=[csv]",
        "trainer.enable_progress_bar=false",
        "callbacks.heatmaps.top=2",
    ),
]


def train(folder, *overrides, stop_at=None):
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, f"corpus.root={folder}/sample", *overrides]
    output = []
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout:
            output.append(line)
            if stop_at and stop_at in line:
                process.kill()
                return
    assert process.returncode == 0, "".join(output[-30:])


@pytest.mark.slow
def test_the_whole_is_the_single_runs_put_together(tmp_path):
    for fold in range(3):
        train(tmp_path, f"fold={fold}", f"hydra.run.dir=single/fold_{fold}")
    tables = [pd.read_csv(tmp_path / f"single/fold_{fold}/predictions_test.csv", dtype=str) for fold in range(3)]
    by_hand = pd.concat(tables).sort_values("clip").to_csv(index=False)

    for fold in (1, 2):
        train(tmp_path, "hydra.run.dir=whole", "resume=true", stop_at=f"Fold {fold} of 3")
        assert not (tmp_path / "whole/predictions_all.csv").exists()
    train(tmp_path, "hydra.run.dir=whole", "resume=true")
    whole = tmp_path / "whole"
    assert (whole / "predictions_all.csv").read_text() == by_hand
    assert len(by_hand.splitlines()) == 25
    results = pd.read_csv(whole / "results_all.csv")
    assert set(results["subset"]) == {"all clips", "new sources"}
    assert (results["clips"] == 24).all()
    index = pd.read_csv(whole / "heatmaps/all/index.csv")
    assert (index.groupby("trait").size() == 2).all()
    assert all((whole / "heatmaps/all" / picture).is_file() for picture in index["picture"])
    for trait in set(index["trait"]):
        assert (whole / f"heatmaps/all/{trait}.png").stat().st_size > 10_000
    assert "<html" in (whole / "report.html").read_text()
