"""Nobody on both sides, whatever the clips are."""

import numpy as np
import pandas as pd
import pytest

from personality.corpus import SPLITS, FirstImpressions, SampleCorpus
from personality.corpus.splits import known_share, split_by_group
from personality.traits import TRAITS, source_id


@pytest.fixture(scope="module")
def clips():
    """Names of as many clips and sources as the real data set has."""
    random = np.random.default_rng(0)
    return [f"-a.{source:07d}_.{number:03d}.mp4" for source in range(3060) for number in range(random.integers(1, 7))]


@pytest.mark.parametrize("shares", [(6, 2, 2), (8, 1, 1), (0.5, 0.25, 0.25)])
def test_sizes_are_as_the_shares_say_and_nobody_is_in_two_splits(clips, shares):
    splits = pd.Series(split_by_group([*map(source_id, clips)], shares=shares), index=clips)
    found = splits.value_counts(normalize=True)[list(SPLITS)]
    np.testing.assert_allclose(found, np.array(shares) / sum(shares), atol=6 / len(clips))
    assert splits.groupby(source_id).nunique().eq(1).all()
    parts = {split: splits.index[splits == split].map(source_id) for split in SPLITS}
    assert known_share(parts["val"], parts["train"]) == known_share(parts["test"], parts["train"]) == 0


def test_the_order_does_not_matter_and_the_seed_does(clips):
    splits = pd.Series(split_by_group([*map(source_id, clips)]), index=clips)
    shuffled = list(np.random.default_rng(1).permutation(clips))
    assert pd.Series(split_by_group([*map(source_id, shuffled)]), index=shuffled)[clips].equals(splits)
    others = pd.Series(split_by_group([*map(source_id, clips)], seed=1), index=clips)
    assert (others == splits).mean() == pytest.approx(0.6**2 + 2 * 0.2**2, abs=0.03)  # as of two independent draws


@pytest.mark.parametrize("sizes", [(1, 1, 1), (10, 1, 1), (1, 5, 1, 1), (3, 3, 3, 3)])
def test_no_split_is_empty_where_there_are_three_sources(sizes):
    names = [
        f"{letter * 11}.{number:03d}.mp4" for letter, size in zip("abcd", sizes, strict=False) for number in range(size)
    ]
    assert set(split_by_group([*map(source_id, names)])) == set(SPLITS)


@pytest.mark.parametrize("shares", [(6, 2), (6, 2, 0), (1, 1, 1, 1)])
def test_shares_are_three_above_zero(clips, shares):
    with pytest.raises(ValueError, match="expected three above 0, of train, val, test"):
        split_by_group(clips, shares=shares)


def test_crossing_is_counted_in_clips():
    assert known_share(["a", "a", "b", "c"], train=["a", "c"]) == 0.75


@pytest.mark.parametrize("kind", [FirstImpressions, SampleCorpus])
def test_a_corpus_is_split_by_group_on_demand(corpus, kind, caplog):
    words = {"sizes": corpus.sizes, "seconds": corpus.seconds} if kind is SampleCorpus else {}
    anew = kind(corpus.root, split="by_group", **words)
    with caplog.at_level("INFO"):
        anew.prepare()
    assert "0.0% of its clips are of a group that is also in train" in caplog.text
    tables = [anew.clips(split) for split in SPLITS]
    together = pd.concat(tables).sort_index()
    assert together.equals(pd.concat([corpus.clips(split) for split in SPLITS]).sort_index())
    assert pd.concat(tables).index.map(source_id).nunique() == sum(
        table.index.map(source_id).nunique() for table in tables
    )
    assert list(tables[0]) == ["path", "group", *TRAITS]


def test_an_unknown_way_to_split_is_refused(corpus):
    with pytest.raises(ValueError, match=r"Got split 'random'. Expected official or by_group"):
        FirstImpressions(corpus.root, split="random")
