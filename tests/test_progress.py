"""Progress in plain lines, where the output is no terminal."""

import pytest
from test_scripts import run

from personality.progress import progress


def test_work_without_a_terminal_prints_a_line_at_the_start_and_at_the_end(capsys):
    assert list(progress("abc", "Reading", 3, "clips")) == ["a", "b", "c"]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("Reading: 0 of 3 clips, 00:00 elapsed")
    assert last.startswith("Reading: 3 of 3 clips, 00:00 elapsed")


def test_work_that_was_begun_continues_its_count(capsys):
    assert list(progress("abc", "Reading", 10, "clips", 7)) == ["a", "b", "c"]
    first, last = capsys.readouterr().err.splitlines()
    assert first.startswith("Reading: 7 of 10 clips")
    assert last.startswith("Reading: 10 of 10 clips")


@pytest.mark.slow
def test_the_log_of_a_training_has_lines_instead_of_bars(tmp_path):
    short = ["trainer.max_epochs=2", "model.width=0.1", "callbacks.heatmaps.top=1"]
    output = run("train", "corpus.sizes=[6,3,3]", "corpus.seconds=4", *short, folder=tmp_path)
    assert "\r" not in output
    assert "\x1b" not in output
    stands = ["Making the sample corpus: 12 of 12 clips", "Features of train: 6 of 6 clips"]
    stands += ["Epoch 1 of 2", "Epoch 2 of 2", "Scoring the 3 clips of test", "Heatmaps of test: 5 of 5 traits"]
    places = [output.index(line) for line in stands]
    assert places == sorted(places)
