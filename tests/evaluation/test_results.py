"""The table of results: its predictors and subsets, missing clips, and the paired comparison."""

import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from personality.evaluation import compare, evaluate
from personality.evaluation.metrics import METRICS
from personality.evaluation.predictions import labels_of
from personality.evaluation.text import remarks, results_text
from personality.traits import TRAITS, source_id

PREDICTORS = ["mean predictor", "median predictor", "source lookup", "model"]
SCORES = list(TRAITS)


def number(results, predictor="model", metric="accuracy", target="mean", subset="all clips"):
    found = results[
        (results.subset == subset)
        & (results.predictor == predictor)
        & (results.metric == metric)
        & (results.target == target)
    ]
    assert len(found) == 1
    return found.iloc[0]


def test_every_predictor_metric_and_target_of_all_and_new_clips(predictions, train):
    results = evaluate(predictions, train, resamples=50)
    assert results.subset.unique().tolist() == ["all clips", "new sources"]
    for _, part in results.groupby("subset"):
        assert part.predictor.unique().tolist() == PREDICTORS
        assert set(zip(part.metric, part.target, strict=True)) == {(m, t) for m in METRICS for t in ("mean", *TRAITS)}
    defined = results.dropna()
    assert (defined.low <= defined.high).all()
    assert set(results[results.value.isna()].metric) == {"pcc"}


def test_numbers_are_those_of_scikit_learn(predictions, train):
    labels, results = labels_of(predictions), evaluate(predictions, train, resamples=50)
    new = [source_id(clip) not in {source_id(other) for other in train.index} for clip in labels.index]
    for subset, clips in [("all clips", labels.index), ("new sources", labels.index[new])]:
        truth = labels.loc[clips]
        mean = np.tile(train.mean(), (len(clips), 1))
        error = mean_absolute_error(truth, predictions.loc[clips, SCORES])
        assert number(results, subset=subset).value == pytest.approx(1 - error)
        assert number(results, "mean predictor", subset=subset).value == pytest.approx(
            1 - mean_absolute_error(truth, mean)
        )
        assert number(results, subset=subset).clips == len(clips)
    by_trait = mean_absolute_error(labels, predictions[SCORES], multioutput="raw_values")
    assert number(results, target="neuroticism").value == pytest.approx(1 - by_trait[4])


def test_lookup_knows_old_sources_and_is_the_mean_for_new_ones(predictions, train):
    results = evaluate(predictions, train, resamples=50)
    assert number(results, "source lookup").value > number(results, "mean predictor").value + 0.002
    assert (
        number(results, "source lookup", subset="new sources").value
        == number(results, "mean predictor", subset="new sources").value
    )
    assert number(results, "mean predictor", "skill").value == 0


def test_without_training_labels_only_the_model_and_no_skill(predictions):
    results = evaluate(predictions, resamples=50)
    assert results.predictor.unique().tolist() == ["model"]
    assert results.subset.unique().tolist() == ["all clips"]
    assert results[results.metric == "skill"].value.isna().all()
    assert any("no baselines, no skill and no new sources" in remark for remark in remarks(predictions))


def test_missing_clips_are_left_out_with_a_remark_or_counted_with_the_mean(predictions, train):
    missing = predictions.index[:5]
    holes = predictions.copy()
    holes.loc[missing, SCORES] = np.nan
    left_out = evaluate(holes, train, resamples=50)
    assert number(left_out).value == pytest.approx(
        number(evaluate(predictions.drop(missing), train, resamples=50)).value
    )
    assert f": {len(predictions) - 5} of {len(predictions)} clips" in results_text(left_out)
    assert any(remark.startswith("Labelled but not scored: 5 clips") for remark in remarks(holes, train))

    counted = evaluate(holes, train, count_missing=True, resamples=50)
    filled = predictions.copy()
    filled.loc[missing, SCORES] = train.mean().to_numpy()
    assert number(counted).value == pytest.approx(number(evaluate(filled, train, resamples=50)).value)
    with pytest.raises(ValueError, match="Got no training labels"):
        evaluate(holes, count_missing=True)


def test_interview_has_metrics_but_is_not_averaged(predictions, train):
    six = predictions.assign(interview=0.9, interview_label=predictions.openness_label)
    results = evaluate(six, train.assign(interview=0.5), resamples=50)
    assert number(results).value == number(evaluate(predictions, train, resamples=50)).value
    error = mean_absolute_error(six.interview_label, six.interview)
    assert number(results, target="interview").value == pytest.approx(1 - error)
    assert " I " in results_text(results)


def test_clips_without_labels_are_left_out_with_a_remark(predictions, train):
    unknown = predictions.index[:3]
    some = predictions.copy()
    some.loc[unknown, [f"{trait}_label" for trait in TRAITS]] = np.nan
    assert number(evaluate(some, train, resamples=50)).clips == len(predictions) - 3
    assert any("Scored but without a label, so not evaluated: 3 clips" in remark for remark in remarks(some, train))
    none = some.drop(some.index[3:])
    with pytest.raises(ValueError, match="No clip has both scores and labels"):
        evaluate(none, train)


def test_remarks_on_unusual_clips(predictions, train):
    assert remarks(predictions, train) == []
    odd = predictions.assign(openness=0.5, extraversion_label=0.4)
    odd.loc[odd.index[0], "neuroticism"] = 1.2
    text = "\n".join(remarks(odd, train))
    assert "Every clip has the same score of openness: its pcc is undefined" in text
    assert "Every clip has the same label of extraversion" in text
    assert f"Scores outside the scale, evaluated unchanged: 1 clip ({odd.index[0]})" in text
    assert " -" in results_text(evaluate(odd, train, resamples=50))
    everything = predictions.drop(columns=SCORES).rename(columns=lambda name: name.removesuffix("_label"))
    text = "\n".join(remarks(predictions, everything))
    assert "Also in the training labels" in text
    assert "do not show how the model does on new people" in text


def test_text_is_aligned_and_names_what_it_shows(predictions, train):
    text = results_text(evaluate(predictions, train, resamples=50))
    first, second, legend = text.split("\n\n")
    assert first.startswith(f"All clips: {len(predictions)} clips from 100 sources")
    assert second.startswith("New sources: ")
    assert "N is labelled as emotional stability" in legend
    header, *lines = first.splitlines()[1:]
    assert header.split() == ["accuracy", *"OCEAN", "r2", "pcc", "ccc", "std_ratio", "mse", "skill"]
    assert {len(line) for line in lines} == {len(header)}
    assert [line.split("  ")[1] for line in lines[::3]] == PREDICTORS


def test_comparison_is_paired(predictions, train):
    better = predictions.copy()
    better[SCORES] = predictions[SCORES] * 0.98 + labels_of(predictions) * 0.02
    results = compare(predictions, better, train, resamples=400)
    difference = number(results, "second - first")
    assert difference.value == pytest.approx(number(results, "second").value - number(results, "first").value)
    assert 0 < difference.low < difference.value < difference.high
    assert difference.high - difference.low < 0.1 * (number(results, "first").high - number(results, "first").low)
    assert number(results, "second - first", subset="new sources").value > 0


def test_comparison_takes_the_clips_of_both(predictions, train):
    first, second = predictions.iloc[:-4], predictions.iloc[7:]
    line = number(compare(first, second, train, resamples=50), "second - first")
    assert (line.clips, line.labelled) == (len(predictions) - 11, len(predictions))
    assert (line.value, line.low, line.high) == (0, 0, 0)


def test_comparison_of_what_cannot_be_compared(predictions):
    with pytest.raises(ValueError, match="No clip is scored in both files"):
        compare(predictions.iloc[:10], predictions.iloc[10:])
    other = predictions.copy()
    other.loc[other.index[4], "openness_label"] = 0.123
    with pytest.raises(ValueError, match="The files disagree about the labels of 1 clip"):
        compare(predictions, other)
