"""Processes that compute clips side by side, each clip within its time, and none outliving the one that started it."""

import os
import sys
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from itertools import islice
from multiprocessing import active_children, get_all_start_methods, get_context, parent_process
from threading import Thread
from typing import Any

from pebble import ProcessExpired, ProcessPool


def computed(
    compute: Callable[[int, Any], None], tasks: Sequence[tuple[int, Any]], processes: int | None, time_limit: float
) -> Generator[tuple[int, str]]:
    """Compute side by side; yield each row that is through, and what befell its process, if anything.

    Few clips wait in the queue however many there are, and features never pass between processes.
    """
    if processes == 0:
        for row, source in tasks:
            compute(row, source)
            yield row, ""
        return
    if processes is None:
        processes = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    # A fork of this process would inherit the locks of libraries in the middle of something. A fork server, where there
    # is one, imports what `compute` needs, which takes seconds, once for all processes of all splits.
    fresh = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if fresh.get_start_method() == "forkserver":
        fresh.set_forkserver_preload(["__main__", _module(compute)])
    others = {*active_children()}
    pool = ProcessPool(min(processes, len(tasks)), initializer=_start, initargs=(compute,), context=fresh)
    waiting, running = iter(tasks), dict[Future[None], int]()
    try:
        while True:
            for row, source in islice(waiting, 2 * processes - len(running)):
                running[pool.schedule(compute, (row, source), timeout=time_limit)] = row
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), _misfortune(future.exception(), time_limit)
    finally:
        pool.stop()
        # Before their locks go, over which a process that only starts would stumble aloud.
        for process in {*active_children()} - others:
            process.terminate()
        pool.join()


def _module(function: Any) -> str:
    """Name the module that a function comes from, or that a `functools.partial` got it from."""
    while isinstance(function, partial):
        function = next((part for part in function.args if callable(part)), function.func)
    return str(function.__module__)


def _misfortune(error: BaseException | None, time_limit: float) -> str:
    """Put into words what befell a process at a clip; raise what no other clip would be spared."""
    match error:
        case None:
            return ""
        case ProcessExpired():
            return f"ProcessExpired: the process ended with exit code {error.exitcode}"
        case TimeoutError():
            return f"TimeoutError: it took longer than {time_limit:g} s"
        case BrokenProcessPool():
            raise RuntimeError(
                "Got no process to extract features: each ended as it started. Expected extract in a module that can "
                "be imported, and a script that starts under `if __name__ == '__main__'`; or compute with processes=0."
            ) from error
        case _:
            raise error


def _start(compute: Any) -> None:
    """Begin a process: `compute` came along so that all it imports is there before the first clip's time runs."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}  # there is a process for each core
    for library, limit in {"torch": "set_num_threads", "cv2": "setNumThreads"}.items():
        if library in sys.modules:
            getattr(sys.modules[library], limit)(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the end of the process that started this one, which may be killed, and let nothing live on."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
