"""Grounded skill: the parts of a score by hand, and their shares of the explained variance by NumPy."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from personality.explanation.grounded_skill import EXPLAINED, PARTS, grounded_skill, save_grounded_skill, split_maps
from personality.traits import TRAITS

CLIPS = 40


def test_the_parts_of_a_map_add_up_to_its_mean():
    maps = np.random.default_rng(0).normal(size=(3, 5, 4, 6))
    masks = {name: np.zeros((3, 4, 6), bool) for name in ("expression", "action", "background", "eyes")}
    masks["expression"][0, 0], masks["action"][0, 1, :2], masks["background"][0, 1:3] = True, True, True
    masks["background"][2, 3, 5] = True
    seen, heard = (split_maps(maps, masks, joined) for joined in (False, True))
    assert seen[0] == pytest.approx((maps[0, :, 0].sum(1) + maps[0, :, 1, :2].sum(1)) / 48)
    background = maps[0, :, 1, 2:].sum(1) + maps[0, :, 2].sum(1) + maps[2, :, 3, 5]
    assert seen[1] == pytest.approx(background / 48)  # behaviour comes first where both are
    assert seen.sum(0) == pytest.approx(maps[[0, 2]].mean((0, 2, 3)))  # frames without any annotation do not count
    assert heard.sum(0) == pytest.approx(maps.mean((0, 2, 3)))


@pytest.fixture
def explainer():
    labels = np.random.default_rng(1).random((CLIPS, 5))
    clips = pd.DataFrame(labels, columns=TRAITS).assign(group=[f"source{row // 2}" for row in range(CLIPS)])
    clips.loc[3, "openness"] = np.nan
    return SimpleNamespace(data=SimpleNamespace(targets=[*TRAITS], clips=lambda split: clips), split="test")


def test_shares_of_the_explained_variance_are_those_of_the_covariance(explainer, tmp_path):
    labels = explainer.data.clips("test")[[*TRAITS]].to_numpy()
    parts = np.random.default_rng(2).normal(0, 0.2, (CLIPS, 3, 5))
    parts[:, 0] += np.nan_to_num(labels)
    parts[:, 1] -= 0.3 * np.nan_to_num(labels)
    table = grounded_skill(explainer, [*range(CLIPS)], parts)
    assert (table[["clips", "sources"]] == [CLIPS - 1, CLIPS // 2]).all(axis=None)
    known = [row for row in range(CLIPS) if row != 3]
    value = table.set_index(["part", "target"])["value"]
    for target, trait in enumerate(TRAITS):
        label, split = labels[known, target], parts[known, :, target]
        explained = np.corrcoef(split.sum(1), label)[0, 1] ** 2
        covariances = [np.cov(split[:, part], label)[0, 1] for part in range(3)]
        expected = explained * np.array(covariances) / np.cov(split.sum(1), label)[0, 1]
        assert value[EXPLAINED, trait] == pytest.approx(explained)
        assert [value[part, trait] for part in PARTS] == pytest.approx(expected)
        assert sum(expected) == pytest.approx(explained)
        assert expected[0] > 0 > expected[1]
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()
    save_grounded_skill(tmp_path, explainer, [*range(CLIPS)], parts)
    assert {path.name for path in tmp_path.iterdir()} == {"grounded_skill.csv", "grounded_skill.png"}


def test_two_clips_say_nothing(explainer, tmp_path):
    save_grounded_skill(tmp_path, explainer, [0, 1], np.ones((2, 3, 5)))
    assert not [*tmp_path.iterdir()]
