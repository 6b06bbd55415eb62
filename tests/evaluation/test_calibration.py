"""Calibration against SciPy's regression, and rescaling."""

import numpy as np
import pytest
from scipy import stats

from personality.evaluation import calibration, rescale
from personality.evaluation.predictions import labels_of
from personality.traits import TRAITS

SCORES = list(TRAITS)


def test_line_and_bias_are_those_of_scipy(predictions):
    found = calibration(predictions, resamples=50).set_index(["metric", "target"]).value
    for trait in TRAITS:
        scores, labels = predictions[trait], predictions[f"{trait}_label"]
        line = stats.linregress(scores, labels)
        assert found["slope", trait] == pytest.approx(line.slope, abs=1e-9)
        assert found["intercept", trait] == pytest.approx(line.intercept, abs=1e-9)
        assert found["bias", trait] == pytest.approx(scores.mean() - labels.mean(), abs=1e-12)


def test_scores_near_their_mean_have_a_steep_slope(predictions):
    flat = predictions.copy()
    flat[SCORES] = 0.5 + 0.4 * (labels_of(predictions) - 0.5)
    found = calibration(flat, resamples=50).set_index(["metric", "target"])
    np.testing.assert_allclose(found.loc["slope", ["value", "low", "high"]], 2.5)
    np.testing.assert_allclose(rescale(flat, flat)[SCORES], labels_of(predictions))


def test_rescaled_scores_have_slope_one_and_no_bias_on_the_validation_clips(predictions):
    rescaled = rescale(predictions.assign(openness_std=0.1), predictions)
    found = calibration(rescaled, resamples=50).set_index(["metric", "target"]).value
    np.testing.assert_allclose(found["slope"], 1)
    np.testing.assert_allclose(found["bias"], 0, atol=1e-12)
    slope = stats.linregress(predictions.openness, predictions.openness_label).slope
    np.testing.assert_allclose(rescaled.openness_std, 0.1 * slope)


def test_rescaling_learns_from_validation_clips_alone(predictions):
    predictions[SCORES] = 0.1 + 0.5 * predictions[SCORES]
    validation, test = predictions.iloc[::2], predictions.iloc[1::2]
    without_labels = rescale(test[SCORES], validation)
    np.testing.assert_array_equal(without_labels, rescale(test, validation)[SCORES])
    error = [np.mean((table[SCORES].to_numpy() - labels_of(test)) ** 2) for table in (without_labels, test)]
    assert error[0] < error[1]


def test_constant_scores_have_no_slope_and_cannot_be_rescaled(predictions):
    constant = predictions.assign(openness=0.5)
    found = calibration(constant, resamples=50).set_index(["metric", "target"]).value
    assert np.isnan(found["slope", "openness"])
    with pytest.raises(
        ValueError, match=r"rescale openness. Expected labels for it .* give the validation predictions"
    ):
        rescale(predictions, constant)
