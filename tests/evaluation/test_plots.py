"""Figures of results show the values of the tables."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from personality.evaluation import evaluate
from personality.evaluation.__main__ import main
from personality.evaluation.plots import draw_intervals, draw_results, draw_scores
from personality.traits import TRAITS


def predictions(clips=30, noise=0.05):
    rng = np.random.default_rng(0)
    names = pd.Index([f"source{number // 3}.{number:03d}.mp4" for number in range(clips)], name="clip")
    labels = pd.DataFrame(rng.random((clips, 5)), names, TRAITS)
    scores = labels + rng.normal(0, noise, labels.shape) if noise else labels * 0 + 0.5
    return scores.clip(0, 1).join(labels.add_suffix("_label")), labels


def test_points_are_scores_over_labels_and_the_dashes_are_the_mean_predictor():
    table, labels = predictions()
    table.iloc[0, 0] = np.nan
    axes = Figure().subplots()
    draw_scores(axes, table, "openness", labels, "red")
    (points,) = axes.collections
    assert np.allclose(points.get_offsets(), table[["openness_label", "openness"]].dropna())
    heights = [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == "--"]
    assert heights == pytest.approx([labels["openness"].mean()])
    assert f"{table['openness'].corr(table['openness_label']):.2f}" in axes.get_title()


def test_constant_scores_have_no_correlation_to_print():
    table, labels = predictions(noise=0)
    axes = Figure().subplots()
    draw_scores(axes, table, "openness", labels, "red")
    assert axes.get_title() == "openness"


def test_every_model_and_every_baseline_has_its_interval():
    labels = predictions()[1]
    results = {name: evaluate(predictions(noise=noise)[0], labels) for name, noise in [("sound", 0.05), ("faces", 0.2)]}
    axes = Figure().subplots()
    draw_intervals(axes, results, "skill")
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        *("mean predictor", "median predictor", "source lookup", "sound", "faces")
    ]
    for line, found in zip((6, 8), results.values(), strict=True):
        model = found.query("predictor == 'model' and metric == 'skill' and target == 'mean' and subset == 'all clips'")
        assert np.allclose(axes.lines[line].get_xdata(), model[["low", "high"]].to_numpy()[0])


def test_written_file_has_points_where_the_scores_are(tmp_path):
    table, labels = predictions()
    figure = draw_results(tmp_path / "a.png", {"sound": table}, labels)
    pixels = imread(tmp_path / "a.png")[::-1, :, :3]
    models, metrics = figure.subfigs
    assert [axes.get_title().split()[0] for axes in models.axes] == list(TRAITS)
    assert [axes.get_title() for axes in metrics.axes] == ["skill", "PCC", "CCC", "accuracy"]
    for axes, trait in zip(models.axes, TRAITS, strict=True):
        pairs = table[[f"{trait}_label", trait]].to_numpy()
        empty, *points = axes.transData.transform([(0.05, 0.95), *pairs]).astype(int)
        for x, y in points:  # lines are drawn over points, and cover a part of them
            red, _, blue = pixels[y - 2 : y + 3, x - 2 : x + 3].transpose()
            assert (blue - red).max() > 0.1
        assert (pixels[empty[1], empty[0]] == 1).all()


def test_from_the_command_line(tmp_path, capsys):
    table, labels = predictions()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        table.to_csv(tmp_path / name / "predictions_test.csv")
    labels.to_csv(tmp_path / "train.csv")
    names = ("a/predictions_test", "b/predictions_test")
    files = [str(tmp_path / f"{name}.csv") for name in names]
    assert main(["plot", *files, "-o", str(tmp_path / "c.png"), "--train", str(tmp_path / "train.csv")]) == 0
    draw_results(tmp_path / "d.png", dict.fromkeys(names, table), labels)
    np.testing.assert_array_equal(imread(tmp_path / "c.png"), imread(tmp_path / "d.png"))
    assert "Drew 2 models" in capsys.readouterr().out
    assert main(["plot", files[0], files[0], "-o", str(tmp_path / "c.png")]) == 2
    assert "Expected each file once" in capsys.readouterr().err


def test_a_clip_without_this_label_is_left_out_of_its_plot():
    table, labels = predictions()
    table.loc[table.index[3], "openness_label"] = np.nan
    axes = Figure().subplots()
    draw_scores(axes, table, "openness", labels, "red")
    assert len(axes.collections[0].get_offsets()) == len(table) - 1
