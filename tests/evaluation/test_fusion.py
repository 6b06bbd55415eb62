"""Late fusion: the plain mean, and weights that are those of a textbook."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LinearRegression

from personality.evaluation import fuse, learn_weights
from personality.evaluation.__main__ import main
from personality.evaluation.fusion import fuse_folds
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
    assert (weights[:-1].to_numpy() >= 0).all()
    for trait in TRAITS:
        scores, labels = np.stack([model[trait] for model in models], axis=1), labels_of(predictions)[trait]
        best = minimize(
            lambda w, x=scores, y=labels: np.sum((x @ w[:3] + w[3] - y) ** 2),
            np.array([1, 1, 1, 0]) / 3,
            bounds=[*[(0, None)] * 3, (None, None)],
        )
        np.testing.assert_allclose(weights[trait], best.x, atol=2e-3)


def test_learnt_weights_serve_clips_that_they_have_not_seen(predictions, other):
    learn, test = slice(0, None, 2), slice(1, None, 2)
    weights = learn_weights([predictions.iloc[learn], other.iloc[learn]])
    fused = fuse([predictions.iloc[test], other.iloc[test]], weights.to_numpy())
    error = {
        name: np.mean((table[SCORES].to_numpy() - labels_of(fused)) ** 2)
        for name, table in [("fused", fused), ("first", predictions.iloc[test]), ("second", other.iloc[test])]
    }
    assert error["fused"] < min(error["first"], error["second"])


def write_folds(run, predictions, labels, folds=3):
    """A run with folds, as train.py leaves it: fold k tests the clips k, k + 3, ..., and the next fold's validate."""
    turn = np.arange(len(predictions)) % folds
    for fold in range(folds):
        folder = run / f"fold_{fold}"
        folder.mkdir(parents=True)
        predictions[turn == fold].to_csv(folder / "predictions_test.csv")
        predictions[turn == (fold + 1) % folds].to_csv(folder / "predictions_val.csv")
        labels[(turn != fold) & (turn != (fold + 1) % folds)].to_csv(folder / "labels_train.csv")
    return run


def test_runs_with_folds_are_fused_with_weights_of_each_fold(predictions, other, tmp_path, capsys):
    labels = labels_of(predictions)
    runs = [write_folds(tmp_path / name, table, labels) for name, table in [("one", predictions), ("other", other)]]
    assert main(["fuse", *map(str, runs), "-o", str(tmp_path / "fused.csv")]) == 0
    assert f"{len(predictions)} clips" in capsys.readouterr().out
    fused = pd.read_csv(tmp_path / "fused.csv", index_col="clip")
    turn = np.arange(len(predictions)) % 3
    for fold in range(3):
        validation, test = turn == (fold + 1) % 3, turn == fold
        for trait in TRAITS:
            x, y = np.stack([predictions[trait], other[trait]], axis=1), labels[trait].to_numpy()
            fitted = LinearRegression(positive=True).fit(x[validation], y[validation])
            np.testing.assert_allclose(fused.loc[predictions.index[test], trait], fitted.predict(x[test]), atol=1e-6)
    with pytest.raises(ValueError, match=r"Got finished folds: 3 in .*one, 2 in .*less\. Expected runs with the same"):
        fuse_folds([runs[0], write_folds(tmp_path / "less", other, labels, folds=2)])
    later = np.roll(np.arange(len(other)), 1)
    shuffled = write_folds(tmp_path / "shuffled", other.iloc[later], labels.iloc[later])
    with pytest.raises(ValueError, match=r"shuffled/fold_0 was trained on .* Expected the same folds"):
        fuse_folds([runs[0], shuffled])


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
    with pytest.raises(ValueError, match=r"Got weights of shape \(4, 5\) for 2 models and 5 targets. Expected one"):
        fuse([predictions, other], np.ones((4, 5)))
    with pytest.raises(ValueError, match="No validation clip is scored by all models"):
        learn_weights([predictions.iloc[:5], other.iloc[5:]])
