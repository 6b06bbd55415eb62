"""Memory of the process: what is freed, and what Python looks through for garbage."""

import ctypes
import gc
import platform
from collections.abc import Iterator
from contextlib import contextmanager

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in this context without garbage collection, and never look through what was imported again.

    Modules stay until the process ends. Looking through PyTorch and Lightning for garbage takes a fifth of the time of
    their import, and once more as much at the end of the process. 1 % more memory is needed.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.freeze()


def keep_freed_memory() -> bool:
    """Keep the memory of freed tensors for the next training step: on the CPU, PyTorch leaves them to the C library.

    glibc returns a freed block above 32 MB to the system, which must fill the next one with zeros: up to half of the
    time of a step with large maps. With this setting a process may need up to 1.4 times the memory, since freed blocks
    have other sizes than new ones.

    Returns:
        Whether it was set: False for C libraries other than glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
