"""The bootstrap against a slow loop, theory and a time limit."""

import time

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from personality.evaluation.intervals import estimates, predictor_sums, resample
from personality.evaluation.metrics import compute_metrics
from personality.evaluation.predictions import labels_of
from personality.traits import TRAITS, source_id


def test_resamples_equal_those_of_a_slow_loop(predictions):
    labels = labels_of(predictions)
    sums, mean = predictor_sums([predictions], labels, labels), torch.tensor(labels.mean().to_numpy())
    result = estimates(sums, [*map(source_id, labels.index)], ["model"], TRAITS, resamples=40)

    sources = np.array([source_id(clip) for clip in labels.index])
    names = pd.unique(sources)
    drawn = np.random.default_rng(0).multinomial(len(names), [1 / len(names)] * len(names), size=40)
    values = []
    for times in drawn:
        rows = np.concatenate([np.flatnonzero(sources == name) for name in np.repeat(names, times)])
        scores, truth = (torch.tensor(table.to_numpy()[rows]) for table in (predictions[list(TRAITS)], labels))
        values.append(compute_metrics(scores, truth, mean))
    for line in result[result.target != "mean"].itertuples():
        of_loop = [float(value[line.metric][TRAITS.index(line.target)]) for value in values]
        assert (line.low, line.high) == pytest.approx(np.quantile(of_loop, [0.025, 0.975]), abs=1e-9)
    of_loop = [float(value["r2"].mean()) for value in values]
    mean_r2 = result[(result.metric == "r2") & (result.target == "mean")].iloc[0]
    assert mean_r2.value == pytest.approx(r2_score(labels, predictions[list(TRAITS)]), abs=1e-9)
    assert (mean_r2.low, mean_r2.high) == pytest.approx(np.quantile(of_loop, [0.025, 0.975]), abs=1e-9)


def accuracy_interval(errors, clips, resamples=4000):
    """Accuracy and its interval for scores that differ from their labels by `errors`."""
    labels = pd.DataFrame({"openness": np.full(len(errors), 0.5)}, index=clips)
    sums = predictor_sums([labels + errors[:, None]], labels, None)
    result = estimates(sums, [*map(source_id, clips)], ["model"], ["openness"], resamples=resamples)
    return result[(result.metric == "accuracy") & (result.target == "mean")].iloc[0]


def test_interval_is_that_of_the_normal_law_for_clips_of_different_sources():
    errors = np.random.default_rng(0).random(2000) / 4
    line = accuracy_interval(errors, [f"s{clip}.000.mp4" for clip in range(2000)])
    standard_error = errors.std() / np.sqrt(2000)
    assert line.value == pytest.approx(1 - errors.mean(), abs=1e-12)
    assert (line.high - line.low) / (2 * 1.96 * standard_error) == pytest.approx(1, abs=0.06)


def test_copies_of_a_clip_make_no_interval_narrower():
    errors = np.random.default_rng(0).random(500) / 4
    alone = accuracy_interval(errors, [f"s{clip}.000.mp4" for clip in range(500)])
    copied = accuracy_interval(
        np.repeat(errors, 4), [f"s{clip}.{copy:03d}.mp4" for clip in range(500) for copy in range(4)]
    )
    blind = accuracy_interval(np.repeat(errors, 4), [f"s{clip}.000.mp4" for clip in range(2000)])
    assert copied.high - copied.low == pytest.approx(alone.high - alone.low, rel=1e-6)
    assert (alone.high - alone.low) / (blind.high - blind.low) == pytest.approx(2, abs=0.15)


def test_one_source_has_no_interval():
    line = accuracy_interval(np.array([0.1, 0.2, 0.3]), ["a.000.mp4", "a.001.mp4", "a.002.mp4"])
    assert line.value == pytest.approx(0.8)
    assert np.isnan(line.low)
    assert np.isnan(line.high)


def test_undefined_number_has_no_interval(predictions):
    labels = labels_of(predictions)
    constant = predictions.assign(openness=0.5)
    result = estimates(predictor_sums([constant], labels, None), labels.index.tolist(), ["model"], TRAITS, resamples=20)
    undefined = result[result[["value", "low", "high"]].isna().any(axis=1)]
    assert undefined[["value", "low", "high"]].isna().all(axis=None)
    assert set(zip(undefined.metric, undefined.target, strict=True)) == {
        ("pcc", "openness"),
        ("pcc", "mean"),
        *(("skill", target) for target in ("mean", *TRAITS)),
    }


def test_same_seed_same_draws():
    sums, clips = torch.rand(30, 2), [f"s{clip // 2}.000.mp4" for clip in range(30)]
    torch.testing.assert_close(resample(sums, clips), resample(sums, clips), rtol=0, atol=0)
    assert not torch.equal(resample(sums, clips), resample(sums, clips, seed=1))


def test_two_thousand_resamples_of_two_thousand_clips_take_less_than_five_seconds():
    rng = np.random.default_rng(0)
    clips = [f"s{clip % 1200}.{clip // 1200:03d}.mp4" for clip in range(2000)]
    labels = pd.DataFrame(rng.random((2000, 5)), index=clips, columns=TRAITS)
    start = time.perf_counter()
    estimates(predictor_sums([labels / 2] * 4, labels, labels), clips, ["a", "b", "c", "d"], TRAITS, resamples=2000)
    assert time.perf_counter() - start < 5
