"""Reads `/job/out` without trusting it, because user code runs in the process that writes there.

Only regular files are opened, by one name below an open folder (`dir_fd`), without following links and without waiting
(a FIFO without a writer would block an ordinary open for ever). The check is made on the open descriptor and not on the
name, so that the file that is read is the one that was checked.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_FOLDER = os.O_RDONLY | os.O_NOFOLLOW | os.O_DIRECTORY | os.O_CLOEXEC
_CHUNK = 1024 * 1024
MAX_NAMES = 10_000
"""How many entries of one folder are looked at."""


class TooLarge(Exception):
    """The file is larger than the limit of whoever reads it."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A regular file at one moment. Two equal values mean that nobody wrote to it in between."""

    device: int
    inode: int
    size: int
    changed: int

    def same_file(self, other: "Seen") -> bool:
        return (self.device, self.inode) == (other.device, other.inode)


class OutFolder:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path) -> "OutFolder":
        return cls(os.open(path, _FOLDER))

    def close(self) -> None:
        os.close(self._descriptor)

    def look(self, name: str) -> Seen | None:
        """The state of the regular file of that name; None for anything else."""
        try:
            return _seen(os.stat(name, dir_fd=self._descriptor, follow_symlinks=False))
        except OSError:
            return None

    @contextmanager
    def opened(self, name: str) -> Iterator[tuple[int, Seen] | None]:
        """An open descriptor and the state of its file; None where there is no regular file of that name."""
        descriptor = self._open_file(name) if self.look(name) else None
        try:
            seen = None if descriptor is None else _seen(os.fstat(descriptor))
            yield None if descriptor is None or seen is None else (descriptor, seen)
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def read(self, name: str, limit: int) -> bytes | None:
        """The whole file; None where there is none. Raises `TooLarge` above `limit`, without reading further."""
        with self.opened(name) as file:
            if file is None:
                return None
            content = _read(file[0], limit + 1)
        if content is not None and len(content) > limit:
            raise TooLarge(name)
        return content

    def names(self) -> tuple[list[str], list[str]]:
        """Names of its regular files and of its folders, sorted."""
        try:
            with os.scandir(self._descriptor) as entries:
                found = [entry for _, entry in zip(range(MAX_NAMES), entries, strict=False)]
                files = [entry.name for entry in found if entry.is_file(follow_symlinks=False)]
                folders = [entry.name for entry in found if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return [], []
        return sorted(files), sorted(folders)

    @contextmanager
    def below(self, name: str) -> "Iterator[OutFolder | None]":
        """The folder of that name; None where there is no such folder."""
        try:
            folder = OutFolder(os.open(name, _FOLDER, dir_fd=self._descriptor))
        except OSError:
            yield None
            return
        try:
            yield folder
        finally:
            folder.close()

    def _open_file(self, name: str) -> int | None:
        try:
            return os.open(name, _FILE, dir_fd=self._descriptor)
        except OSError:
            return None


def _read(descriptor: int, limit: int) -> bytes | None:
    content = bytearray()
    try:
        while len(content) < limit and (chunk := os.read(descriptor, min(_CHUNK, limit - len(content)))):
            content += chunk
    except OSError:
        return None
    return bytes(content)


def _seen(status: os.stat_result) -> Seen | None:
    """A file with a second name (a hard link) is refused: it may be somebody else's, and our own code makes none."""
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        return None
    return Seen(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
