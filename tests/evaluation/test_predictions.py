"""Files of predictions: those of this package and of others, and every error in them."""

import numpy as np
import pandas as pd
import pytest

from personality.evaluation import read_predictions, read_trait_labels, write_predictions
from personality.evaluation.predictions import targets_of
from personality.traits import TRAITS

SCORES = list(TRAITS)
LINE = "a.000.mp4,0.1,0.2,0.3,0.4,0.5\n"
HEADER = f"clip,{','.join(TRAITS)}\n"


def written(folder, text):
    path = folder / "foreign.csv"
    path.write_text(text, encoding="utf-8")
    return path


def error_of(path, labels=None):
    """Return the error of the reader: one paragraph that names the file."""
    with pytest.raises(ValueError, match=path.name) as raised:
        read_predictions(path, labels)
    assert "\n" not in str(raised.value)
    assert "Expected" in str(raised.value)
    return str(raised.value)


def test_what_is_written_is_read_again(tmp_path, predictions):
    predictions = predictions.assign(segments=15, openness_std=0.01, interview=0.25)
    predictions.iloc[3, :5] = np.nan
    predictions.loc[predictions.index[3], ["interview", "openness_std"]] = np.nan
    write_predictions(tmp_path / "predictions.csv", predictions.sample(frac=1, random_state=0))
    again = read_predictions(tmp_path / "predictions.csv")
    assert list(again)[:6] == [*TRAITS, "interview"]
    pd.testing.assert_frame_equal(again[predictions.columns], predictions.sort_index(), rtol=1e-6, check_dtype=False)
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]
    assert targets_of(again) == SCORES


def test_columns_in_any_order_with_others_between_them(tmp_path):
    path = written(
        tmp_path,
        "neuroticism,Clip,pixel_1,pixel_2,OPENNESS,agreeableness,extraversion,conscientiousness\n.5,a.000.mp4,15,16,.1,.4,.3,.2\n",
    )
    assert read_predictions(path).loc["a.000.mp4", SCORES].tolist() == [0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("separator", [",", ";", "\t", ", "])
def test_layout_of_the_challenge(tmp_path, separator):
    header = "VideoName ValueExtraversion ValueAgreeableness ValueConscientiousness ValueNeurotisicm ValueOpenness"
    lines = [header.split(), ["-Ab_x9-7kQw.003.mp4", "0.3", "0.4", "0.2", "0.5", "0.1"]]
    path = written(tmp_path, "\ufeff" + "\n".join(separator.join(line) for line in lines))
    expected = pd.DataFrame(
        [[0.1, 0.2, 0.3, 0.4, 0.5]], index=pd.Index(["-Ab_x9-7kQw.003.mp4"], name="clip"), columns=TRAITS
    )
    for read in (read_predictions, read_trait_labels):
        pd.testing.assert_frame_equal(read(path), expected, check_index_type=False)


def test_an_index_without_a_name_and_clips_with_folders_and_without_endings(tmp_path):
    path = written(tmp_path, HEADER.removeprefix("clip") + "test80_01/a.000,.1,.2,.3,.4,.5\nb.001.mp4,.1,.2,.3,.4,.5\n")
    assert read_predictions(path).index.tolist() == ["a.000.mp4", "b.001.mp4"]


def test_labels_from_a_file_of_their_own_replace_those_in_the_file(tmp_path, predictions):
    write_predictions(tmp_path / "predictions.csv", predictions)
    other = predictions.iloc[2:].filter(like="_label").rename(columns=lambda name: name.removesuffix("_label")) / 2
    other.loc["unseen.000.mp4"] = 0.5
    other.to_csv(tmp_path / "labels.csv")
    joined = read_predictions(tmp_path / "predictions.csv", read_trait_labels(tmp_path / "labels.csv"))
    assert len(joined) == len(predictions) + 1
    assert joined.loc["unseen.000.mp4", SCORES].isna().all()
    assert joined.loc[predictions.index[:2], "openness_label"].isna().all()
    halved = predictions["openness_label"].iloc[2:] / 2
    pd.testing.assert_series_equal(
        joined.loc[halved.index, "openness_label"], halved, check_index_type=False, rtol=1e-6
    )


def test_labels_of_a_file_of_predictions_are_its_labels_not_its_scores(tmp_path, predictions):
    write_predictions(tmp_path / "predictions.csv", predictions)
    labels = read_trait_labels(tmp_path / "predictions.csv")
    np.testing.assert_allclose(labels["openness"], predictions["openness_label"], rtol=1e-6)


@pytest.mark.parametrize("scored", ["{}", "{}.mp4", "test80_01/{}.MP4"])
@pytest.mark.parametrize("labelled", ["{}", " {}.mp4"])
def test_clips_with_and_without_mp4_are_the_same(tmp_path, scored, labelled):
    path, labels = (
        written(tmp_path, HEADER + LINE.replace("a.000.mp4", scored.format("a.000"))),
        tmp_path / "labels.csv",
    )
    labels.write_text(HEADER + LINE.replace("a.000.mp4", labelled.format("a.000")))
    in_memory = pd.DataFrame([[0.5] * 5], index=[labelled.format("a.000")], columns=TRAITS)
    for truth in (read_trait_labels(labels), in_memory):
        joined = read_predictions(path, truth)
        assert joined.index.tolist() == ["a.000.mp4"]
        assert joined.notna().all(axis=None)


def test_predictions_are_not_taken_for_labels(tmp_path):
    path = written(tmp_path, "clip,pred_O,pred_C,pred_E,pred_A,pred_N\n" + LINE)
    with pytest.raises(ValueError, match=r"foreign.csv has predictions \(pred_O, .*Expected labels; name"):
        read_trait_labels(path)


def test_doubled_clips(tmp_path):
    path = written(tmp_path, HEADER + LINE + "b.000.mp4,0,0,0,0,0\n" + LINE.replace("a.000.mp4", "folder/a.000"))
    assert "more than one line for 1 clip (a.000.mp4)" in error_of(path)


def test_clips_of_another_split(tmp_path, train):
    path = written(tmp_path, HEADER + LINE)
    assert "names clips like a.000.mp4, the labels clips like -source0000.010.mp4" in error_of(path, train)


def test_scores_for_some_traits_only(tmp_path):
    path = written(tmp_path, HEADER + LINE + "b.000.mp4,0.1,nan,0.3,0.4,0.5\n")
    assert "a score for some traits and none for others in 1 clip (b.000.mp4)" in error_of(path)


def test_no_score_at_all(tmp_path):
    assert "no score in any of its 1 lines" in error_of(written(tmp_path, HEADER + "a.000.mp4,,,,,\n"))


@pytest.mark.parametrize("cell", ["high", "0,5,1", "inf"])
def test_cells_that_are_no_number(tmp_path, cell):
    path = written(tmp_path, (HEADER + LINE).replace(",", ";").replace("0.3", cell))
    assert f"has {cell!r} for extraversion of a.000.mp4" in error_of(path)


def test_labels_on_another_scale(tmp_path):
    path = written(tmp_path, HEADER + LINE.replace("0.5", "5"))
    with pytest.raises(ValueError, match="labels outside \\[0, 1\\] in 1 clip"):
        read_trait_labels(path)
    header = HEADER.strip() + "," + ",".join(f"{trait}_label" for trait in TRAITS) + "\n"
    assert "labels outside [0, 1]" in error_of(written(tmp_path, header + LINE.strip() + ",0,0,0,0,-1\n"))


def test_missing_trait(tmp_path):
    assert "has no column neuroticism, but clip, openness" in error_of(
        written(tmp_path, "clip," + ",".join(TRAITS[:4]) + "\n" + LINE.replace(",0.5", ""))
    )


def test_trait_in_a_spelling_that_is_not_known(tmp_path):
    path = written(tmp_path, HEADER.replace("openness", "opennes") + LINE)
    assert "rename opennes, if that is what it is" in error_of(path)


def test_trait_twice(tmp_path):
    path = written(tmp_path, HEADER.strip() + ",ValueOpenness\n" + LINE.strip() + ",0.1\n")
    assert "two columns of openness: openness, ValueOpenness." in error_of(path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is no csv file"),
        (LINE, "Expected a first line that names every column"),
        (HEADER, "a header, but no line below it"),
        (HEADER + "a.000.mp4,0,1,0,2,0,3,0,4,0,5\n", "lines with 11 cells, and a header of 6"),
        ("Prediction,GroundTruth\n0.5,0.5\n", "give the folder, if there is such a file for each trait"),
        ("clip,Prediction\na.000,0.5\n", "give the folder, if there is such a file for each trait"),
        (HEADER.replace("clip", "person") + LINE, "one of them clip"),
        (HEADER + LINE.strip() + ",0.6\n", "Expected a first line that names every column"),
        (HEADER + LINE + LINE.strip() + ",0.6\n", "is no csv file"),
        (HEADER + LINE + LINE.removeprefix("a.000.mp4"), "has no clip in line 3"),
    ],
    ids=[
        "empty",
        "no header",
        "header alone",
        "decimal commas",
        "one trait",
        "one trait of clips",
        "no clip",
        "wider than its header",
        "ragged",
        "blank name",
    ],
)
def test_files_that_are_no_tables(tmp_path, text, expected):
    assert expected in error_of(written(tmp_path, text))


def test_files_that_are_not_text_or_not_there(tmp_path):
    path = tmp_path / "foreign.csv"
    path.write_bytes(b"\x89PNG\xff\xfe\x00")
    assert "is no csv file" in error_of(path)
    with pytest.raises(FileNotFoundError, match=r"nowhere.csv does not exist. Expected a csv file"):
        read_predictions(tmp_path / "nowhere.csv")


def test_predictions_that_cannot_be_written(tmp_path, predictions):
    with pytest.raises(ValueError, match=r"Got predictions with the columns .* rename or drop the rest"):
        write_predictions(tmp_path / "a.csv", predictions.assign(mood_label=1))
    with pytest.raises(ValueError, match="Got predictions with the columns"):
        write_predictions(tmp_path / "a.csv", predictions.drop(columns="openness"))
    with pytest.raises(ValueError, match="more than one line for 1 clip"):
        write_predictions(tmp_path / "a.csv", pd.concat([predictions, predictions.iloc[:1]]))
    assert not list(tmp_path.iterdir())


def test_predictions_without_labels(predictions):
    with pytest.raises(ValueError, match=r"have no neuroticism_label. Expected a label beside every score"):
        targets_of(predictions.drop(columns="neuroticism_label"))
