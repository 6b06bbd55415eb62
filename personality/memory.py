"""Memory of the process: on the CPU, PyTorch allocates tensors with the C library."""

import ctypes
import platform

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of mallopt(3)


def keep_freed_memory() -> bool:
    """Keep the memory of freed tensors for the next training step.

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
