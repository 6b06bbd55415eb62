"""A video of 15 s: from a cold start, beside the import of Lightning, and in a program that runs already."""

import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest
from pytorch_lightning import Trainer
from rows import QUIET, beside

import personality
from personality.app.scoring import score
from personality.corpus import SampleCorpus
from personality.data import ClipSpectrogram
from personality.models import CamCNN

SCRIPT = Path(__file__).parents[2] / "explain.py"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A checkpoint of the default model of the sample corpus, and a video."""
    folder = tmp_path_factory.mktemp("one")
    corpus = SampleCorpus(folder / "corpus", sizes=(6, 3, 3))
    data = ClipSpectrogram(corpus, cache=str(folder / "cache"), processes=0, batch_size=2)
    trainer = Trainer(accelerator="cpu", max_epochs=1, default_root_dir=folder, **QUIET)
    trainer.fit(CamCNN(data.input_shape, width=0.25, batch_norm=True), data)
    trainer.save_checkpoint(folder / "best.ckpt")
    return folder / "best.ckpt", corpus.clips("test").path.iloc[0]


def test_from_a_cold_start(benchmark, saved, tmp_path):
    def run(*arguments):
        subprocess.run([sys.executable, *map(str, arguments)], cwd=tmp_path, check=True, capture_output=True)

    beside(benchmark, lambda: run(SCRIPT, *saved), lambda: run("-c", "import pytorch_lightning"), rounds=5)


def test_in_a_program_that_runs(benchmark, saved, tmp_path):
    checkpoint, video = saved
    predictor, numbers = personality.load(checkpoint), count()

    def explained():
        folder = tmp_path / str(next(numbers))
        folder.mkdir()
        return score(predictor, Path(video), "best.ckpt", "key", folder, "cpu", lambda *_: None)

    assert benchmark.pedantic(explained, rounds=5, warmup_rounds=1).report.exists()
