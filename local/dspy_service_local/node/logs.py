"""A container's output: a pipe that the node empties into two rotating files, each line with the time it came.

A container that floods is slowed by its own full pipe: the node reads a bounded amount a moment, so neither the node
nor the disk suffers.
"""

import asyncio
import io
import logging
import os
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

log = logging.getLogger(__name__)

FILE_BYTES = 10 * 1024 * 1024
_CHUNK = 64 * 1024
_BUDGET = 1024 * 1024
_BUDGET_SECONDS = 0.05
_LONGEST_LINE = 16 * 1024
"""As the CRI: longer lines are cut into several."""


class ContainerLog:
    """`path` holds the newest lines, `path.1` those before."""

    def __init__(self, path: Path, file_bytes: int = FILE_BYTES) -> None:
        self._path = path
        self._file_bytes = file_bytes
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = _open(path)
        self._size = os.fstat(self._file).st_size
        self._partial = b""

    def write(self, chunk: bytes) -> None:
        data = self._partial + chunk
        end = data.rfind(b"\n") + 1
        if not end and len(data) >= _LONGEST_LINE:
            data, end = data + b"\n", len(data) + 1
        whole, self._partial = data[:end], data[end:]
        if whole:
            stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ ").encode()
            self._append(stamp + whole[:-1].replace(b"\n", b"\n" + stamp) + b"\n")

    def close(self) -> None:
        if self._partial:
            self.write(b"\n")
        os.close(self._file)

    def _append(self, lines: bytes) -> None:
        """A full disk loses log lines, never the pod."""
        try:
            if self._size + len(lines) > self._file_bytes and self._size:
                self._rotate()
            self._size += os.write(self._file, lines)
        except OSError as exc:
            log.warning("%s: %s", self._path, exc.strerror)

    def _rotate(self) -> None:
        self._path.replace(older(self._path))
        os.close(self._file)
        self._file = _open(self._path)
        self._size = 0


class LogPipe:
    """Empties `read_end` into the log until its end."""

    def __init__(self, read_end: int, log_file: ContainerLog) -> None:
        self._fd = read_end
        self._log = log_file
        self._loop = asyncio.get_running_loop()
        self._budget = _BUDGET
        self._timer: asyncio.TimerHandle | None = None
        os.set_blocking(read_end, False)
        self._loop.add_reader(read_end, self._readable)

    def close(self) -> None:
        """After the container's end: keeps what is still in the pipe, and waits for nobody who holds it open."""
        if self._fd < 0:
            return
        self._stop_reading()
        for _ in range(_BUDGET // _CHUNK):
            if not self._take():
                break
        if self._fd >= 0:
            self._end()

    def _readable(self) -> None:
        self._take()
        if self._budget <= 0:
            self._stop_reading()
            self._timer = self._loop.call_later(_BUDGET_SECONDS, self._go_on)

    def _take(self) -> bool:
        try:
            chunk = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return False
        if not chunk:
            self._stop_reading()
            self._end()
            return False
        self._budget -= len(chunk)
        self._log.write(chunk)
        return True

    def _go_on(self) -> None:
        self._budget = _BUDGET
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._readable)

    def _stop_reading(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._loop.remove_reader(self._fd)

    def _end(self) -> None:
        os.close(self._fd)
        self._fd = -1
        self._log.close()


def older(path: Path) -> Path:
    return path.with_name(path.name + ".1")


def read_lines(path: Path, tail_lines: int | None = None, size: int | None = None) -> Iterator[bytes]:
    """Lines with their times, the oldest first; `tail_lines` counts from the end, `size` bounds the newest file."""
    lines = _lines(path, size)
    return lines if tail_lines is None else iter(deque(lines, maxlen=tail_lines))


def _lines(path: Path, size: int | None) -> Iterator[bytes]:
    for part, most in ((older(path), None), (path, size)):
        if part.exists():
            with part.open("rb") as file:
                yield from (line for line in io.BytesIO(file.read(most)) if b" " in line)


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
