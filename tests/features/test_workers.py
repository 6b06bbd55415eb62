"""Processes side by side."""

import os
import signal
import time
from functools import partial
from pathlib import Path

from personality.features.workers import run_tasks


class LateForAllButOne:
    """What takes a second to arrive in every process but the first that gets it."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return _arrive, (self.folder,)


def _arrive(folder):
    first = Path(folder, "first")
    try:
        with first.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        if first.read_text() != str(os.getpid()):
            time.sleep(1)
    return LateForAllButOne(folder)


def stay(_, row, source):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a process that ends slowly


def test_a_process_that_starts_when_all_is_done_ends_in_silence(tmp_path, capfd):
    compute = partial(stay, LateForAllButOne(str(tmp_path)))
    assert sorted(run_tasks(compute, [(0, None), (1, None), (2, None)], 2, 60.0)) == [(0, ""), (1, ""), (2, "")]
    assert capfd.readouterr().err == ""
