"""Entries of a run's logs and events, and the events that the service itself writes, with their figures.

User code can write events too; under the names of our figures nothing but numbers passes (`FIGURES`).
"""

from dataclasses import dataclass, field, fields
from typing import Annotated

from dspy_service_core.records import values
from dspy_service_core.records.record import JsonObject, Kind, Record, Time, says, text

MAX_LOG_MESSAGE = 64 * 1024
MAX_NAME = 256


def _or(default: str, kind: Kind) -> Kind:
    """For a field that is always there."""
    return Kind(lambda value, reading: kind.read(value, reading) or default)


@dataclass(frozen=True)
class LogEntry(Record):
    timestamp: Time = field(metadata=says("Time of the log entry."))
    level: Annotated[str, _or("INFO", text(MAX_NAME))] = field(
        metadata=says("Level of the log entry, such as INFO or ERROR.")
    )
    logger: Annotated[str, _or("", text(MAX_NAME))] = field(
        metadata=says("Name of the Python logger that wrote the entry.")
    )
    message: Annotated[str, _or("", text(MAX_LOG_MESSAGE))] = field(metadata=says("Text of the log entry."))


@dataclass(frozen=True)
class Event(Record):
    timestamp: Time = field(metadata=says("Time of the event."))
    event: Annotated[str, text(MAX_NAME, values.visible_line)] = field(
        metadata=says("Name of the event, such as optimizer_progress.")
    )
    metrics: JsonObject = field(default_factory=dict, metadata=says("Figures that the event reports, by name."))


@dataclass(frozen=True)
class _NumberedLog(Record):
    n: int = field(metadata=says("Number of the log entry, from 1."))


@dataclass(frozen=True)
class NumberedLog(LogEntry, _NumberedLog):
    """As the status says it."""


@dataclass(frozen=True)
class _NumberedEvent(Record):
    n: int = field(metadata=says("Number of the event, from 1."))


@dataclass(frozen=True)
class NumberedEvent(Event, _NumberedEvent):
    """As the status says it."""


class Figures:
    """What an event of the service's own reports; the names are the HTTP contract's."""

    __slots__ = ()
    event = ""


@dataclass(frozen=True, slots=True)
class DatasetSplitsReady(Figures):
    event = "dataset_splits_ready"
    train: int
    val: int
    test: int


@dataclass(frozen=True, slots=True)
class BaselineEvaluated(Figures):
    event = "baseline_evaluated"
    baseline_test_metric: float


@dataclass(frozen=True, slots=True)
class OptimizerProgress(Figures):
    event = "optimizer_progress"
    tqdm_total: int | None
    tqdm_n: int
    tqdm_elapsed: float
    tqdm_rate: float | None
    tqdm_remaining: float | None
    tqdm_percent: float | None
    tqdm_desc: str
    best_score: float | None


@dataclass(frozen=True, slots=True)
class OptimizedEvaluated(Figures):
    event = "optimized_evaluated"
    optimized_test_metric: float


FIGURES = frozenset(
    figure.name
    for kind in (DatasetSplitsReady, BaselineEvaluated, OptimizerProgress, OptimizedEvaluated)
    for figure in fields(kind)
    if figure.type is not str
)
