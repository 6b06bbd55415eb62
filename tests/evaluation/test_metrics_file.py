"""The table of measures of a run that broke off and went on."""

import pandas as pd
import pytest

from personality.evaluation import MetricsFile


def log(folder, epoch, **measures):
    logger = MetricsFile(folder, name=None, version="")
    logger.log_metrics({"epoch": epoch, **measures}, step=epoch)
    logger.save()
    return pd.read_csv(folder / "metrics.csv")


def test_a_resumed_run_goes_on_with_its_table(tmp_path):
    log(tmp_path, 0, loss=0.5)
    log(tmp_path, 1, loss=0.4)
    table = log(tmp_path, 2, loss=0.3, skill=0.1)
    assert table.epoch.tolist() == [0, 1, 2]
    assert table.loss.tolist() == [0.5, 0.4, 0.3]
    assert table.skill.dropna().tolist() == [0.1]
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.csv"]


def test_a_table_that_a_killed_process_put_aside_comes_back(tmp_path):
    log(tmp_path, 0, loss=0.5)
    (tmp_path / "metrics.csv").rename(tmp_path / ".metrics.csv")
    assert log(tmp_path, 1, loss=0.4).epoch.tolist() == [0, 1]


@pytest.mark.parametrize("text", ["", "epoch,loss,step\n"])
def test_an_empty_table_is_no_obstacle(tmp_path, text):
    (tmp_path / "metrics.csv").write_text(text)
    assert log(tmp_path, 1, loss=0.4).epoch.tolist() == [1]
