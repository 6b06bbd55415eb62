"""Ridge regression from sums, against scikit-learn on the clips themselves."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from personality.models.moments import Block, Moments

PENALTIES = [0.01, 0.1, 1.0, 10.0]


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(700, 20)) * rng.uniform(0.1, 5, 20) + rng.normal(size=20)
    inputs[:, 3] = 2.0  # the same in all clips
    labels = np.stack([inputs @ rng.normal(size=20) / 9 + rng.normal(size=700), rng.normal(size=700)], 1)
    return inputs, labels, rng.integers(0, 4, 700)


def summed(inputs, labels, folds, batch=32):
    moments = Moments(folds=4, blocks=[Block(20)], targets=2)
    parts = (torch.from_numpy(part).split(batch) for part in (inputs, labels, folds))
    for part in zip(*parts, strict=True):
        moments.add(*part)
    return moments


def reference(inputs, labels, penalty):
    scaler = StandardScaler().fit(inputs)
    solved = Ridge(penalty * len(inputs)).fit(scaler.transform(inputs), labels)
    return lambda others: solved.predict(scaler.transform(others))


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_solution_is_that_of_scikit_learn(clips, penalty):
    inputs, labels, _ = clips
    solution = summed(*clips).solve([penalty])
    scores = inputs @ solution.weight.numpy().T + solution.bias.numpy()
    np.testing.assert_allclose(scores, reference(inputs, labels, penalty)(inputs), atol=1e-8)
    assert not solution.weight[:, 3].any()


def test_the_penalty_of_each_target_is_the_best_on_left_out_folds(clips):
    inputs, labels, folds = clips
    errors = np.zeros((len(PENALTIES), 2))
    for fold in range(4):
        for row, penalty in enumerate(PENALTIES):
            scores = reference(inputs[folds != fold], labels[folds != fold], penalty)(inputs[folds == fold])
            errors[row] += ((scores - labels[folds == fold]) ** 2).sum(0) / len(labels)
    solution = summed(*clips).solve(PENALTIES)
    np.testing.assert_allclose(solution.errors, errors, rtol=1e-8)
    assert solution.penalties.tolist() == [PENALTIES[row] for row in errors.argmin(0)]
    assert solution.penalties[0] < solution.penalties[1]  # noise wants the largest


def test_more_descriptors_than_clips_have_a_solution(clips):
    inputs, labels, folds = (part[:12] for part in clips)
    solution = summed(inputs, labels, folds).solve(PENALTIES)
    assert solution.weight.isfinite().all()
