"""Shuffled batches from a warm cache, beside a bare gather from the same map; and what more clips cost."""

import numpy as np
import psutil
import pytest
import torch
from rows import synthetic

from personality.data import ClipSpectrogram


@pytest.mark.parametrize("way", ["loader", "bare gather"])
def test_512_clips_in_shuffled_batches_of_32(benchmark, tmp_path, way):
    benchmark.group = "512 clips in shuffled batches of 32"
    data = synthetic(ClipSpectrogram, tmp_path, train=512, batch_size=32)
    inputs = data.caches["train"].inputs
    order = np.random.default_rng(0).permutation(512).reshape(-1, 32)

    def gather():
        for rows in order:
            torch.from_numpy(inputs[rows])

    def load():
        for _ in data.train_dataloader():
            pass

    benchmark.pedantic(load if way == "loader" else gather, rounds=20, warmup_rounds=2)


@pytest.mark.parametrize("clips", [1_000, 10_000, 100_000])
def test_a_batch_of_32_costs_the_same_in_a_cache_of(benchmark, tmp_path, clips):
    benchmark.group = "100 batches of 32 clips from a cache of"
    data = synthetic(ClipSpectrogram, tmp_path, train=32, segments=1)
    cache = data.caches["train"]
    cache.inputs = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (clips, 1, 1, 96, 64))
    cache.index = np.ones(clips, cache.index_dtype)
    table = data.tables["train"]
    data.tables["train"] = table.iloc[np.zeros(clips, int)]
    random = np.random.default_rng(0)
    before = psutil.Process().memory_info()

    def load():
        for _ in range(100):
            data.fetch("train", random.integers(0, clips, 32))

    benchmark.pedantic(load, rounds=5, warmup_rounds=2)
    after = psutil.Process().memory_info()
    private = (after.rss - after.shared) - (before.rss - before.shared)
    benchmark.extra_info["private memory that it grew by, MB"] = round(private / 1e6, 1)
    assert private < 50e6
