"""Writes `/job/out`, the only way in which a run reports anything, each file as the reporter reads it.

Appended files get whole lines, each with one write, so that a kill cuts at most the last one; documents are replaced
by rename. A small file is kept in reserve and removed when the disk is full, so that the result, which says so, still
fits.

User code may have created anything under these names. Only regular files are ever written to, because a FIFO that
nobody reads would block the writer for ever.
"""

import contextlib
import errno
import os
import stat
import threading
from datetime import UTC, datetime
from pathlib import Path

import orjson

from dspy_service_core.records.events import Figures
from dspy_service_core.records.record import document
from dspy_service_core.records.run import ProgressDocument, ResultDocument
from dspy_service_core.storage import pod_files

RESERVE_BYTES = 256 * 1024
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def timestamp(moment: datetime | None = None) -> str:
    text = (moment or datetime.now(UTC)).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


class AppendFile:
    """Appends whole lines to a file. If user code closed our descriptor, the file is opened again; on a full disk the
    line is lost.

    The number of a closed descriptor may by now belong to another file, so its identity is checked before each use.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._owner = os.getpid()
        self._open()

    def append(self, line: bytes) -> bool:
        """True if the whole line was written; a part of it is cut off again. A forked child writes nothing, because
        the offsets here would then be wrong."""
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
            self._open()
        return self._fd

    def _open(self) -> None:
        descriptor = os.open(self._path, _APPEND, 0o644)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "no regular file", str(self._path))
        self._fd = descriptor
        self._identity = status.st_dev, status.st_ino
        self.size = status.st_size


class Outbox:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = folder / pod_files.CHECKPOINT
        self.artifact = folder / pod_files.ARTIFACT
        self.checkpoint.mkdir(parents=True, exist_ok=True)
        self._events = AppendFile(folder / pod_files.EVENTS)
        self._candidates = AppendFile(folder / pod_files.CANDIDATES)
        self._reserve = folder / ".reserve"
        self._lock = threading.Lock()
        self._set_aside()

    def event(self, name: str, figures: Figures) -> None:
        event = {"timestamp": timestamp(), "event": name, "metrics": figures}
        self._events.append(orjson.dumps(event) + b"\n")

    def candidate(self, encoded: bytes) -> bool:
        """False if it could not be written."""
        return self._candidates.append(encoded + b"\n")

    def progress(self, progress: ProgressDocument) -> None:
        """Errors are ignored, because the next document replaces this one anyway."""
        with contextlib.suppress(OSError):
            self.replace(pod_files.PROGRESS, orjson.dumps(document(progress)))

    def result(self, result: ResultDocument) -> None:
        data = orjson.dumps(document(result), option=orjson.OPT_SERIALIZE_NUMPY, default=str)
        try:
            self.replace(pod_files.RESULT, data)
        except OSError:
            self._reserve.unlink(missing_ok=True)
            self.replace(pod_files.RESULT, data)

    def replace(self, name: str, data: bytes) -> None:
        """Readers find the old file or the whole new one. If user code closed descriptor 0, 1 or 2, the new file must
        not be opened under that number, since output would be written into it."""
        plug_standard_descriptors()
        temporary = self.folder / f".{name.replace('/', '-')}.tmp"
        with self._lock:
            write_new(temporary, data)
            temporary.replace(self.folder / name)

    def _set_aside(self) -> None:
        with contextlib.suppress(OSError):
            write_new(self._reserve, bytes(RESERVE_BYTES))


def write_new(path: Path, data: bytes) -> None:
    """Replaces whatever has that name, except a folder."""
    path.unlink(missing_ok=True)
    with open(os.open(path, _NEW, 0o644), "wb") as file:
        file.write(data)


def plug_standard_descriptors() -> None:
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
