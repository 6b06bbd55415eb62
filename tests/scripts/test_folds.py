"""Folds: the whole is the single runs put together, also after kills; several processes write one result."""

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
SHORT = [
    *("data.segments=1", "data.train_segments=1", "data.processes=0", "model.width=0.05", "trainer.max_epochs=2"),
    *("trainer.enable_progress_bar=false", "logger=[csv]"),
]
SAMPLE = [*SHORT, "folds=5", "corpus.root=sample", "corpus.sizes=[12,6,6]", "corpus.seconds=1"]
HEATMAPS = ["callbacks.heatmaps.top=2", "callbacks.heatmaps.average=false"]
NO_PICTURES = ["callbacks=[best,last,finite_loss,metrics,results]"]


def train(folder, *overrides, stop_at=None):
    command, output = [sys.executable, str(ROOT / "train.py"), *overrides], []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # quicker for models as small as these
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, cwd=folder, env=environment, text=True, **pipes) as process:
        for line in process.stdout:
            output.append(line)
            if stop_at and stop_at in line:
                process.kill()
                return
    assert process.returncode == 0, "".join(output[-30:])


@pytest.mark.slow
def test_the_whole_is_the_single_runs_put_together(tmp_path):
    jobs = "--multirun", "fold=0,1,2,3,4", "hydra.sweep.dir=single", "hydra.sweep.subdir=fold_${fold}"
    train(tmp_path, *SAMPLE, *NO_PICTURES, *jobs)
    tables = [pd.read_csv(tmp_path / f"single/fold_{fold}/predictions_test.csv", dtype=str) for fold in range(5)]
    by_hand = pd.concat(tables).sort_values("clip").to_csv(index=False)

    whole = tmp_path / "whole"
    for fold in (1, 3):
        train(tmp_path, *SAMPLE, *HEATMAPS, f"hydra.run.dir={whole}", "resume=true", stop_at=f"Fold {fold} of 5")
        assert not (whole / "predictions_all.csv").exists()
    train(tmp_path, *SAMPLE, *HEATMAPS, f"hydra.run.dir={whole}", "resume=true")
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


@pytest.mark.slow
def test_one_of_two_processes_puts_the_folds_together(tmp_path):
    rng, rows = np.random.default_rng(0), []
    for subject in range(8):
        for take in range(3):
            with wave.open(str(tmp_path / f"subject{subject:02d}_take{take}.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(rng.integers(-9999, 9999, 8000).astype("<i2").tobytes())
            rows.append((f"subject{subject:02d}_take{take}.wav", *rng.integers(1, 8, 2), "fm"[subject % 2]))
    pd.DataFrame(rows, columns=["path", "warmth", "competence", "gender"]).to_csv(tmp_path / "own.csv", index=False)
    own = "corpus=table", "corpus.file=own.csv", "corpus.group=prefix", "corpus.attributes=[gender]"
    train(tmp_path, *own, *SHORT, *NO_PICTURES, "folds=3", "trainer=ddp_cpu")
    (run,) = tmp_path.glob("runs/*/*")
    assert len(pd.read_csv(run / "predictions_all.csv")) == 24
    for fold in range(3):
        assert (run / f"fold_{fold}/fold.json").exists()
        learnt, tested = (pd.read_csv(run / f"fold_{fold}/{name}.csv") for name in ("labels_train", "predictions_test"))
        assert not set(learnt["group"]) & set(tested["group"])
    skills = pd.read_csv(run / "fairness_all.csv").query("metric == 'skill' and subset == ['f', 'm']")
    assert len(skills) == 2 * 3
    assert skills["value"].notna().all()
    first, second = (run / f"{name}.log" for name in ("train", "train_ddp_process_1"))
    assert "The all split" in first.read_text()
    assert "The all split" not in second.read_text()
