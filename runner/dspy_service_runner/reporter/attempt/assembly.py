"""Builds the parts of one attempt, continuing the streams and the status where the reporter before it ended."""

from collections.abc import Callable
from itertools import islice
from typing import Any

import orjson

from dspy_service_core.records.events import LogEntry
from dspy_service_core.records.record import read
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.segment_writer import SegmentWriter, recover
from dspy_service_core.storage.segments import stream
from dspy_service_core.storage.store import Store
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter.inputs.arguments import Arguments
from dspy_service_runner.reporter.status.own_resource import Object, OwnResource
from dspy_service_runner.reporter.status.status import MAX_EVENTS, MAX_TAIL, Report, take_over
from dspy_service_runner.reporter.streams.entries import EntryMaker
from dspy_service_runner.reporter.streams.out_folder import OutFolder
from dspy_service_runner.reporter.streams.outbox import Outbox, timestamp
from dspy_service_runner.reporter.streams.streams import CheckedStream, LogStream, tell_candidate, tell_event
from dspy_service_runner.reporter.streams.tail import Tail


def new_report(arguments: Arguments, resource: Object) -> Report:
    report = Report(arguments.attempt, arguments.pod_uid)
    take_over(report, status_of(resource).get("run"))
    return report


def assemble(
    arguments: Arguments,
    resource: Object,
    store: Store,
    own_resource: OwnResource,
    redactor: Redactor,
    report: Report,
    heed: Callable[[Object], None],
) -> Outbox:
    out = OutFolder.open(arguments.out_folder)
    maker = EntryMaker(redactor)

    def follow(name: str) -> tuple[Tail, SegmentWriter]:
        writer = recover(store, name.removesuffix(".jsonl"), arguments.attempt)
        return Tail(out, name, offset=writer.to), writer

    logs = LogStream(*follow(pod_files.LOGS), maker, arguments.log_quota, timestamp)
    events = CheckedStream(
        *follow(pod_files.EVENTS), lambda line: maker.event(line, timestamp()), arguments.event_quota, tell_event
    )
    candidates = CheckedStream(
        *follow(pod_files.CANDIDATES),
        lambda line: maker.candidate(line, timestamp()),
        arguments.candidates_quota,
        tell_candidate,
    )
    report.candidate_count = candidates.writer.stored
    calls = CheckedStream(*follow(pod_files.CALLS), maker.call, arguments.calls_quota)
    _recall(store, report, logs.writer, events.writer)
    if arguments.attempt > 1 and not logs.writer.count:
        logs.say(_beginning(arguments.attempt, status_of(resource)), "INFO")
    return Outbox(out, store, own_resource, redactor, report, logs, [events, candidates, calls], heed, resource)


def status_of(resource: Object) -> Object:
    return resource.get("status") or {}


def _recall(store: Store, report: Report, logs: SegmentWriter, events: SegmentWriter) -> None:
    """Adds to the report what the store holds: the events that the status does not count yet, and the newest events and
    log lines, which the status shows."""
    known = min(report.event_count, events.stored)
    begin = min(known, max(events.stored - MAX_EVENTS, 0))
    report.events.clear()
    for number, entry in stream(store, pod_files.EVENTS.removesuffix(".jsonl"), begin):
        tell_event(report, number, entry)
    tail = stream(store, pod_files.LOGS.removesuffix(".jsonl"), max(logs.stored - MAX_TAIL, 0))
    for number, line in islice(tail, MAX_TAIL):
        if (log := read(LogEntry, orjson.loads(line))) is not None:
            report.add_log(number, log)


def _beginning(attempt: int, status: dict[str, Any]) -> str:
    ended = next((past for past in status.get("attempts") or [] if past.get("number") == attempt - 1), None)
    if not ended:
        return f"Attempt {attempt} begins."
    why = ": ".join(filter(None, (ended.get("reason"), ended.get("message"))))
    return f"Attempt {attempt} begins, after attempt {attempt - 1} ended: {why}"
