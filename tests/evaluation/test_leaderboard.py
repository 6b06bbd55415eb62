"""The leaderboard: every row on the same clips, paired differences, files of all formats, and a page to look at."""

import pickle
import re
import time

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from sklearn.metrics import mean_absolute_error, r2_score

from personality.evaluation import compare, leaderboard, write_predictions
from personality.evaluation.__main__ import main
from personality.evaluation.leaderboard import BASELINES, SHOWN, leaderboard_page, leaderboard_text
from personality.evaluation.plots import draw_leaderboard
from personality.evaluation.predictions import labels_of
from personality.traits import TRAITS, source_id

SCORES = list(TRAITS)
FILES = ["ours", "fstc", "challenge", "letters", "by_trait"]
"""From the least to the most noise."""


def labelled(sources, clips, rng):
    """Labels of clips, several of a source."""
    people = np.array([np.random.default_rng(source).normal(0.5, 0.12, 5) for source in sources])
    chosen = np.sort(rng.integers(len(sources), size=clips))
    names = [f"-s{sources[source]:08d}.{number % 1000:03d}.mp4" for number, source in enumerate(chosen)]
    labels = np.clip(people[chosen] + rng.normal(0, 0.08, (clips, 5)), 0, 1)
    return pd.DataFrame(labels, pd.Index(names, name="clip"), TRAITS)


def write_five_formats(folder, clips):
    """Write five files of different formats, and the labels of test and training as official pickles."""
    rng = np.random.default_rng(0)
    labels = labelled(range(clips // 3), clips, rng)
    train = labelled(range(clips // 10, clips), 3 * clips, rng)
    scores = {
        name: (0.5 * labels + 0.25 + rng.normal(0, noise, labels.shape)).clip(0, 1)
        for name, noise in zip(FILES, np.linspace(0.04, 0.12, 5), strict=True)
    }
    write_predictions(folder / "ours.csv", scores["ours"].join(labels.add_suffix("_label")))
    short = {clip: clip.removesuffix(".mp4") for clip in labels.index}
    fstc = scores["fstc"].rename(index=short).set_axis([f"pred_{trait[0].upper()}" for trait in TRAITS], axis=1)
    fstc.to_csv(folder / "fstc.csv", index_label="sample_id")
    values = {trait: f"Value{trait.capitalize()}".replace("roticism", "rotisicm") for trait in TRAITS}
    challenge = scores["challenge"].rename(columns=values).iloc[::-1]
    challenge.to_csv(folder / "challenge.csv", index_label="VideoName", sep=";", decimal=",", encoding="utf-8-sig")
    letters = scores["letters"].set_axis([trait[0].upper() for trait in TRAITS], axis=1)
    letters.to_csv(folder / "letters.tsv", sep="\t", encoding="utf-16")
    (folder / "by_trait").mkdir()
    for number, trait in enumerate(TRAITS):
        table = pd.DataFrame({"Prediction": scores["by_trait"][trait], "GroundTruth": labels[trait]})
        table.to_csv(folder / "by_trait" / f"test_{number}.csv", index=False)
    for name, table in [("annotation_test.pkl", labels), ("annotation_training.pkl", train)]:
        (folder / name).write_bytes(pickle.dumps(table.to_dict(), protocol=2))
    arguments = [folder / name for name in ("letters.tsv", "by_trait", "ours.csv", "challenge.csv", "fstc.csv")]
    arguments += ["--labels", folder / "annotation_test.pkl", "--train", folder / "annotation_training.pkl"]
    return [*map(str, arguments)], labels, train, scores


@pytest.fixture
def models(predictions):
    """Three models; the second lacks the first five clips, and the third is the best."""
    close, short = predictions.copy(), predictions.copy()
    close[SCORES] = 0.7 * labels_of(predictions) + 0.15
    short[SCORES] = short[SCORES] + 0.05
    return {"wide": predictions, "short": short.iloc[5:], "close": close}


def of(table, predictor, subset="all clips", target="mean"):
    """The values of a predictor by metric."""
    part = table[(table.predictor == predictor) & (table.subset == subset) & (table.target == target)]
    return part.set_index("metric")


def test_five_files_of_2000_clips_have_the_metrics_of_their_scores_in_ten_seconds(tmp_path, capsys):
    arguments, labels, train, scores = write_five_formats(tmp_path, 2000)
    start = time.process_time()  # of this process alone, whatever else the machine does
    assert main(["leaderboard", *arguments, "-o", str(tmp_path / "made" / "board")]) == 0
    assert time.process_time() - start < 10
    folder = tmp_path / "made" / "board"
    assert {file.name for file in folder.iterdir()} == {f"leaderboard.{end}" for end in ("csv", "txt", "html", "png")}
    assert (folder / "leaderboard.txt").read_text(encoding="utf-8") in capsys.readouterr().out
    table = pd.read_csv(folder / "leaderboard.csv")
    assert set(table.predictor) == {*FILES, *BASELINES}
    new = ~labels.index.map(source_id).isin(train.index.map(source_id))
    for subset, inside in {"all clips": new | ~new, "known sources": ~new, "new sources": new}.items():
        part = table[table.subset == subset]
        truth = labels[inside]
        assert set(part.clips) == set(part.labelled) == {len(truth)}
        assert set(part.sources) == {truth.index.map(source_id).nunique()}
        assert set(part.missing) == {0}
        found = part[(part.metric == "accuracy") & (part.target == "mean")]
        assert found.value.is_monotonic_decreasing
        assert set(part.best) == {found[~found.predictor.isin(BASELINES)].predictor.iloc[0]} == {"ours"}
        for name in FILES:
            metrics, score = of(table, name, subset).value, scores[name][inside]
            error, reference = ((truth - each).abs().mean() for each in (score, train.mean()))
            expected = {
                "accuracy": 1 - mean_absolute_error(truth, score),
                "skill": (1 - error / reference).mean(),
                "pcc": score.corrwith(truth).mean(),
                "r2": r2_score(truth, score),
                "std_ratio": (score.std() / truth.std()).mean(),
            }
            assert metrics[[*expected]].to_dict() == pytest.approx(expected, abs=1e-5)
    assert of(table, "mean predictor").value["skill"] == pytest.approx(0, abs=1e-6)
    assert of(table, "source lookup").value["skill"] > 0.1
    assert of(table, "source lookup", "new sources").value["skill"] == pytest.approx(0, abs=1e-6)


def test_differences_are_those_of_a_paired_comparison_with_the_best(models, train):
    del models["short"]
    table = leaderboard(models, train, resamples=200)
    paired = compare(models["close"], models["wide"], train, resamples=200)
    assert set(table.best) == {"close"}
    for subset in ("all clips", "new sources"):
        for target in ("mean", "openness"):
            expected = of(paired, "second - first", subset, target)
            found = of(table, "wide", subset, target)
            np.testing.assert_allclose(
                found[["difference", "difference_low", "difference_high"]], expected[["value", "low", "high"]]
            )
            np.testing.assert_allclose(
                found[["value", "low", "high"]], of(paired, "second", subset, target)[["value", "low", "high"]]
            )
    assert (of(table, "close").difference == 0).all()
    width = of(table, "wide").eval("high - low"), of(table, "wide").eval("difference_high - difference_low")
    assert width[1]["accuracy"] < width[0]["accuracy"]


def test_clips_that_a_file_lacks_are_counted_and_left_out_for_all(models, train):
    table = leaderboard(models, train, resamples=20)
    clips = len(models["wide"])
    every = table[table.subset == "all clips"]
    assert set(every.clips) == {clips - 5}
    assert set(every.labelled) == {clips}
    missing = every.drop_duplicates("predictor").set_index("predictor").missing
    assert missing.to_dict() == {"close": 0, "wide": 0, "short": 5, "mean predictor": 0, "source lookup": 0}
    shared = {name: predictions.iloc[5:] for name, predictions in models.items()} | {"short": models["short"]}
    columns = ["subset", "clips", "predictor", "metric", "target", "value", "low", "high", "difference"]
    pd.testing.assert_frame_equal(table[columns], leaderboard(shared, train, resamples=20)[columns])
    by_subset = table.drop_duplicates(["subset", "predictor"]).set_index(["predictor", "subset"])
    parts = by_subset.loc["short"].missing
    assert parts["known sources"] + parts["new sources"] == parts["all clips"]
    text = leaderboard_text(table)
    assert f"All clips: {clips - 5} of {clips} clips from " in text
    assert re.search(r"(?m)^short +5 ", text)


def test_without_training_labels_or_names_of_clips(models, train):
    table = leaderboard(models, resamples=20)
    assert set(table.subset) == {"all clips"}
    assert set(table.predictor) == {*models}
    assert table[table.metric == "skill"].value.isna().all()
    lines = pd.Index([f"line {row:06d}" for row in range(len(models["wide"]))], name="line")
    nameless = {name: models[name].set_axis(lines) for name in ("wide", "close")}
    table = leaderboard(nameless, train, resamples=20)
    assert set(table.subset) == {"all clips"}
    assert set(table.predictor) == {*nameless, "mean predictor"}
    assert table[["low", "high"]].isna().all(axis=None)
    assert "clips from unknown sources" in leaderboard_text(table)


def test_a_column_of_groups_in_one_file_is_the_source_in_all(models, train):
    people = pd.Series(["known"] * 30 + ["new"] * (len(models["close"]) - 30), models["close"].index)
    models["close"]["group"] = people
    table = leaderboard(models, train.assign(group="known"), resamples=20)
    clips = table.drop_duplicates("subset").set_index("subset").clips
    assert clips.to_dict() == {"all clips": len(people) - 5, "known sources": 25, "new sources": len(people) - 30}
    assert set(table[table.subset == "all clips"].sources) == {2}


def test_the_page_is_one_file_without_links_that_believes_no_name(models, train):
    models["<script>hacked</script>"] = models.pop("wide")
    table = leaderboard(models, train, resamples=20)
    page = leaderboard_page(table, ["short: <b>a note</b>"])
    assert not re.search(r"https?:|src=|href=|url\(|<script|<b>", page)
    assert page.count("<tbody>") == 3
    body = page.split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.findall(r"<t[hd][^>]*>([^<\n]*)", row) for row in body.split("<tr")[1:]]
    assert [row[0] for row in rows] == [
        *("close (best)", "&lt;script&gt;hacked&lt;/script&gt;"),
        *(name for name in table.predictor.unique() if name not in ("close", "<script>hacked</script>")),
    ]
    for row, name in zip(rows, table.predictor.unique(), strict=True):
        values = of(table, name).value[[*SHOWN]]
        cells = [float(cell) if cell != "-" else np.nan for cell in row[2:]]
        np.testing.assert_allclose(cells, values, atol=6e-5)


def test_the_picture_has_every_interval(models, train, tmp_path):
    table = leaderboard(models, train, resamples=20)
    figure = draw_leaderboard(tmp_path / "a.png", table)
    assert [axes.get_title() for axes in figure.axes] == [*SHOWN.values()]
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == list(table.predictor.unique())
    for axes, metric in zip(figure.axes, SHOWN, strict=True):
        for points, subset in zip(axes.lines, table.subset.unique(), strict=True):
            values = [of(table, name, subset).value[metric] for name in table.predictor.unique()]
            np.testing.assert_allclose(points.get_xdata(), values)
    assert imread(tmp_path / "a.png").std() > 0.05


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.csv"], "Got one model (a). Expected two or more"),
        (["a.csv", "a.csv"], "Expected each file once"),
        (["a.csv", "elsewhere.csv"], "none of which another file scores"),
        (["a.csv", "mean predictor.csv"], "rename the file"),
        (["a.csv", "unlabelled.csv"], "unlabelled.csv: These predictions have no openness_label"),
        (["a.csv", "nowhere.csv"], "nowhere.csv does not exist"),
    ],
)
def test_errors(tmp_path, predictions, monkeypatch, capsys, names, expected):
    monkeypatch.chdir(tmp_path)
    for name in ("a.csv", "mean predictor.csv"):
        write_predictions(name, predictions)
    write_predictions("elsewhere.csv", predictions.rename(index=lambda clip: f"x{clip}"))
    write_predictions("unlabelled.csv", predictions[SCORES])
    assert main(["leaderboard", *names, "-o", "board"]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert not (tmp_path / "board").exists()


def test_files_of_one_name_are_told_apart(tmp_path, predictions, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        write_predictions(f"{folder}/a.csv", predictions)
    predictions.to_csv("one/a.tsv", sep="\t")
    assert main(["leaderboard", "one/a.csv", "two/a.csv", "one/a.tsv", "-o", "board"]) == 0
    names = set(pd.read_csv("board/leaderboard.csv").predictor)
    assert names == {"one/a.csv", "two/a.csv", "one/a.tsv"}
