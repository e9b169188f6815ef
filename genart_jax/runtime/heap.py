"""What a program does with memory that it has freed.

XLA on CPU asks for all temporary memory of a step in one block and frees it after the step. glibc gives a block above
32 MiB back to the system, and the system hands out zeroed pages, one fault each, at every step. It keeps large blocks
for the main thread alone: so that is where programs have to run.

Tracing a step makes objects by the million, which live until it is lowered. Python looks through them for garbage
after every few hundred, for a quarter of the time and in vain.
"""

from __future__ import annotations

import ctypes
import gc
import os
import platform

import jax

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep() -> bool:
    """Lets the C library keep up to 2 GiB of freed memory for the next step; True where it does.

    It acts for the whole process, on Linux with glibc. Who sets `MALLOC_...` variables or `GLIBC_TUNABLES` has chosen,
    and is left alone. XLA on CPU then runs programs on the thread that calls them, so that a call returns when they
    have ended; if JAX has used the CPU before, it goes on as it was.
    """
    if platform.libc_ver()[0] != "glibc" or any(k == "GLIBC_TUNABLES" or k.startswith("MALLOC_") for k in os.environ):
        return False
    libc, most = ctypes.CDLL(None), 2**31 - 1
    if not (libc.mallopt(_M_MMAP_THRESHOLD, most) and libc.mallopt(_M_TRIM_THRESHOLD, most)):
        return False
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # the default has a thread of XLA's own run them
    return True


def release() -> None:
    """Gives the system what is free of the heap, holes too: for what has little use of it and much of other memory."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)


def collect_less() -> None:
    """Lets Python make 100,000 objects before it looks for garbage; where it was told to wait longer, that stays."""
    first, *others = gc.get_threshold()
    if 0 < first < 100_000:  # 0: never
        gc.set_threshold(100_000, *others)
