"""Has glibc give large blocks back when they are freed.

By default it keeps them for the next ones, in an arena for each thread, once it has seen one of up to 32 MB freed:
after some large requests the process holds several times what any of them took.
"""

import ctypes
import sys

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of malloc.h; once set, it is no longer raised by what is freed."""
_LARGE_BYTES = 1024 * 1024
_TRIM_THRESHOLD = -1
"""`M_TRIM_THRESHOLD`, which would follow the other by itself, and stays at 128 KiB where that one is set: every request
would give its last pages back, and the next one fetch them again.
"""
_KEPT_BYTES = 1 * 1024 * 1024
"""At the end of each heap (every thread has one): what a request of usual size takes."""


def return_large_blocks() -> None:
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)  # musl has none, and keeps none
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
