from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from dspy_service_core.storage.segment_writer import recover
from dspy_service_core.storage.segments import stream
from dspy_service_core.storage.store import Store, open_store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.status.status import MAX_TAIL, Report
from dspy_service_runner.reporter.streams.entries import EntryMaker
from dspy_service_runner.reporter.streams.out_folder import OutFolder
from dspy_service_runner.reporter.streams.streams import LAST_LINES, CheckedStream, LogStream, flush, tell_event
from dspy_service_runner.reporter.streams.tail import Tail

NOW = "2026-02-02T00:00:00.000Z"
QUOTA = 20_000
MAKER = EntryMaker(Redactor([]))


class Job:
    """One stream's file and store; `stream` is made anew as a successor would."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "logs.jsonl"
        self.store: Store = open_store("memory:///")
        self.out = OutFolder.open(folder)
        self.report = Report(1, "uid")

    def logs(self, quota: int = QUOTA) -> LogStream:
        writer = recover(self.store, "logs", 1)
        return LogStream(Tail(self.out, "logs.jsonl", writer.to), writer, MAKER, quota, lambda: NOW)

    def events(self, quota: int = QUOTA) -> CheckedStream:
        writer = recover(self.store, "logs", 1)
        tail = Tail(self.out, "logs.jsonl", writer.to)
        return CheckedStream(tail, writer, lambda line: MAKER.event(line, NOW), quota, tell_event)

    def write(self, *messages: str) -> None:
        with self.path.open("ab") as file:
            file.writelines(orjson.dumps({"message": message}) + b"\n" for message in messages)

    def messages(self) -> list[str]:
        return [orjson.loads(line)["message"] for _, line in stream(self.store, "logs")]


@pytest.fixture
def job(tmp_path: Path) -> Iterator[Job]:
    made = Job(tmp_path)
    yield made
    made.out.close()


def take_all(stream: LogStream | CheckedStream) -> None:
    while stream.take():
        pass


def test_the_report_speaks_only_of_what_is_stored(job: Job) -> None:
    logs = job.logs()
    job.write("one", "two")
    assert logs.take()
    logs.settle(job.report)
    assert (job.report.log_count, list(job.report.logs)) == (0, [])
    flush(logs, job.store)
    logs.settle(job.report)
    assert job.report.log_count == 2
    assert [(entry.n, entry.message) for entry in job.report.logs] == [(1, "one"), (2, "two")]
    assert not logs.take()


def test_the_newest_lines_are_shown(job: Job) -> None:
    logs = job.logs()
    job.write(*map(str, range(100)))
    take_all(logs)
    flush(logs, job.store)
    logs.settle(job.report)
    assert [entry.n for entry in job.report.logs] == list(range(101 - MAX_TAIL, 101))


def flood(job: Job, count: int) -> None:
    job.write(*(f"line {n} " + "x" * 80 for n in range(count)))


def shape(messages: list[str]) -> tuple[int, str, str, int, int]:
    """(lines kept, first marker, second marker, number of the first of the last lines, number of the last one)."""
    markers = [n for n, message in enumerate(messages) if "quota" in message]
    assert len(markers) == 2, messages
    last = [int(message.split()[1]) for message in messages[markers[1] + 1 :]]
    assert last == list(range(last[0], last[-1] + 1))
    assert [int(message.split()[1]) for message in messages[: markers[0]]] == list(range(markers[0]))
    return markers[0], messages[markers[0]], messages[markers[1]], last[0], last[-1]


def test_beyond_the_quota_a_word_says_what_was_dropped_and_the_end_is_kept(job: Job) -> None:
    logs = job.logs()
    flood(job, 2000)
    take_all(logs)
    logs.finish()
    flush(logs, job.store)
    kept, reached, dropped, first, last = shape(job.messages())
    assert 50 < kept < 200
    assert reached.startswith(f"The log quota of {QUOTA} bytes is used up")
    assert dropped.startswith(f"{2000 - kept - LAST_LINES} log lines were dropped here")
    assert (first, last) == (2000 - LAST_LINES, 1999)


@pytest.mark.parametrize("kills", [(300,), (10, 150, 1999), tuple(range(0, 2000, 37))])
def test_a_killed_reporter_says_the_same_of_a_flood(job: Job, kills: tuple[int, ...]) -> None:
    logs = job.logs()
    for n in range(2000):
        job.write(f"line {n} " + "x" * 80)
        if n in kills:
            take_all(logs)
            flush(logs, job.store)
            logs = job.logs()
    take_all(logs)
    logs.finish()
    flush(logs, job.store)
    logs = job.logs()
    take_all(logs)
    logs.finish()
    flush(logs, job.store)
    kept, _, dropped, first, last = shape(job.messages())
    assert dropped.startswith(f"{2000 - kept - LAST_LINES} log lines were dropped here")
    assert (first, last) == (2000 - LAST_LINES, 1999)


def test_just_beyond_the_quota_nothing_is_dropped(job: Job) -> None:
    logs = job.logs(quota=1000)
    flood(job, 30)
    take_all(logs)
    logs.finish()
    flush(logs, job.store)
    lines = [message for message in job.messages() if message.startswith("line")]
    assert [int(line.split()[1]) for line in lines] == list(range(30))


def test_reading_pauses_while_the_store_is_away(job: Job) -> None:
    logs = job.logs(quota=1 << 30)
    job.write(*("x" * 1000 for _ in range(20_000)))
    take_all(logs)
    assert logs.writer.following < 10_000
    flush(logs, job.store)
    assert logs.take()


def test_events(job: Job) -> None:
    events = job.events()
    lines = [{"event": "a", "metrics": {"x": 1, "y": 1}}, "garbage", {"event": "b", "metrics": {"x": 2}}]
    job.path.write_bytes(b"".join(orjson.dumps(line) + b"\n" for line in lines))
    take_all(events)
    events.settle(job.report)
    assert job.report.event_count == 0
    flush(events, job.store)
    events.settle(job.report)
    assert job.report.event_count == 2
    assert job.report.metrics == {"y": 1, "x": 2}
    assert [(event.n, event.event) for event in job.report.events] == [(1, "a"), (2, "b")]


def test_events_beyond_their_quota_are_dropped_and_said(job: Job) -> None:
    events = job.events(quota=1000)
    job.path.write_bytes(b'{"event":"a","metrics":{}}\n' * 1000)
    assert events.problem() == ""
    take_all(events)
    assert events.writer.following < 30
    assert "1000 bytes" in events.problem()


def test_an_odd_file_is_said(job: Job) -> None:
    logs = job.logs()
    job.write("one")
    take_all(logs)
    job.path.write_bytes(b"")
    logs.take()
    assert "cut or replaced" in logs.problem()
