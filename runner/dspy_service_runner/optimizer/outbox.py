"""`/job/out`: the only place where the run's words leave the process, each file in the way the reporter reads it.

Appended files get whole lines, each with one write, so that a kill cuts at most the last one; documents are replaced
by rename. A full disk is met with a small reserve, so that the result, which says so, still fits.
"""

import contextlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core import pod_files

RESERVE_BYTES = 256 * 1024


def timestamp(moment: datetime | None = None) -> str:
    text = (moment or datetime.now(UTC)).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


class AppendFile:
    """Whole lines at the end of a file. User code that closes our descriptor costs a reopen; a full disk, the line.

    A descriptor that user code closed may by now be somebody else's: hence the look at its identity.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = os.getpid()
        self._fd = self._open()
        status = os.fstat(self._fd)
        self._identity = status.st_dev, status.st_ino
        self.size = status.st_size

    def append(self, line: bytes) -> bool:
        """True when all of it is written; half a line is taken back. A forked child would garble our offsets."""
        if os.getpid() != self._owner:
            return False
        try:
            written = os.write(self._own(), line)
        except OSError:
            return False
        if written == len(line):
            self.size += written
            return True
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, self.size)
        return False

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._own(), length, offset)

    def _own(self) -> int:
        try:
            status = os.fstat(self._fd)
            lost = (status.st_dev, status.st_ino) != self._identity
        except OSError:
            lost = True
        if lost:
            self._fd = self._open()
        return self._fd

    def _open(self) -> int:
        return os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)


class Outbox:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / pod_files.CHECKPOINT
        self.artifact = folder / pod_files.ARTIFACT
        self.checkpoint.mkdir(parents=True, exist_ok=True)
        self._events = AppendFile(folder / pod_files.EVENTS)
        self._reserve = folder / ".reserve"
        self._lock = threading.Lock()
        self._set_aside()

    def event(self, name: str, metrics: dict[str, Any]) -> None:
        self._events.append(orjson.dumps({"timestamp": timestamp(), "event": name, "metrics": metrics}) + b"\n")

    def progress(self, document: dict[str, Any]) -> None:
        """Best effort: the next one replaces it anyway."""
        with contextlib.suppress(OSError):
            self.replace(pod_files.PROGRESS, orjson.dumps(document))

    def result(self, document: dict[str, Any]) -> None:
        data = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY, default=str)
        try:
            self.replace(pod_files.RESULT, data)
        except OSError:
            self._reserve.unlink(missing_ok=True)
            self.replace(pod_files.RESULT, data)

    def replace(self, name: str, data: bytes) -> None:
        """The whole file or the one before; user code that closed 0, 1 or 2 must not get this file in their place."""
        plug_standard_descriptors()
        temporary = self.folder / f".{name.replace('/', '-')}.tmp"
        with self._lock:
            temporary.write_bytes(data)
            temporary.replace(self.folder / name)

    def _set_aside(self) -> None:
        with contextlib.suppress(OSError):
            self._reserve.write_bytes(bytes(RESERVE_BYTES))


def plug_standard_descriptors() -> None:
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
