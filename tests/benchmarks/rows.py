"""Clips that exist as features alone: synthetic numbers of the real shapes."""

import time
from functools import partial

import numpy as np
import pandas as pd

from personality.corpus import Corpus
from personality.traits import TRAITS

QUIET = {
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}
"""Words for a trainer that does what it must and no more."""


class Rows(Corpus):
    """So many clips in each split, six of a source."""

    name = "rows"

    def __init__(self, sizes):
        super().__init__()
        self.sizes = sizes

    def read(self):
        splits = np.repeat([*self.sizes], [*self.sizes.values()])
        names = [f"{split}{number // 6:06d}.{number % 6:03d}.mp4" for number, split in enumerate(splits)]
        labels = np.random.default_rng(0).uniform(0.2, 0.8, (len(names), 5))
        table = pd.DataFrame(labels, pd.Index(names, name="clip"), TRAITS)
        return table.assign(path=__file__, split=splits, group=[name.split(".")[0] for name in names])


def numbers(source, shape, dtype, extra_arrays, **_):
    """Features of the kind that a data module keeps."""
    random = np.random.default_rng(0)
    inputs = random.integers(0, 255, shape, np.uint8) if dtype == "uint8" else random.normal(size=shape)
    return {"inputs": inputs.astype(dtype), **{name: np.ones(*room) for name, room in extra_arrays.items()}}


def synthetic(kind, cache, train=64, val=16, test=16, **words):
    """A data module of a kind over such clips, ready."""
    data = kind(Rows({"train": train, "val": val, "test": test}), cache=str(cache), processes=0, **words)
    data.extract = partial(
        numbers, shape=data.stored_shape, dtype=data.dtype, extra_arrays=data.extra_arrays, **data.extract.keywords
    )
    data.prepare_data()
    data.setup()
    return data


def beside(benchmark, ours, other, rounds):
    """Time two ways in turn, so that what else goes on in the machine meets both; the first turn is for warming up.

    The benchmark's own figures are of `ours`; how many times as fast it is as `other` goes to `report`.
    """
    seconds = []

    def time_other():
        start = time.perf_counter()
        other()
        seconds.append(time.perf_counter() - start)

    ours()
    other()
    benchmark.pedantic(ours, setup=time_other, rounds=rounds)
    report(benchmark, np.divide(seconds, benchmark.stats.stats.data))


def report(benchmark, ratios):
    """Print how many times as fast ours is, and keep it: the median over the turns, the lowest and the highest."""
    median, low, high = (round(float(np.quantile(ratios, quantile)), 3) for quantile in (0.5, 0, 1))
    benchmark.extra_info["times as fast"] = [median, low, high]
    print(f"\n{benchmark.name}: {median} times as fast ({low} to {high})")
