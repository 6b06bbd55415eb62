"""The process's memory, which on the CPU is the C library's and not PyTorch's."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Let the process keep the memory of tensors that are gone, for those of the next training step.

    glibc gives a block above 32 MB back to the system as soon as it is free, which then hands out every page of the
    next one anew, filled with zeros: up to half of a step's time where maps are large. The process may hold up to 1.4
    times the memory, for blocks of several sizes do not fit one another's places.

    Returns:
        Whether the C library does so. Others than glibc are not asked.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
