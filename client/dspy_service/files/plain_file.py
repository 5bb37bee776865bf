"""Reads files that others may have prepared: regular ones alone, of bounded size, never through a link."""

import os
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def read_plain(path: Path, limit: int) -> bytes:
    """Raises OSError, for what is no such file too."""
    with open(os.open(path, _FLAGS), "rb") as file:
        seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode):
            raise OSError(f"{path.name} is no regular file")
        if seen.st_size > limit:
            raise OSError(f"{path.name} has more than {limit:,} bytes")
        return file.read(limit)
