"""Entries of a run's logs and events, and the figures of the events that the service itself writes.

User code can write events too. Under the names of our figures, only numbers are accepted (`FIGURES`).
"""

from dataclasses import field
from typing import Annotated, TypedDict

from dspy_service_core.records import values
from dspy_service_core.records.record import JsonObject, Kind, Record, Time, record, says, text

MAX_LOG_MESSAGE = 64 * 1024
MAX_NAME = 256


def _or(default: str, kind: Kind) -> Kind:
    """For a field that has this value where the record lacks it."""
    return Kind(lambda value, reading: kind.read(value, reading) or default)


@record
class LogEntry(Record):
    timestamp: Time = field(metadata=says("Time of the log entry."))
    level: Annotated[str, _or("INFO", text(MAX_NAME))] = field(
        metadata=says("Level of the log entry, such as INFO or ERROR.")
    )
    logger: Annotated[str, _or("", text(MAX_NAME))] = field(
        metadata=says("Name of the Python logger that wrote the entry.")
    )
    message: Annotated[str, _or("", text(MAX_LOG_MESSAGE))] = field(metadata=says("Text of the log entry."))


@record
class Event(Record):
    timestamp: Time = field(metadata=says("Time of the event."))
    event: Annotated[str, text(MAX_NAME, values.visible_line)] = field(
        metadata=says("Name of the event, such as optimizer_progress.")
    )
    metrics: JsonObject = field(default_factory=dict, metadata=says("Figures that the event reports, by name."))


@record
class NumberedLog(LogEntry):
    """A log entry with its number."""

    n: int = field(kw_only=True, metadata=says("Number of the log entry, from 1."))


@record
class NumberedEvent(Event):
    """A progress event with its number."""

    n: int = field(kw_only=True, metadata=says("Number of the event, from 1."))


class DatasetSplitsReady(TypedDict):
    train: int
    val: int
    test: int


class BaselineEvaluated(TypedDict):
    baseline_test_metric: float


class OptimizerProgress(TypedDict):
    tqdm_total: int | None
    tqdm_n: int
    tqdm_elapsed: float
    tqdm_rate: float | None
    tqdm_remaining: float | None
    tqdm_percent: float | None
    tqdm_desc: str
    best_score: float | None


class NothingTried(TypedDict):
    nothing_tried: str


class BudgetHit(TypedDict):
    budget_hit: str


class OptimizedEvaluated(TypedDict):
    optimized_test_metric: float


SPLITS_READY, BASELINE = "dataset_splits_ready", "baseline_evaluated"
PROGRESS, OPTIMIZED = "optimizer_progress", "optimized_evaluated"
NOTHING_TRIED, BUDGET_HIT = "nothing_tried", "budget_hit"

Figures = DatasetSplitsReady | BaselineEvaluated | OptimizerProgress | NothingTried | BudgetHit | OptimizedEvaluated
"""The figures of the service's own events; the HTTP contract defines their names."""
FIGURES = frozenset(
    name
    for kind in (DatasetSplitsReady, BaselineEvaluated, OptimizerProgress, OptimizedEvaluated)
    for name, figure in kind.__annotations__.items()
    if figure is not str
)


def without_false_figures(metrics: JsonObject) -> JsonObject:
    """Without those that have the name of one of our figures and are no number: see `FIGURES`."""
    return {name: value for name, value in metrics.items() if name not in FIGURES or values.is_number(value)}
