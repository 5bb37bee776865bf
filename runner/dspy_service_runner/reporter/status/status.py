"""Builds `status.run`, the reporter's part of the status, anew each time from all that is known; no input or output.

The status shows only events and log lines that are stored already, so that a number that was once in the status means
the same entry for ever.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from dspy_service_core.records import values
from dspy_service_core.records.events import Event, LogEntry, NumberedEvent, NumberedLog
from dspy_service_core.records.record import JsonObject, narrow, read, resource
from dspy_service_core.records.run import (
    LogTail,
    Progress,
    ProgressDocument,
    RecentEvents,
    Result,
    RunStatus,
    Stage,
)
from dspy_service_core.records.usage import Usage
from dspy_service_runner.reporter import sanitize

MAX_RUN_BYTES = 12 * 1024
MAX_TAIL = 20
MAX_TAIL_BYTES = 4 * 1024
MAX_EVENTS = 5
MAX_METRICS_BYTES = 3 * 1024
MAX_METRIC_BYTES = 512
MAX_METRIC_NAMES = 500
_MAX_LOG_MESSAGE = 1024


@dataclass(slots=True)
class Report:
    """All that `status.run` is made from."""

    attempt: int
    pod_uid: str
    stage: Stage = "Restoring"
    progress: ProgressDocument = field(default_factory=lambda: ProgressDocument(stage="Validating"))
    earlier_usage: Usage = field(default_factory=Usage)
    metrics: JsonObject = field(default_factory=dict)
    event_count: int = 0
    events: deque[NumberedEvent] = field(default_factory=lambda: deque(maxlen=MAX_EVENTS))
    log_count: int = 0
    logs: deque[NumberedLog] = field(default_factory=lambda: deque(maxlen=MAX_TAIL))
    candidate_count: int = 0
    trouble: str = ""
    result: Result | None = None

    def add_event(self, number: int, event: Event) -> None:
        self.event_count = number
        self.events.append(narrow(event, NumberedEvent, n=number))
        older = {name: value for name, value in self.metrics.items() if name not in event.metrics}
        merged = [*older.items(), *event.metrics.items()]
        self.metrics = dict(merged[-MAX_METRIC_NAMES:])

    def add_log(self, number: int, entry: LogEntry) -> None:
        self.log_count = number
        self.logs.append(narrow(entry, NumberedLog, n=number))

    @property
    def usage(self) -> Usage:
        """The optimizer's own count, earlier attempts included; until it has told, what the status had."""
        return self.progress.usage or self.earlier_usage

    @property
    def _newest_metrics(self) -> JsonObject:
        """What the events said, with the newest figures of the optimizer's part, which are older in its last event."""
        older = {name: value for name, value in self.metrics.items() if name not in self.progress.figures}
        return older | self.progress.figures

    def run(self) -> JsonObject:
        """`status.run`, with null for what is not known, so that a merge patch removes an earlier attempt's value."""
        run = RunStatus(
            attempt=self.attempt,
            pod_uid=self.pod_uid,
            stage=self.stage,
            started_at=self.progress.started_at,
            progress=narrow(self.progress, Progress),
            metrics=_small_metrics(self._newest_metrics),
            events=RecentEvents(self.event_count, [_small_event(event) for event in self.events]),
            logs=LogTail(self.log_count, _small_tail(list(self.logs))),
            candidates=self.candidate_count,
            usage=self.usage,
            notice="" if self.result else self.progress.notice,
            result=self.result,
            message=self._message(),
        )
        return fit(resource(run))

    def _message(self) -> str:
        """Trouble with the store, else, while the job runs, the last event's name. A result has its own message."""
        if self.trouble or self.result is not None:
            return values.cut(self.trouble, _MAX_LOG_MESSAGE)
        return self.events[-1].event if self.events else ""


def fit(run: JsonObject) -> JsonObject:
    """Shortens the status to `MAX_RUN_BYTES` by leaving out what the store has in full: first the log tail, then the
    events' metrics, then the metrics."""
    shortenings: list[Callable[[JsonObject], JsonObject]] = [
        lambda run: run | {"logs": run["logs"] | {"tail": run["logs"]["tail"][-5:]}},
        lambda run: run | {"logs": run["logs"] | {"tail": []}},
        lambda run: run | {"events": run["events"] | {"last": [e | {"metrics": {}} for e in run["events"]["last"]]}},
        lambda run: run | {"metrics": {}},
    ]
    for shorten in shortenings:
        if sanitize.size_of(run) <= MAX_RUN_BYTES:
            break
        run = shorten(run)
    return run


def bare(run: JsonObject) -> JsonObject:
    """Without everything that user code can choose, for a server that refuses the complete status."""
    return run | {
        "metrics": {},
        "events": run["events"] | {"last": []},
        "logs": run["logs"] | {"tail": []},
    }


def with_removals(run: JsonObject, known: Any) -> JsonObject:
    """Adds null for each metric that the server has and `run` has not, since a merge patch would keep it."""
    old = known.get("metrics") if isinstance(known, dict) else None
    gone = dict.fromkeys(old.keys() - run["metrics"].keys()) if isinstance(old, dict) else {}
    return run | {"metrics": gone | run["metrics"]}


def take_over(report: Report, run: Any) -> None:
    """Continues from the status: that of an earlier attempt, or of this one before its reporter was killed."""
    found = read(RunStatus, run)
    if found is None:
        return
    report.metrics, report.event_count = dict(found.metrics), found.events.count
    report.events.extend(found.events.last)
    report.earlier_usage, report.candidate_count = found.usage, found.candidates


def _small_metrics(metrics: JsonObject) -> JsonObject:
    """Without long values; where there are too many, the newest are kept."""
    kept: JsonObject = {}
    room = MAX_METRICS_BYTES
    for name, value in reversed(metrics.items()):
        size = sanitize.size_of({name: value})
        if size <= MAX_METRIC_BYTES and size <= room:
            kept[name] = value
            room -= size
    return dict(reversed(kept.items()))


def _small_event(event: NumberedEvent) -> NumberedEvent:
    return replace(event, metrics=_small_metrics(event.metrics))


def _small_tail(entries: list[NumberedLog]) -> list[NumberedLog]:
    kept: list[NumberedLog] = []
    room = MAX_TAIL_BYTES
    for entry in reversed(entries):
        message = values.cut(entry.message, _MAX_LOG_MESSAGE)
        small = entry if message == entry.message else replace(entry, message=message)
        room -= sanitize.size_of(small)
        if room < 0:
            break
        kept.append(small)
    return kept[::-1]
