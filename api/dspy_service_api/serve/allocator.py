"""Makes glibc return large blocks to the system as soon as they are freed.

By default, once a block of up to 32 MB has been freed, glibc keeps such blocks for later, in an arena for each thread:
after some large requests the process then holds several times the memory that any of them needed.
"""

import ctypes
import sys

_MMAP_THRESHOLD = -3
"""`M_MMAP_THRESHOLD` of malloc.h; once it is set, freeing large blocks no longer raises it."""
_LARGE_BYTES = 1024 * 1024
_TRIM_THRESHOLD = -1
"""`M_TRIM_THRESHOLD`. Setting the other threshold by hand pins this one at 128 KiB; then every request would return its
last pages to the system, and the next request fetch them again.
"""
_KEPT_BYTES = 1 * 1024 * 1024
"""What a request of usual size takes; this much is kept at the end of each heap (every thread has one)."""


def return_large_blocks() -> None:
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)) is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)  # musl has none, and keeps none
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)
