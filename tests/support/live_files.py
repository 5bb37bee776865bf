"""Reading folders in which a running service creates and removes files meanwhile."""

import os
from collections.abc import Iterator
from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """Every file, link and device below; `os.walk` passes over folders that go meanwhile, where `rglob` raises."""
    for path, _, names in os.walk(folder):
        yield from (Path(path, name) for name in names)


def content(path: Path) -> bytes:
    """What a regular file holds, nothing for a file that has gone or that is not one (a FIFO would block)."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""
