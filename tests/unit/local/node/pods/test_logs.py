"""Container logs: rotation, partial lines, and what `kubectl logs` may ask for."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dspy_service_local.node.logs import ContainerLog, read_lines
from dspy_service_local.node.pods.context import Folders
from dspy_service_local.node.pods.pod_logs import NodeLogs


@dataclass
class Wanted:
    pod_uid: str = "u"
    container: str = "main"
    follow: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since_seconds: int | None = None
    timestamps: bool = False


def text(path: Path) -> list[str]:
    return [line.split(b" ", 1)[1].decode().rstrip("\n") for line in read_lines(path)]


def test_lines_are_kept_whole_over_chunks(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log")
    for chunk in (b"one\ntw", b"o\n", b"\nlast"):
        log.write(chunk)
    log.close()
    assert text(tmp_path / "log") == ["one", "two", "", "last"]


def test_endless_lines_are_cut(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log")
    log.write(b"x" * 100_000)
    log.close()
    assert len("".join(text(tmp_path / "log"))) == 100_000


def test_two_files_at_most(tmp_path: Path) -> None:
    log = ContainerLog(tmp_path / "log", file_bytes=1000)
    for number in range(1000):
        log.write(f"line {number}\n".encode())
    log.close()
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 2000
    kept = text(tmp_path / "log")
    assert kept[-1] == "line 999"
    assert kept == [f"line {n}" for n in range(1000 - len(kept), 1000)]


@pytest.mark.parametrize(
    ("wanted", "answer"),
    [
        (Wanted(), b"old\nnew\n"),
        (Wanted(tail_lines=1), b"new\n"),
        (Wanted(tail_lines=0), b""),
        (Wanted(limit_bytes=5), b"old\nn"),
        (Wanted(since_seconds=60), b"new\n"),
        (Wanted(container="none"), b""),
        (Wanted(timestamps=True, tail_lines=1), b"2026-01-01T12:00:00.000000Z new\n"),
    ],
)
async def test_what_can_be_asked_for(tmp_path: Path, wanted: Wanted, answer: bytes) -> None:
    path = Folders(tmp_path).log("u", "main")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"2026-01-01T11:00:00.000000Z old\n2026-01-01T12:00:00.000000Z new\n")
    now = datetime(2026, 1, 1, 12, 0, 10, tzinfo=UTC)
    logs = NodeLogs(Folders(tmp_path), lambda uid: False, lambda: now)
    assert b"".join([piece async for piece in logs.read(wanted)]) == answer


async def test_following_goes_on_until_the_pod_has_ended(tmp_path: Path) -> None:
    log = ContainerLog(Folders(tmp_path).log("u", "main"))
    log.write(b"first\n")
    left = iter([True, True, False])
    logs = NodeLogs(Folders(tmp_path), lambda uid: next(left), lambda: datetime.now(UTC) + timedelta())

    async def read() -> bytes:
        return b"".join([piece async for piece in logs.read(Wanted(follow=True))])

    reading = asyncio.create_task(read())
    await asyncio.sleep(0)
    log.write(b"second\n")
    assert await reading == b"first\nsecond\n"
