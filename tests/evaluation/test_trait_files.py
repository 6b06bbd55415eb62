"""A folder with a file for each trait: which file is of which trait, and which clips its lines are of."""

import numpy as np
import pandas as pd
import pytest

from personality.evaluation import read_predictions
from personality.evaluation.predictions import labels_of
from personality.evaluation.trait_files import read_trait_files
from personality.traits import TRAITS

SCORES = [0.1, 0.2, 0.3, 0.4, 0.5]


def write(folder, names, text="Prediction,GroundTruth\n{score},0.7\n0.9,0.8\n"):
    folder.mkdir(exist_ok=True)
    for name, score in zip(names, SCORES, strict=True):
        (folder / name).write_text(text.format(score=score))
    return folder


@pytest.mark.parametrize(
    "names",
    [
        [f"{trait}.csv" for trait in TRAITS],
        [f"Test-{trait.title()}_v2.csv" for trait in TRAITS],
        ["openness.csv", "conscientiousness.csv", "Extroversion.csv", "agreeableness.csv", "neurotisicm.csv"],
        [f"preds_{trait[0].upper()}.csv" for trait in TRAITS],
        [f"{trait[0]}.tsv" for trait in TRAITS],
        [f"test_predictions_{number}.csv" for number in range(5)],
        [f"{number}.csv" for number in range(5)],
    ],
    ids=lambda names: names[0],
)
def test_files_are_known_by_their_names(tmp_path, names):
    table = read_predictions(write(tmp_path / "found", names))
    assert table.index.name == "line"
    assert table.iloc[0][list(TRAITS)].tolist() == SCORES
    assert labels_of(table).to_numpy().tolist() == [[0.7] * 5, [0.8] * 5]


@pytest.mark.parametrize("header", ["y_pred,y_true", "Predicted;gt", "score\ttarget", "GroundTruth,Prediction"])
def test_columns_in_other_spellings(tmp_path, header):
    separator = next(mark for mark in ",;\t" if mark in header)
    cells = ["0.7", "{score}"] if header.startswith("G") else ["{score}", "0.7"]
    names = [f"{trait}.csv" for trait in TRAITS]
    table = read_predictions(write(tmp_path / "found", names, f"{header}\n{separator.join(cells)}\n"))
    assert table.iloc[0][list(TRAITS)].tolist() == SCORES
    assert (labels_of(table) == 0.7).all(axis=None)


def test_numbered_lines_are_no_clips(tmp_path):
    folder = write(tmp_path / "found", [f"{trait}.csv" for trait in TRAITS], ",Prediction\n0,{score}\n1,0.9\n")
    table = read_predictions(folder)
    assert table.index.tolist() == ["line 000001", "line 000002"]
    assert "openness_label" not in table


def test_clips_that_are_named_are_joined_by_name(tmp_path):
    folder = write(
        tmp_path / "found", [f"{trait}.csv" for trait in TRAITS], "clip,Prediction\na.000,{score}\nb.000,1\n"
    )
    (folder / "openness.csv").write_text("clip,Prediction\nb.000.mp4,1\na.000.mp4,0.1\n")
    table = read_predictions(folder)
    assert table.index.name == "clip"
    assert table.loc["a.000.mp4", list(TRAITS)].tolist() == SCORES


def test_folders_that_do_not_have_one_file_for_each_trait(tmp_path):
    with pytest.raises(ValueError, match=r"found has the files none\. Expected a csv file for each of .*rename"):
        read_trait_files(write(tmp_path / "found", ["a.dat", "b.dat", "c.dat", "d.dat", "e.dat"]))
    folder = write(tmp_path / "found", [f"{trait}.csv" for trait in TRAITS])
    (folder / "openness_old.csv").write_text("Prediction\n1\n")
    with pytest.raises(ValueError, match=r"several files of one trait: openness.csv, openness_old.csv.*move"):
        read_trait_files(folder)


def test_files_that_do_not_belong_together(tmp_path):
    folder = write(tmp_path / "found", [f"{trait}.csv" for trait in TRAITS])
    (folder / "agreeableness.csv").write_text("Prediction,GroundTruth\n1,1\n")
    with pytest.raises(ValueError, match=r"found has 2 lines for openness and 1 for agreeableness.*files of one split"):
        read_trait_files(folder)
    (folder / "agreeableness.csv").write_text("a,b\n1,1\n2,2\n")
    with pytest.raises(ValueError, match=r"agreeableness.csv has the columns a, b\. Expected one called Prediction"):
        read_trait_files(folder)


def test_lines_are_named_by_their_labels_or_refused(tmp_path, predictions):
    folder, labels = tmp_path / "found", labels_of(predictions)
    folder.mkdir()
    for trait in TRAITS:
        table = pd.DataFrame({"Prediction": predictions[trait], "GroundTruth": labels[trait].round(6)})
        table[::-1].to_csv(folder / f"{trait}.csv", index=False)
    named = read_predictions(folder, labels)
    pd.testing.assert_frame_equal(named, predictions.sort_index(), check_index_type=False, check_like=True)
    other = labels.set_axis(labels.index[::-1].rename("clip"))
    np.testing.assert_allclose(read_predictions(folder, other).loc[other.index, "openness"], predictions["openness"])
    with pytest.raises(ValueError, match=r"found names no clips, and 1 of its .* lines have .*same split"):
        read_predictions(folder, labels.drop(index=labels.index[7]))
    for trait in TRAITS:
        table = pd.read_csv(folder / f"{trait}.csv")
        table.loc[1] = table.loc[0]
        table.to_csv(folder / f"{trait}.csv", index=False)
    with pytest.raises(ValueError, match=r"found names no clips, and 2 of its .* lines have .*line 000001"):
        read_predictions(folder, labels)


def test_lines_without_labels_cannot_be_named(tmp_path, train):
    folder = write(tmp_path / "found", [f"{trait}.csv" for trait in TRAITS], "Prediction\n{score}\n")
    with pytest.raises(ValueError, match=r"found names no clips, and has no labels.*Expected a column clip; add it"):
        read_predictions(folder, train)
