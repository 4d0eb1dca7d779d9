"""Memory that training frees stays with the process, ready for the next step."""

from __future__ import annotations

import ctypes
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Names and numbers of :manpage:`mallopt(3)`."""


@cache
def keep_freed_memory() -> None:
    """Ask the C library to hand nothing back to the kernel, once in a process; others than glibc are left as they are.

    A step through networks of photographs' size takes and frees blocks of many megabytes by the hundred. glibc gives
    each of them back at once and gets it again page by page, which on a virtual machine can take as long as the
    networks do. The price: what the process has taken it keeps until it ends.
    """
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(M_MMAP_MAX, 0)
        tune(M_TRIM_THRESHOLD, -1)
