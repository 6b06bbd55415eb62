"""Late fusion: the plain mean, and weights that are those of a textbook."""

import numpy as np
import pytest
from scipy.optimize import minimize

from personality.evaluation import fuse, learn_weights
from personality.evaluation.predictions import labels_of
from personality.traits import TRAITS

SCORES = list(TRAITS)


@pytest.fixture
def other(predictions):
    """A second model, whose errors are its own."""
    noise = np.random.default_rng(9).normal(0.1, 0.05, (len(predictions), 5))
    result = predictions.copy()
    result[SCORES] = 0.8 * labels_of(predictions) + noise
    return result


def test_plain_mean(predictions, other):
    fused = fuse([predictions, other])
    np.testing.assert_allclose(fused[SCORES], (predictions[SCORES] + other[SCORES]) / 2)
    np.testing.assert_array_equal(labels_of(fused), labels_of(predictions))


def test_learnt_weights_are_the_best_that_are_not_negative(predictions, other):
    against = predictions.copy()
    against[SCORES] = 1 - labels_of(predictions) ** 2
    models = [predictions, other, against]
    weights = learn_weights(models)
    assert (weights.to_numpy() >= 0).all()
    for trait in TRAITS:
        scores, labels = np.stack([model[trait] for model in models], axis=1), labels_of(predictions)[trait]
        best = minimize(lambda w, x=scores, y=labels: np.sum((x @ w - y) ** 2), np.ones(3) / 3, bounds=[(0, None)] * 3)
        np.testing.assert_allclose(weights[trait], best.x, atol=1e-3)


def test_learnt_weights_serve_clips_that_they_have_not_seen(predictions, other):
    learn, test = slice(0, None, 2), slice(1, None, 2)
    weights = learn_weights([predictions.iloc[learn], other.iloc[learn]])
    fused = fuse([predictions.iloc[test], other.iloc[test]], weights.to_numpy())
    error = {
        name: np.mean((table[SCORES].to_numpy() - labels_of(fused)) ** 2)
        for name, table in [("fused", fused), ("first", predictions.iloc[test]), ("second", other.iloc[test])]
    }
    assert error["fused"] < min(error["first"], error["second"])


def test_a_clip_that_one_model_lacks_has_no_fused_score(predictions, other):
    fused = fuse([predictions.iloc[1:], other.iloc[:-1]])
    assert len(fused) == len(predictions)
    assert fused[SCORES].isna().all(axis=1).tolist() == [True, *[False] * (len(predictions) - 2), True]
    assert labels_of(fused).notna().all(axis=None)


def test_scores_without_labels_can_be_fused_too(predictions, other):
    assert list(fuse([predictions[SCORES], other])) == SCORES


def test_files_that_do_not_fit(predictions, other):
    with pytest.raises(ValueError, match="No clip is scored in all files"):
        fuse([predictions.iloc[:5], other.iloc[5:]])
    with pytest.raises(ValueError, match=r"Got weights of shape \(3, 5\) for 2 models and 5 targets. Expected one"):
        fuse([predictions, other], np.ones((3, 5)))
    with pytest.raises(ValueError, match="No validation clip is scored by all models"):
        learn_weights([predictions.iloc[:5], other.iloc[5:]])
