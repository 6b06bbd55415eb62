"""Baselines: their scores, and that the source lookup shrinks as much as it should."""

import numpy as np
import pandas as pd
import pytest

from personality.evaluation.baselines import baselines, source_lookup
from personality.evaluation.predictions import groups_of
from personality.traits import TRAITS


def test_mean_and_median_are_the_same_for_every_clip(train):
    clips = ["a.000.mp4", "b.000.mp4"]
    found = baselines(train, groups_of(train), groups_of(pd.DataFrame(index=pd.Index(clips, name="clip"))))
    assert list(found) == ["mean predictor", "median predictor", "source lookup"]
    for name, expected in [("mean predictor", np.mean(train, axis=0)), ("median predictor", np.median(train, axis=0))]:
        np.testing.assert_allclose(found[name].loc[clips, list(TRAITS)], np.stack([expected] * 2))


def lookup(train, clips):
    return source_lookup(train, groups_of(train), groups_of(pd.DataFrame(index=clips)))


def test_lookup_follows_its_formula():
    # Two sources of three and one clips; by hand: within 0.02 / 2, n0 = (4 - 10/4) / 1, between (0.1875 - 0.01) / 1.5.
    train = pd.DataFrame({"openness": [0.1, 0.2, 0.3, 0.7]}, index=["a.000", "a.001", "a.002", "b.000"])
    k = 0.01 / ((0.1875 - 0.01) / 1.5)
    scores = lookup(train, ["a.005.mp4", "b.005.mp4", "c.000.mp4"])["openness"]
    mean = 0.325
    assert scores.tolist() == pytest.approx([(3 * 0.2 + k * mean) / (3 + k), (0.7 + k * mean) / (1 + k), mean])


@pytest.mark.parametrize("within", [0.02, 0.1, 0.3])
def test_lookup_shrinks_by_the_amount_with_the_least_error(within):
    rng = np.random.default_rng(0)
    person = np.repeat(rng.normal(0, 0.1, 1500), 3)
    labels = person + rng.normal(0, within, len(person))
    clips = [f"s{clip // 3}.{clip % 3:03d}" for clip in range(len(person))]
    unseen = np.arange(len(person)) % 3 == 0
    train = pd.DataFrame({"openness": labels}, index=clips)[~unseen]
    names = [clip for clip, new in zip(clips, unseen, strict=True) if new]
    error = np.mean((lookup(train, names)["openness"].to_numpy() - labels[unseen]) ** 2)
    source_means = train["openness"].to_numpy().reshape(-1, 2).mean(axis=1)
    errors = [np.mean((share * source_means - labels[unseen]) ** 2) for share in np.linspace(0, 1, 101)]
    assert error == pytest.approx(min(errors), rel=0.01)


def test_lookup_of_uninformative_sources_is_the_mean():
    train = pd.DataFrame({"openness": [0.2, 0.8, 0.8, 0.2]}, index=["a.000", "a.001", "b.000", "b.001"])
    assert lookup(train, ["a.002.mp4"])["openness"].tolist() == [0.5]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([0.2, 0.6], 0.3), ([0.4, 0.4], 0.4), ([0.4, np.nan], 0.4)],
    ids=["no source has two clips", "constant", "a source without a label"],
)
def test_lookup_where_the_variance_ratio_is_unknown(labels, expected):
    train = pd.DataFrame({"openness": labels}, index=["a.000.mp4", "b.000.mp4"])
    assert lookup(train, ["a.001.mp4"])["openness"].tolist() == pytest.approx([expected])
