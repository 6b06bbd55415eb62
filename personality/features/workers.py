"""A pool of processes with a time limit for each task; no process outlives the one that started it."""

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


def run_tasks(
    compute: Callable[[int, Any], None], tasks: Sequence[tuple[int, Any]], processes: int | None, time_limit: float
) -> Generator[tuple[int, str]]:
    """Run `compute(row, source)` for all tasks in a pool of processes.

    Args:
        compute: The function; it writes its result itself.
        tasks: Row and source of each clip.
        processes: Number of processes; by default one for each core. 0 runs all tasks in this process.
        time_limit: Seconds after which a process is killed.

    Yields:
        The row of each task that ended, and the error text if its process crashed or ran out of time.
    """
    if processes == 0:
        for row, source in tasks:
            compute(row, source)
            yield row, ""
        return
    if processes is None:
        processes = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    # A fork of this process would inherit locked locks of libraries. A fork server, where there is one, imports what
    # `compute` needs, which takes seconds, once for all processes of all splits.
    context = get_context("forkserver" if "forkserver" in get_all_start_methods() else "spawn")
    if context.get_start_method() == "forkserver":
        context.set_forkserver_preload(["__main__", _module(compute)])
    others = {*active_children()}
    pool = ProcessPool(min(processes, len(tasks)), initializer=_start, initargs=(compute,), context=context)
    waiting, running = iter(tasks), dict[Future[None], int]()
    try:
        while True:
            for row, source in islice(waiting, 2 * processes - len(running)):  # a short queue for any number of tasks
                running[pool.schedule(compute, (row, source), timeout=time_limit)] = row
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), _error_text(future.exception(), time_limit)
    finally:
        pool.stop()
        # A process that is still starting would print an error when `join` removes the locks of the pool.
        for process in {*active_children()} - others:
            process.terminate()
        pool.join()


def _module(function: Any) -> str:
    """Return the module of a function, or of the function that a `functools.partial` was given."""
    while isinstance(function, partial):
        function = next((part for part in function.args if callable(part)), function.func)
    return str(function.__module__)


def _error_text(error: BaseException | None, time_limit: float) -> str:
    """Return the text of an error that concerns one clip; raise any other error."""
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
    """Initialise a process. Unpickling `compute` imports its modules before the time limit of the first clip runs."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}  # there is a process for each core
    for library, limit in {"torch": "set_num_threads", "cv2": "setNumThreads"}.items():
        if library in sys.modules:
            getattr(sys.modules[library], limit)(1)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent ends, even if that is killed."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
