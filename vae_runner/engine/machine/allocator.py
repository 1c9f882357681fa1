"""Memory that a step frees stays with the process, for the next step.

glibc gives large freed blocks back to the system at once, and the next step faults every page of them in again: at
batch 64, 26,000 page faults a step, a quarter to a half of its time in fp32. With `mallopt(3)`, blocks of up to 1 GiB
come from the heap (M_MMAP_THRESHOLD), and the heap's free end is kept (M_TRIM_THRESHOLD). Peak memory stays the same.
"""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of malloc.h


def keep_freed_memory() -> bool:
    """Set it for the rest of the process; returns whether there is a glibc to set it for."""
    if not sys.platform.startswith("linux"):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version"):
        return False
    return bool(libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1) and libc.mallopt(_MMAP_THRESHOLD, 2**30))
