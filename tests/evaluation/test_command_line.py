"""`python -m personality.evaluation` from the command line."""

import pickle
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from personality.evaluation import read_predictions, write_predictions
from personality.evaluation.__main__ import main
from personality.evaluation.predictions import labels_of
from personality.traits import TRAITS, source_id

SCORES = list(TRAITS)


@pytest.fixture
def folder(tmp_path, predictions, train, monkeypatch):
    """A run's folder: predictions of two models, without and with labels, and the training labels beside them."""
    monkeypatch.chdir(tmp_path)
    write_predictions("a.csv", predictions)
    other = predictions.copy()
    other[SCORES] = 0.8 * labels_of(predictions) + 0.1
    write_predictions("b.csv", other[SCORES])
    labels_of(predictions).to_csv("labels.csv")
    train.to_csv("labels_train.csv")
    return tmp_path


def test_a_file_alone_is_evaluated(folder, capsys):
    assert main(["a.csv", "--csv", "numbers.csv"]) == 0
    text = capsys.readouterr().out
    for part in ("All clips: ", "New sources: ", "mean predictor", "source lookup", "95 % from", "slope"):
        assert part in text
    numbers = pd.read_csv("numbers.csv")
    assert {"subset", "clips", "labelled", "sources", "predictor", "metric", "target", "value", "low", "high"} == set(
        numbers
    )
    assert {"accuracy", "skill", "slope"} <= set(numbers.metric)


def test_labels_and_training_labels_from_other_files(folder, capsys, tmp_path):
    (tmp_path / "labels_train.csv").rename("elsewhere.csv")
    assert main(["b.csv", "--labels", "labels.csv"]) == 0
    assert "Without training labels (--train FILE)" in capsys.readouterr().out
    assert main(["evaluate", "b.csv", "--labels", "labels.csv", "--train", "elsewhere.csv"]) == 0
    assert "New sources: " in capsys.readouterr().out


def numbers_of(arguments):
    assert main([*arguments, "--csv", "numbers.csv"]) == 0
    return pd.read_csv("numbers.csv")


def test_labels_and_training_labels_as_pickles(folder, predictions, train):
    expected = numbers_of(["b.csv", "--labels", "labels.csv"])
    (folder / "labels_train.csv").unlink()
    for name, labels in [("annotation_validation.pkl", labels_of(predictions)), ("annotation_training.pkl", train)]:
        (folder / name).write_bytes(pickle.dumps(labels.to_dict(), protocol=2))
    pickles = ["--labels", "annotation_validation.pkl", "--train", "annotation_training.pkl"]
    pd.testing.assert_frame_equal(numbers_of(["b.csv", *pickles]), expected, rtol=1e-5)
    assert main(["compare", "a.csv", "b.csv", *pickles]) == 0
    assert main(["plot", "b.csv", *pickles, "-o", "c.png"]) == 0
    assert main(["fuse", "a.csv", "b.csv", *pickles[:2], "-o", "c.csv"]) == 0
    validation = ["--validation", "b.csv", "--validation-labels", "annotation_validation.pkl"]
    assert main(["calibrate", "b.csv", *validation, "-o", "d.csv"]) == 0


LAYOUTS = {
    "FSTC": (["pred_O", "pred_C", "pred_E", "pred_A", "pred_N"], "sample_id", {}),
    "letters": (list("OCEAN"), "clip", {"sep": "\t", "encoding": "utf-16"}),
    "OCEAN-AI": (["Openness", "Conscientiousness", "Extraversion", "Agreeableness", "Non-Neuroticism"], "Path", {}),
    "challenge": (
        ["ValueOpenness", "ValueConscientiousness", "ValueExtraversion", "ValueAgreeableness", "ValueNeurotisicm"],
        "VideoName",
        {"sep": ";", "decimal": ",", "encoding": "utf-8-sig"},
    ),
    "suffixes": ([f"{trait.upper()}_PRED" for trait in TRAITS], "Filename", {"encoding": "latin1"}),
}


@pytest.mark.parametrize("kind", LAYOUTS)
def test_published_layouts_of_predictions(folder, predictions, kind):
    expected = numbers_of(["b.csv", "--labels", "labels.csv"])
    columns, key, layout = LAYOUTS[kind]
    table = pd.read_csv("b.csv", index_col="clip")[SCORES].set_axis(columns, axis=1)
    table = table.rename(index=lambda clip: clip.removesuffix(".mp4")).sample(frac=1, random_state=0)[columns[::-1]]
    table.to_csv("foreign.csv", index_label=key, **layout)
    pd.testing.assert_frame_equal(numbers_of(["foreign.csv", "--labels", "labels.csv"]), expected, rtol=1e-5)


def trait_files(folder, predictions, name="test_predictions_{number}.csv"):
    """A folder as PersonalityLinMulT publishes it: the same clips in the same order, without names."""
    folder.mkdir()
    (folder / "metrics_test.csv").write_text("metric,value\npcc,0.7\n")
    shuffled = predictions.sample(frac=1, random_state=0)
    for number, trait in enumerate(TRAITS):
        table = pd.DataFrame({"Prediction": shuffled[trait], "GroundTruth": shuffled[f"{trait}_label"]})
        table.to_csv(folder / name.format(number=number, trait=trait), index=False)
    return folder


def test_trait_files_without_names_have_the_same_values_and_no_intervals(folder, predictions, capsys):
    trait_files(folder / "published", predictions)
    keys = ["predictor", "metric", "target"]
    named, found = (
        table[table.subset == "all clips"].set_index(keys)
        for table in (numbers_of(["a.csv"]), numbers_of(["published"]))
    )
    assert set(found.index.get_level_values("predictor")) == {"mean predictor", "median predictor", "model"}
    np.testing.assert_allclose(found.value, named.value[found.index], rtol=1e-4, atol=1e-6)
    assert named.loc["model"].low.notna().any()
    assert found[["low", "high"]].isna().all(axis=None)
    assert (found.sources.dropna() == 0).all()
    assert set(pd.read_csv("numbers.csv").subset) == {"all clips"}
    capsys.readouterr()
    assert main(["published"]) == 0
    text = capsys.readouterr().out
    assert "from unknown sources" in text
    assert "name no clips" in text
    assert "no intervals" in text
    assert "--labels FILE" in text


def test_trait_files_get_the_names_of_the_clips_with_the_same_labels(folder, predictions):
    trait_files(folder / "published", predictions)
    expected = numbers_of(["a.csv", "--labels", "labels.csv"])
    found = numbers_of(["published", "--labels", "labels.csv"])
    assert "new sources" in set(found.subset)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4, atol=1e-6)


def test_trait_files_stay_without_names_when_they_are_fused(folder, predictions, capsys):
    trait_files(folder / "published", predictions)
    assert main(["fuse", "published", "published", "-o", "fused.csv"]) == 0
    pd.testing.assert_frame_equal(numbers_of(["fused.csv"]), numbers_of(["published"]), rtol=1e-4, atol=1e-6)
    assert main(["compare", "published", "fused.csv"]) == 0
    assert main(["plot", "published", "a.csv", "-o", "c.png"]) == 0
    capsys.readouterr()
    assert main(["compare", "published", "a.csv"]) == 2
    assert "No clip is scored in both files" in capsys.readouterr().err


def test_missing_clips(folder, capsys):
    pd.read_csv("b.csv").iloc[5:].to_csv("short.csv", index=False)
    assert main(["short.csv", "--labels", "labels.csv"]) == 0
    text = capsys.readouterr().out
    assert "Labelled but not scored: 5 clips" in text
    clips = len(pd.read_csv("b.csv"))
    assert f": {clips - 5} of {clips} clips" in text
    assert main(["short.csv", "--labels", "labels.csv", "--count-missing"]) == 0
    assert f": {clips} clips" in capsys.readouterr().out


def test_groups(folder, capsys, predictions):
    odd = [int(source_id(clip)[-1]) % 2 + 1 for clip in predictions.index]
    pd.DataFrame({"VideoName": predictions.index, "Gender": odd}).to_csv("people.csv", sep=";", index=False)
    assert main(["a.csv", "--groups", "people.csv", "--csv", "numbers.csv"]) == 0
    text = capsys.readouterr().out
    assert "By gender" in text
    assert "female (" in text
    assert "largest gap" in text
    assert {"female", "male", "largest gap"} <= set(pd.read_csv("numbers.csv").query("attribute == 'gender'").subset)


def test_compare(folder, capsys):
    assert main(["compare", "a.csv", "b.csv", "--labels", "labels.csv", "--csv", "numbers.csv"]) == 0
    text = capsys.readouterr().out
    assert "first   a.csv\nsecond  b.csv" in text
    assert "second - first" in text
    assert "second - first" in set(pd.read_csv("numbers.csv").predictor)


def test_fuse(folder, capsys, predictions):
    assert main(["fuse", "a.csv", "b.csv", "--labels", "labels.csv", "-o", "c.csv"]) == 0
    mean = (read_predictions("a.csv")[SCORES] + read_predictions("b.csv")[SCORES]) / 2
    np.testing.assert_allclose(read_predictions("c.csv")[SCORES], mean, atol=1e-6)
    learn = ["--learn", "a.csv", "b.csv", "--validation-labels", "labels.csv"]
    assert main(["fuse", "a.csv", "b.csv", *learn, "-o", "d.csv"]) == 0
    assert "Weights learnt on validation" in capsys.readouterr().out
    assert main(["d.csv", "--labels", "labels.csv"]) == 0


def test_calibrate(folder, capsys):
    assert (
        main(["calibrate", "b.csv", "--validation", "b.csv", "--validation-labels", "labels.csv", "-o", "c.csv"]) == 0
    )
    assert "slope" in capsys.readouterr().out
    rescaled, labels = read_predictions("c.csv")[SCORES], pd.read_csv("labels.csv", index_col="clip")
    np.testing.assert_allclose(rescaled, labels, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.csv"], "nowhere.csv does not exist."),
        (["b.csv"], "b.csv: These predictions have no openness_label"),
        (["compare", "a.csv", "b.csv"], "add --labels FILE"),
        (["calibrate", "a.csv", "--validation", "b.csv", "-o", "c.csv"], "add --validation-labels FILE"),
        (["fuse", "a.csv", "b.csv", "--learn", "a.csv", "-o", "c.csv"], "Got 1 validation files for 2 files to fuse."),
        (["a.csv", "--csv", "no/such/folder.csv"], "no/such"),
    ],
)
def test_an_error_is_one_paragraph_without_a_traceback(folder, capsys, arguments, expected):
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1
    assert "Traceback" not in error


def test_help_shows_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for command in ("compare A.csv B.csv", "plot A.csv B.csv -o C.png", "fuse A.csv B.csv -o C.csv", "calibrate A.csv"):
        assert command in shown
    assert "leaderboard A.csv B.csv ... -o DIR" in shown
    assert "--groups people.csv" in shown


def test_as_a_module_from_the_shell_without_lightning(folder):
    command = [sys.executable, "-X", "importtime", "-m", "personality.evaluation", "nowhere.csv"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("nowhere.csv does not exist.")
    assert "pandas" in refused.stderr
    assert not re.search("pytorch_lightning|torchmetrics", refused.stderr)


def test_the_commands_start_without_what_few_of_them_need():
    slow = "torchmetrics", "pytorch_lightning", "scipy"
    code = f"import sys, personality.evaluation.result_files; print([name for name in {slow} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True).stdout == "[]\n"
