"""Groups: reading them, the metrics of each, and the largest gap."""

import numpy as np
import pandas as pd
import pytest

from personality.evaluation import evaluate, fairness, read_groups
from personality.evaluation.fairness import fairness_of_folds
from personality.evaluation.predictions import labels_of
from personality.evaluation.text import fairness_text
from personality.traits import TRAITS, source_id

SCORES = list(TRAITS)


@pytest.fixture
def groups(predictions):
    """Two genders and three ages, by clip; some clips are of neither."""
    number = np.array([int(source_id(clip)[-4:]) for clip in predictions.index])
    gender = pd.Series(np.where(number % 2, "female", "male"), index=predictions.index)
    age = pd.Series(np.array(["young", "older", "old"])[number % 3], index=predictions.index)
    return pd.DataFrame({"gender": gender.where(number % 7 > 0), "age": age})


def test_table_of_the_data_set(tmp_path):
    path = tmp_path / "eth_gender_annotations_dev.csv"
    path.write_text("VideoName;Ethnicity;Gender\n-Ab.000.mp4;2;1\nb.001.mp4;1;2\nc.002.mp4;3;\n", encoding="utf-8")
    expected = pd.DataFrame(
        {"gender": ["male", "female", np.nan], "ethnicity": ["Caucasian", "Asian", "African-American"]},
        index=pd.Index(["-Ab.000.mp4", "b.001.mp4", "c.002.mp4"], name="clip"),
    )
    pd.testing.assert_frame_equal(read_groups(path), expected, check_dtype=False, check_index_type=False)


def test_table_by_source_with_names_and_years(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("source,Age,Gender\na,29,female\nb,30.5,male\nc,,male\n", encoding="utf-8")
    groups = read_groups(path)
    assert groups.index.name == "source"
    assert groups.age.tolist()[:2] == ["20 to 29", "30 to 39"]
    assert groups.age.isna().tolist() == [False, False, True]
    assert groups.gender.tolist() == ["female", "male", "male"]


def test_tables_without_a_group_or_with_a_clip_twice(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text("clip,height\na.000.mp4,1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"people.csv has no column gender, ethnicity, age. Expected at least one"):
        read_groups(path)
    path.write_text("clip,gender\na.000.mp4,1\na.000.mp4,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match="more than one line for 1 clip"):
        read_groups(path)


def test_skill_over_folds_is_beside_the_mean_of_each_fold(predictions, train, groups):
    folds = [(predictions.iloc[::2], train.iloc[:100]), (predictions.iloc[1::2], train.iloc[100:] + 0.1)]
    found = fairness_of_folds(folds, groups, resamples=20).query("subset == 'female' and metric == 'skill'")
    errors, references = [], []
    for scored, labels in folds:
        women = scored[(groups.gender == "female").loc[scored.index]]
        truth = labels_of(women)
        errors.append((women[SCORES] - truth).abs())
        references.append((labels[SCORES].mean() - truth).abs())
    skill = 1 - pd.concat(errors).mean() / pd.concat(references).mean()
    np.testing.assert_allclose(found.set_index("target").value[SCORES], skill, rtol=1e-6)


def test_a_group_has_the_metrics_of_its_clips_alone(predictions, train, groups):
    found = fairness(predictions, groups, train, resamples=50)
    for gender in ("female", "male"):
        clips = groups.index[groups.gender == gender]
        alone = evaluate(predictions.loc[clips], train, resamples=50)
        alone = (
            alone[(alone.subset == "all clips") & (alone.predictor == "model")].set_index(["metric", "target"]).value
        )
        of_group = found[(found.attribute == "gender") & (found.subset == gender) & (found.metric != "bias")]
        assert (of_group.clips == len(clips)).all()
        assert (of_group.sources == len({source_id(clip) for clip in clips})).all()
        pd.testing.assert_series_equal(of_group.set_index(["metric", "target"]).value, alone, rtol=1e-9)


def test_largest_gap_is_between_the_best_and_the_worst_group(predictions, train, groups):
    old = groups.index[groups.age == "old"]
    unfair = predictions.copy()
    unfair.loc[old, SCORES] += 0.2
    found = fairness(unfair, groups, train, resamples=200)
    of_age = found[(found.attribute == "age") & (found.target == "mean")]
    for metric, part in of_age.groupby("metric"):
        values = part[part.subset != "largest gap"].set_index("subset").value
        gap = part[part.subset == "largest gap"].iloc[0]
        assert gap.value == pytest.approx(values.max() - values.min())
        assert gap.pair == f"{values.idxmax()} - {values.idxmin()}"
        if metric in ("accuracy", "bias"):
            assert gap.low > 0
            assert "old" in gap.pair
    assert "The largest gap in mean accuracy is " in fairness_text(found)


def test_groups_by_source(predictions, train, groups):
    by_source = groups.groupby([source_id(clip) for clip in groups.index]).first().rename_axis(index="source")
    by_clip = fairness(predictions, groups, train, resamples=20)
    pd.testing.assert_frame_equal(fairness(predictions, by_source, train, resamples=20), by_clip)


def test_a_group_of_few_sources_is_shown_but_not_compared(predictions, train, groups):
    few = groups.assign(gender=groups.gender.where(groups.index != groups.index[0], "other"))
    found = fairness(predictions, few, train, resamples=20)
    other = found[found.subset == "other"]
    assert (other.clips == 1).all()
    assert other[["low", "high"]].isna().all(axis=None)
    assert not found[found.subset == "largest gap"].pair.str.contains("other").any()


def test_groups_of_other_clips(predictions, train, groups):
    with pytest.raises(ValueError, match=r"The table of groups has none of the \d+ evaluated clips: it names x-source"):
        fairness(predictions, groups.rename(index=lambda clip: f"x{clip}"), train)
