"""Answers `kubectl logs` from the containers' log files: whole, the tail, since a moment, or as they grow."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from dspy_service_local.node.logs import read_lines
from dspy_service_local.node.pods.context import Folders

_FOLLOW_SECONDS = 0.2
_PIECE_BYTES = 64 * 1024


class Wanted(Protocol):
    """As much of a log request as matters here."""

    @property
    def pod_uid(self) -> str: ...
    @property
    def container(self) -> str: ...
    @property
    def follow(self) -> bool: ...
    @property
    def tail_lines(self) -> int | None: ...
    @property
    def limit_bytes(self) -> int | None: ...
    @property
    def since_seconds(self) -> int | None: ...
    @property
    def timestamps(self) -> bool: ...


class NodeLogs:
    """`running` tells whether a pod still has processes: only then is a followed log waited for."""

    def __init__(self, folders: Folders, running: Callable[[str], bool], now: Callable[[], datetime]) -> None:
        self._folders = folders
        self._running = running
        self._now = now

    async def read(self, request: Wanted) -> AsyncIterator[bytes]:
        path = self._folders.log(request.pod_uid, request.container)
        since = _since(request.since_seconds, self._now())
        left = request.limit_bytes
        position = path.stat().st_size if path.exists() else 0
        for piece in await asyncio.to_thread(_pieces, path, request, position, since):
            piece = piece if left is None else piece[:left]
            left = None if left is None else left - len(piece)
            yield piece
        while request.follow and self._running(request.pod_uid) and left != 0:
            await asyncio.sleep(_FOLLOW_SECONDS)
            position, grown = _grown(path, position)
            if grown:
                yield grown if request.timestamps else _bare(grown)


def _since(seconds: int | None, now: datetime) -> bytes:
    """As a prefix to compare lines with: their times sort as text."""
    if seconds is None:
        return b""
    return (now.astimezone(UTC) - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S").encode()


def _pieces(path: Path, request: Wanted, size: int, since: bytes) -> list[bytes]:
    lines: Iterable[bytes] = (line for line in read_lines(path, request.tail_lines, size) if line >= since)
    whole = b"".join(line if request.timestamps else line.split(b" ", 1)[1] for line in lines)
    return [whole[start : start + _PIECE_BYTES] for start in range(0, len(whole), _PIECE_BYTES)]


def _grown(path: Path, position: int) -> tuple[int, bytes]:
    """What was added since; after a rotation, from the new file's beginning."""
    try:
        size = path.stat().st_size
        start = position if size >= position else 0
        with path.open("rb") as file:
            file.seek(start)
            data = file.read(size - start)
    except OSError:
        return position, b""
    return start + len(data), data


def _bare(lines: bytes) -> bytes:
    return b"".join(line.split(b" ", 1)[1] for line in lines.splitlines(keepends=True) if b" " in line)
