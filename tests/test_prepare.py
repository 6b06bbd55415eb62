"""Features survive killed processes and damaged files."""

import multiprocessing
import os
import random
import signal
import time

import numpy as np
import pandas as pd
import pytest
from test_scripts import ROOT, execute, newest, run

INPUT = "data=summary_spectrogram"


@pytest.fixture(scope="module")
def overrides(corpus):
    sizes = ",".join(map(str, corpus.sizes))
    return [INPUT, f"corpus.root={corpus.root}", f"corpus.sizes=[{sizes}]", "corpus.seconds=4"]


@pytest.fixture(scope="module")
def undisturbed(overrides, tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    run("prepare", *overrides, f"data.cache={folder}/cache", folder=folder)
    return contents(folder / "cache")


def contents(cache):
    return {str(path.relative_to(cache)): path.read_bytes() for path in sorted(cache.rglob("*")) if path.is_file()}


def start(overrides, folder):
    folder.mkdir(exist_ok=True)
    process = multiprocessing.get_context("forkserver").Process(target=alone, args=(overrides, folder))
    process.start()
    return process


def alone(overrides, folder):
    """Run in a group of its own, so that all processes of a run can be killed at the same moment."""
    os.setsid()
    execute(ROOT / "prepare.py", overrides, folder)


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        process.kill()
    process.join()


@pytest.mark.slow
def test_twenty_kills_change_nothing(overrides, undisturbed, tmp_path):
    overrides = (*overrides, f"data.cache={tmp_path}/cache", "data.processes=2")
    rng = random.Random(0)
    there, patience = set(), 1.0
    for _ in range(20):
        process = start(overrides, tmp_path)
        time.sleep(patience * (0.5 + 2 * rng.random()))
        kill(process)
        there.add(len([*tmp_path.glob("cache/*/*/*/*/inputs.npy")]))
        if there == {0}:
            patience *= 1.3  # a busy machine has not come to the features yet
    assert there & {1, 2, 3}  # some of the kills met features that were being made
    run("prepare", *overrides, folder=tmp_path)
    assert contents(tmp_path / "cache") == undisturbed


@pytest.mark.slow
def test_two_runs_that_share_a_cache_change_nothing_even_if_one_is_killed(overrides, undisturbed, tmp_path):
    overrides = (*overrides, f"data.cache={tmp_path}/cache", "data.processes=1")
    first, second = start(overrides, tmp_path / "first"), start(overrides, tmp_path / "second")
    time.sleep(1.5)
    kill(first)
    second.join()
    assert second.exitcode == 0
    assert contents(tmp_path / "cache") == undisturbed


def test_shards_make_together_what_one_run_makes(overrides, undisturbed, tmp_path):
    overrides = (*overrides, f"data.cache={tmp_path}/cache", "data.processes=0")
    output = run("prepare", *overrides, "shard=[1,2]", folder=tmp_path)
    clips = pd.read_csv(newest(tmp_path, "prepare") / "clips.csv")
    assert set(clips["state"]) == {"done", "missing"}
    assert (clips["state"] == "missing").sum() == 7  # 3 of 6, 2 of 3 and 2 of 3
    assert "missing" in output
    run("prepare", *overrides, "shard=[0,2]", folder=tmp_path)
    assert contents(tmp_path / "cache") == undisturbed
    assert "expected one of (0, 2)" in run("prepare", *overrides, "shard=[2,2]", folder=tmp_path, expect=1)


def test_damaged_features_are_found_and_repaired(overrides, undisturbed, tmp_path):
    overrides = (*overrides, f"data.cache={tmp_path}/cache", "data.processes=0")
    run("prepare", *overrides, folder=tmp_path)
    (path,) = (tmp_path / "cache").glob("*/*/train/*/inputs.npy")
    array = np.load(path, mmap_mode="r+")
    array[3, 0, 0, 100, 5] += 1
    array.flush()
    assert contents(tmp_path / "cache") != undisturbed
    output = run("prepare", *overrides, "verify=true", folder=tmp_path)
    assert "1 clips have damaged features" in output
    assert contents(tmp_path / "cache") == undisturbed
