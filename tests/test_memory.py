"""Whether a training step finds the memory of the one before, and imports are not looked through for garbage."""

import contextlib
import gc
import multiprocessing
import platform
import resource

import pytest
import torch

from personality.memory import keep_freed_memory, quick_imports

PAGES = 64 * 2**20 // resource.getpagesize()


def fewest_pages(keep):
    """How many pages the system hands out for a tensor of 64 MB after others like it: the fewest in twenty times."""
    assert not keep or keep_freed_memory()
    handed_out = []
    for _ in range(20):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.ones(2**24)
        handed_out.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return min(handed_out)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_kept_for_the_next_tensor():
    with multiprocessing.get_context("spawn").Pool(1) as pool:  # for it cannot be taken back
        given_back, kept = pool.map(fewest_pages, [False, True], chunksize=1)
    assert kept < 0.1 * PAGES
    assert given_back > 0.9 * PAGES


def test_another_c_library_is_left_as_it_is(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert keep_freed_memory() is False


def test_what_was_imported_is_not_looked_through_again():
    try:
        with contextlib.suppress(ImportError), quick_imports():
            collects = gc.isenabled()
            raise ImportError("no such module")
        assert not collects
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()
