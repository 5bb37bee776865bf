"""What the reporter says in `status.run`: one value, made whole each time from what is known; no input or output.

The status never says what the store does not hold: events and logs are those already stored, so that a number once
seen in the status means the same entry for ever.
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
    Usage,
)
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
    """Everything that `status.run` is made from."""

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
        return self.earlier_usage + self.progress.usage

    def run(self) -> JsonObject:
        """`status.run`, with null for what is not known: a merge patch then takes away an earlier attempt's."""
        run = RunStatus(
            attempt=self.attempt,
            pod_uid=self.pod_uid,
            stage=self.stage,
            started_at=self.progress.started_at,
            progress=narrow(self.progress, Progress),
            metrics=_small_metrics(self.metrics),
            events=RecentEvents(self.event_count, [_small_event(event) for event in self.events]),
            logs=LogTail(self.log_count, _small_tail(list(self.logs))),
            usage=self.usage,
            notice="" if self.result else self.progress.notice,
            result=self.result,
            message=self._message(),
        )
        return fit(resource(run))

    def _message(self) -> str:
        """While it runs, trouble, or else the last event's name; the result has a message of its own."""
        if self.trouble or self.result is not None:
            return values.cut(self.trouble, _MAX_LOG_MESSAGE)
        return self.events[-1].event if self.events else ""


def fit(run: JsonObject) -> JsonObject:
    """Within the limit, giving up first what the store has in full: the log tail, then events, then figures."""
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
    """Without anything that user code chose: for a server that refuses the whole."""
    return run | {
        "metrics": {},
        "events": run["events"] | {"last": []},
        "logs": run["logs"] | {"tail": []},
    }


def with_removals(run: JsonObject, known: Any) -> JsonObject:
    """Null for each figure that the server still has and `run` has not: a merge patch would keep it."""
    old = known.get("metrics") if isinstance(known, dict) else None
    gone = dict.fromkeys(old.keys() - run["metrics"].keys()) if isinstance(old, dict) else {}
    return run | {"metrics": gone | run["metrics"]}


def take_over(report: Report, run: Any) -> None:
    """Goes on from what the status says: an earlier attempt's, or this one's before its reporter was killed."""
    found = read(RunStatus, run)
    if found is None:
        return
    report.metrics, report.event_count = dict(found.metrics), found.events.count
    report.events.extend(found.events.last)
    if found.attempt != report.attempt:
        report.earlier_usage = found.usage


def _small_metrics(metrics: JsonObject) -> JsonObject:
    """Figures and short texts, the newest names where there are too many."""
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
