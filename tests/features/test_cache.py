"""Caches are filled here by real processes, which hang, crash and are killed; in the end every byte must be right."""

import errno
import json
import multiprocessing
import os
import pickle
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from personality.features.cache import FeatureCache

CLIPS = [f"-ä_{number:02}.000.mp4" for number in range(40)]
ROW = (3, 1, 40, 30)
THREE = ["0", "1 bad", "2"]
EXTRAS = {"seconds": ((3,), "float64"), "mute": ((), "bool")}


def extract(source):
    """Features that tell which clip they are of, and a failure for some."""
    number, _, fate = str(source).partition(" ")
    fate, _, note = fate.partition("@")
    segments = 1 + int(number) % 3
    match fate:
        case "slow":
            time.sleep(0.02)
        case "hangs":
            Path(note).write_text(str(os.getpid()))
            time.sleep(600)
        case "exits":
            os._exit(7)
        case "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        case "bad":
            raise ValueError(f"{number}.mp4 is no video\nof any kind")
        case "long":
            raise RuntimeError("ä" * 1000)
        case "empty":
            segments = 0
        case "nan":
            number = "nan"
        case "threads":
            number = int(os.environ["OMP_NUM_THREADS"]) + cv2.getNumThreads()
    inputs = np.full((segments, *ROW[1:]), float(number), "float32")
    return {"inputs": inputs, "seconds": np.arange(segments) + 0.5, "mute": np.array(segments == 2)}


def open_cache(folder, clips=CLIPS, **changes):
    return FeatureCache(
        folder, **{"parameters": {"rate": 16000}, "clips": clips, "stored_shape": ROW, "extra_arrays": EXTRAS} | changes
    )


def fill(folder, sources=range(40), **how):
    cache = open_cache(folder, CLIPS[: len(sources)])
    cache.fill(extract, sources, **{"processes": 0} | how)
    return cache


def contents(folder):
    """All that lies in a folder, hidden or not."""
    return {str(path.relative_to(folder)): path.is_file() and path.read_bytes() for path in Path(folder).rglob("*")}


def script(code, **environment):
    """Fill in a process of its own, as `prepare.py` does."""
    command = [sys.executable, "-c", f"from test_cache import *; {code}"]
    return subprocess.Popen(
        command, cwd=Path(__file__).parent, env=os.environ | environment, stderr=subprocess.PIPE, start_new_session=True
    )


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Contents of the folder after a run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    fill(folder)
    return contents(folder)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 1 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a small disk needs the right to mount: {mount.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def limit_files():
    """Let no file grow beyond some bytes: the nearest to a full disk that needs no rights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield partial(limit_file_size, most=before[1])
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def limit_file_size(size, most=resource.RLIM_INFINITY):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))


def extract_on_a_full_disk(source, size):
    """Limit the process that extracts, which inherits no limit from the one that started it."""
    limit_file_size(size)
    return extract(source)


# ---- what is in it


def test_rows_are_the_features_padded_with_zeros(tmp_path):
    cache = fill(tmp_path)
    assert cache.complete
    assert cache.missing() == cache.verify() == []
    assert cache.inputs.shape == (40, *ROW)
    for row in range(40):
        segments = 1 + row % 3
        assert cache.segments[row] == segments
        assert (cache.inputs[row, :segments] == row).all()
        assert not cache.inputs[row, segments:].any()
        assert cache.extra("seconds")[row].tolist() == [0.5, 1.5, 2.5][:segments] + [0] * (3 - segments)
        assert cache.extra("mute")[row] == (segments == 2)


def test_anybody_can_read_it_without_this_package(tmp_path):
    cache = fill(tmp_path)
    assert sorted(contents(cache.folder)) == ["cache.json", "failures.csv", "index.npy", "inputs.npy"]
    description = json.loads((cache.folder / "cache.json").read_text())
    assert list(description) == ["parameters", "stored_shape", "dtype", "extra_arrays", "clips"]
    assert description["parameters"] == {"rate": 16000}
    assert description["clips"] == CLIPS
    assert np.load(cache.folder / "inputs.npy").shape == (40, *ROW)
    assert np.load(cache.folder / "index.npy")["segments"].tolist() == [1 + row % 3 for row in range(40)]


def test_a_batch_is_a_copy_of_what_lies_read_only_on_disk(tmp_path):
    cache = fill(tmp_path)
    batch = cache.inputs[[3, 1]]
    assert type(batch) is np.ndarray
    assert batch.flags.writeable
    assert not cache.inputs.flags.writeable
    assert cache.inputs is cache.inputs  # opened once


def test_a_cache_travels_to_another_process_without_its_bytes(tmp_path):
    cache = fill(tmp_path)
    assert cache.inputs.nbytes > 100_000
    travelled = pickle.dumps(cache)
    assert len(travelled) < 10_000
    assert (pickle.loads(travelled).inputs == cache.inputs).all()


def test_all_parts_of_an_identity_make_another_cache(tmp_path):
    changes = [
        {},
        {"parameters": {"rate": 8000}},
        {"clips": CLIPS[:-1]},
        {"clips": CLIPS[::-1]},
        {"stored_shape": (4, 1, 40, 30)},
        {"dtype": "uint8"},
        {"extra_arrays": {}},
    ]
    assert len({open_cache(tmp_path, **change).folder for change in changes}) == len(changes)


def test_the_order_of_parameters_does_not_matter(tmp_path):
    one, other = ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1})
    assert open_cache(tmp_path, parameters=one).folder == open_cache(tmp_path, parameters=other).folder


# ---- what goes wrong with a clip


def test_a_bad_clip_is_left_out_with_its_reason(tmp_path):
    cache = fill(tmp_path, ["0", "1 bad", "2 long", "3 empty", "4 nan", "5"])
    failures = cache.failures()
    assert failures["clip"].tolist() == CLIPS[1:5]
    assert failures.reason.tolist() == [
        "ValueError: 1.mp4 is no video of any kind",
        "RuntimeError: " + "ä" * 65 + " ... " + "ä" * 125,  # 400 bytes at most, and no half letter
        "ValueError: its features have no segment",
        "ValueError: its features have numbers that are not finite",
    ]
    assert cache.segments.tolist() == [1, 0, 0, 0, 0, 3]
    assert not cache.inputs[1:5].any()
    assert not cache.extra("seconds")[1:5].any()
    assert cache.complete
    assert cache.verify() == []
    pd.testing.assert_frame_equal(pd.read_csv(cache.folder / "failures.csv"), failures)


def test_a_process_that_hangs_or_crashes_costs_its_clip_alone(tmp_path):
    sources = ["0", f"1 hangs@{tmp_path / 'process'}", "2 exits", "3 dies", "4 bad", "5 threads", "6"]
    cache = fill(tmp_path, sources, processes=2, time_limit=2)
    assert dict(cache.failures().itertuples(index=False)) == {
        CLIPS[1]: "TimeoutError: it took longer than 2 s",
        CLIPS[2]: "ProcessExpired: the process ended with exit code 7",
        CLIPS[3]: "ProcessExpired: the process ended with exit code -9",
        CLIPS[4]: "ValueError: 4.mp4 is no video of any kind",
    }
    assert cache.segments.tolist() == [1, 0, 0, 0, 0, 3, 1]
    assert (cache.inputs[5] == 2).all()  # one thread of OpenMP, torch's for one, and one of OpenCV
    assert cache.verify() == []
    assert not alive(int((tmp_path / "process").read_text()))


def test_failed_clips_are_tried_again_only_when_invalidated(tmp_path):
    cache = fill(tmp_path, ["0", "1 bad"])
    cache.fill(extract, ["0", "1"], processes=0)
    assert cache.failures()["clip"].tolist() == [CLIPS[1]]
    cache.invalidate(cache.failures()["clip"])
    assert cache.missing() == [CLIPS[1]]
    assert not (cache.folder / "failures.csv").exists()
    cache.fill(extract, ["0", "1"], processes=0)
    assert len(cache.failures()) == len(pd.read_csv(cache.folder / "failures.csv")) == 0
    assert cache.segments.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("features", "words"),
    [
        ({"inputs": np.zeros((4, *ROW[1:]), "float32")}, r"inputs from extract as float32 \(4, 1, 40, 30\).*or fewer"),
        ({"inputs": np.zeros((2, 1, 40, 31), "float32")}, "inputs from extract"),
        ({"inputs": np.zeros(ROW)}, "float64"),
        ({"seconds": np.array(3.0)}, "seconds from extract"),
        ({"hours": np.zeros(3)}, r"\['inputs', 'seconds', 'mute', 'hours'\] from extract: expected .*extra_arrays"),
    ],
)
def test_features_that_do_not_fit_are_an_error_of_the_program(tmp_path, features, words):
    cache = open_cache(tmp_path)
    with pytest.raises(ValueError, match=words):
        cache.fill(lambda source: extract(source) | features, range(40), processes=0)
    assert len(cache.missing()) == 40


# ---- killed at any moment


def forked(folder):
    """Fill in a process that starts at once, since it has all modules already."""
    process = multiprocessing.get_context("fork").Process(target=fill, args=[folder])
    process.start()
    return process


def kill_twenty_times(folder):
    started, rng = time.monotonic(), random.Random(0)
    forked(folder / "timed").join()
    duration = time.monotonic() - started
    for number in range(20):
        process = forked(folder / f"{number // 2}")
        time.sleep(rng.uniform(0, duration))
        process.kill()
        process.join()


def kill_one_of_two(folder):
    rng = random.Random(0)
    for number in range(10):
        killed, spared = forked(folder / f"{number}"), forked(folder / f"{number}")
        time.sleep(rng.uniform(0, 0.1))
        killed.kill()
        killed.join()
        spared.join()
        assert spared.exitcode == 0
        assert open_cache(folder / f"{number}").complete


@pytest.mark.slow
@pytest.mark.parametrize("accident", ["kill_twenty_times", "kill_one_of_two"])
def test_after_random_kills_all_bytes_are_those_of_an_undisturbed_run(tmp_path, undisturbed, accident):
    run = script(f"{accident}(Path({str(tmp_path)!r}))")  # a process of its own: one with threads had better not fork
    _, words = run.communicate(timeout=60)
    assert run.returncode == 0, words.decode()
    for number in range(10):
        fill(tmp_path / f"{number}")
        assert contents(tmp_path / f"{number}") == undisturbed


def kill_at_every_step(folder):
    for step in count(1):
        process = os.fork()
        if not process:
            steps = count(1)

            def die(event, words, step=step, steps=steps):
                if str(folder) in str(words) and next(steps) == step:
                    os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(die)  # hears of every file that is made, opened, mapped, renamed or removed
            fill(folder / f"{step}", THREE)
            os._exit(0)
        if os.waitpid(process, 0)[1] == 0:
            assert step > 40
            return


@pytest.mark.slow
def test_after_a_kill_at_any_step_all_bytes_are_those_of_an_undisturbed_run(tmp_path):
    run = script(f"kill_at_every_step(Path({str(tmp_path / 'killed')!r}))")
    _, words = run.communicate(timeout=60)
    assert run.returncode == 0, words.decode()
    undisturbed = contents(fill(tmp_path / "undisturbed", THREE).folder.parent)
    for folder in (tmp_path / "killed").iterdir():
        fill(folder, THREE)
        assert contents(folder) == undisturbed


@pytest.mark.slow
def test_a_killed_run_with_processes_goes_on_where_it_was(tmp_path, undisturbed):
    cache = open_cache(tmp_path)
    slow = [f"{number} slow" for number in range(40)]
    run = script(f"fill({str(tmp_path)!r}, {slow!r}, processes=2)")
    wait_until(lambda: cache.folder.exists() and len(cache.missing()) < 30)
    run.kill()
    run.communicate()
    assert 0 < len(cache.missing()) < 40
    rest = [f"{number} bad" if cache.segments[number] > 0 else number for number in range(40)]
    cache.fill(extract, rest, processes=0)
    assert contents(tmp_path) == undisturbed  # what was there has not been computed again, or it would have failed


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_one_that_started_it(tmp_path, end):
    note = tmp_path / "process"
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"  # which who starts the tests may have ignored
    run = script(f"{heard}; fill({str(tmp_path)!r}, ['0 hangs@{note}'], processes=1, time_limit=600)")
    wait_until(lambda: note.exists() and note.read_text())
    started = time.monotonic()
    run.send_signal(end)
    run.communicate(timeout=60)
    wait_until(lambda: not alive(int(note.read_text())))
    assert time.monotonic() - started < 5
    assert open_cache(tmp_path, CLIPS[:1]).missing() == CLIPS[:1]


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_record_cut_short_does_not_count(tmp_path, undisturbed):
    cache = fill(tmp_path)
    index = cache.folder / "index.npy"
    whole = index.read_bytes()
    cache.invalidate([CLIPS[-1]])
    blank = index.read_bytes()
    start = len(whole) - cache.index_dtype.itemsize
    for cut in range(start, len(whole)):
        index.write_bytes(whole[:cut] + blank[cut:])
        assert cache.missing() == [CLIPS[-1]]
    fill(tmp_path)
    assert contents(tmp_path) == undisturbed


def test_shards_are_disjoint_and_make_the_whole(tmp_path, undisturbed):
    for index in (2, 0, 1):
        before = set(open_cache(tmp_path).missing()) if index != 2 else set(CLIPS)
        cache = fill(tmp_path, shard=(index, 3))
        assert len(before) - len(cache.missing()) in (13, 14)
        assert (cache.folder / "failures.csv").exists() == cache.complete == (index == 1)
    assert contents(tmp_path) == undisturbed


def test_a_complete_cache_is_left_as_it_is(tmp_path):
    cache = fill(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    cache.fill(lambda source: pytest.fail("computed again"), range(40))
    cache.invalidate(cache.verify())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


# ---- full disks


def test_a_disk_too_small_is_known_before_the_work(small_disk):
    with pytest.raises(
        OSError, match=r"written to .*disk: only 1\.\d MB are free. Expected .* 14\.\d MB free for 1000 clips"
    ) as full:
        open_cache(small_disk, list(map(str, range(1000)))).fill(extract, range(1000), processes=0)
    assert full.value.errno == errno.ENOSPC
    assert not contents(small_disk)


def test_the_space_is_taken_at_once(small_disk):
    cache = fill(small_disk, shard=(0, 2))
    with suppress(OSError), (small_disk / "rubbish").open("wb", buffering=0) as rubbish:
        while True:
            rubbish.write(bytes(4096))
    with pytest.raises(
        OSError, match=r"written to .*failures.csv: No space left"
    ):  # failures.csv alone is new, and no draft of it stays
        cache.fill(extract, range(40), processes=0)
    assert cache.complete
    assert cache.verify() == []
    (small_disk / "rubbish").unlink()
    fill(small_disk)
    assert sorted(contents(cache.folder)) == ["cache.json", "failures.csv", "index.npy", "inputs.npy"]


def test_a_complete_cache_serves_from_a_disk_that_cannot_be_written_to(small_disk):
    fill(small_disk)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    cache = fill(small_disk)
    assert (cache.inputs[8] == extract(8)["inputs"]).all()
    with pytest.raises(OSError, match=r"written to .*disk: Read-only file system. Expected a folder"):
        open_cache(small_disk, parameters={}).fill(extract, range(40), processes=0)


@pytest.mark.parametrize("processes", [0, 2])
def test_a_write_that_fails_ends_the_run_and_loses_nothing(tmp_path, undisturbed, limit_files, processes):
    cache = fill(tmp_path, shard=(0, 40))
    full_disk = partial(extract_on_a_full_disk, size=cache.inputs.nbytes // 2)
    with pytest.raises(OSError, match=r"written to .*inputs.npy: File too large.*start again") as full:
        cache.fill(full_disk, range(40), processes=processes)
    assert full.value.errno == errno.EFBIG
    assert len(cache.failures()) == 0
    limit_files(resource.RLIM_INFINITY)
    fill(tmp_path)
    assert contents(tmp_path) == undisturbed


# ---- damage


def test_flipped_bytes_are_found_and_repaired(tmp_path, undisturbed):
    cache = fill(tmp_path)
    for name, row in (("inputs", 7), ("index", 9), ("inputs", 39)):
        array = getattr(cache, name)
        with (cache.folder / f"{name}.npy").open("r+b") as file:
            file.seek(array.offset + row * array[row].nbytes + 11)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 4]))
    assert cache.verify() == [CLIPS[7], CLIPS[9], CLIPS[39]]
    cache.invalidate(cache.verify())
    assert cache.missing() == [CLIPS[7], CLIPS[9], CLIPS[39]]
    fill(tmp_path)
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("cache.json", lambda whole: whole.replace(b"16000", b"16001"), "cache.json describes other features"),
        ("inputs.npy", lambda whole: whole[:-100], "mmap|larger|size"),
        ("inputs.npy", lambda whole: b"not an array", "the magic string is not correct"),
        ("inputs.npy", lambda whole: b"", "EOF: reading magic string"),
        ("index.npy", lambda whole: whole.replace(b"(40,)", b"(39,)"), r"it holds .*\(39,\) instead of"),
    ],
)
def test_a_damaged_cache_is_not_read(tmp_path, name, damage, words):
    file = fill(tmp_path).folder / name
    file.write_bytes(damage(file.read_bytes()))
    cache = open_cache(tmp_path)
    with pytest.raises(ValueError, match=rf"Got {cache.folder}/.*npy: expected .*({words}).* Delete the folder"):
        cache.inputs.sum() + cache.segments.sum()


def test_a_cache_that_is_not_there_is_missed(tmp_path):
    cache = open_cache(tmp_path)
    assert not cache.complete
    with pytest.raises(FileNotFoundError, match=r"no features in .*expected those of 40 clips; prepare them first"):
        cache.inputs.sum()
    assert not contents(tmp_path)


def test_a_file_in_the_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("something else")
    with pytest.raises(OSError, match=r"written to .*file: (File exists|Not a directory). Expected a folder"):
        fill(tmp_path / "file")


# ---- what is asked for


def test_clips_and_sources_and_shards_that_make_no_sense(tmp_path):
    with pytest.raises(ValueError, match=r"Got no clips .* expected at least one"):
        open_cache(tmp_path, clips=[])
    with pytest.raises(ValueError, match="Got 39 sources for 40 clips: expected one each"):
        open_cache(tmp_path).fill(extract, range(39))
    with pytest.raises(ValueError, match=r"Got shard \(3, 3\): expected one of \(0, 3\) to \(2, 3\)"):
        fill(tmp_path, shard=(3, 3))
    with pytest.raises(TypeError, match=r"set is not JSON serializable.*Expected numbers, strings"):
        open_cache(tmp_path, parameters={"rates": {1, 2}})


def test_an_extract_that_no_process_can_import(tmp_path):
    run = script(f"exec('def here(source): pass'); open_cache({str(tmp_path)!r}).fill(here, range(40), processes=1)")
    _, words = run.communicate(timeout=60)
    assert b"RuntimeError: Got no process to extract features" in words
    assert b"or compute with processes=0" in words


def test_progress_and_result_are_told(tmp_path, caplog, capsys):
    with caplog.at_level("INFO"):
        cache = fill(tmp_path / "train", ["0", "1 bad"])
    assert caplog.messages == [
        f"{cache.folder}: 1 clips done, 1 failed (failures.csv lists them at the end), 0 missing"
    ]
    output = capsys.readouterr().err
    assert "Features of train: 2 of 2 clips" in output
