"""The service's answers as frozen dataclasses. Unknown fields are ignored: a newer service may say more.

Scores are on DSPy's own scale, 0 to 100, everywhere.
"""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from datetime import datetime
from functools import cache
from typing import Any, TypeVar

from .errors import JobFailed, UnexpectedAnswer

T = TypeVar("T")
FINAL_STATUSES = frozenset({"success", "failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Accepted:
    job_id: str
    status: str
    warning: str | None = None
    """Top-level keys of the payload that the service does not know, where there were any."""


@dataclass(frozen=True, slots=True)
class SplitFractions:
    train: float
    val: float
    test: float


@dataclass(frozen=True, slots=True)
class SplitCounts:
    train: int | None
    val: int | None
    test: int | None


@dataclass(frozen=True, slots=True)
class Event:
    timestamp: datetime
    event: str
    metrics: dict[str, Any] = field(default_factory=dict)
    n: int = 0
    """The event's number from 1, on pages alone."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    timestamp: datetime
    level: str
    logger: str
    message: str
    n: int = 0
    """The entry's number from 1, on pages alone."""


@dataclass(frozen=True, slots=True)
class Summary:
    job_id: str
    status: str
    message: str
    created_at: datetime
    module_name: str
    optimizer_name: str
    started_at: datetime | None = None
    completed_at: datetime | None = None
    elapsed_seconds: float | None = None
    estimated_seconds_remaining: float | None = None
    dataset_rows: int | None = None
    split_fractions: SplitFractions | None = None
    shuffle: bool = True
    seed: int | None = None
    optimizer_kwargs: dict[str, Any] = field(default_factory=dict)
    compile_kwargs: dict[str, Any] = field(default_factory=dict)
    latest_metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        return self.status in FINAL_STATUSES

    def raise_unless_success(self) -> None:
        if self.status != "success":
            raise JobFailed(self.job_id, self.status, self.message)


@dataclass(frozen=True, slots=True)
class JobPage:
    jobs: tuple[Summary, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    path: str
    program_pickle_base64: str
    metadata: Any = None
    optimized_prompt: Any = None
    program_state: Any = None


@dataclass(frozen=True, slots=True)
class Result:
    module_name: str
    optimizer_name: str
    metric_name: str | None = None
    split_counts: SplitCounts | None = None
    baseline_test_metric: float | None = None
    optimized_test_metric: float | None = None
    optimization_metadata: dict[str, Any] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)
    program_artifact_path: str | None = None
    program_artifact: Artifact | None = None
    runtime_seconds: float | None = None
    run_log: tuple[LogEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class Job:
    job_id: str
    status: str
    message: str
    created_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    latest_metrics: dict[str, Any] = field(default_factory=dict)
    progress_events: tuple[Event, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    estimated_seconds_remaining: float | None = None
    result: Result | None = None

    @property
    def finished(self) -> bool:
        return self.status in FINAL_STATUSES

    def raise_unless_success(self) -> None:
        if self.status != "success":
            raise JobFailed(self.job_id, self.status, self.message)


@dataclass(frozen=True, slots=True)
class Assets:
    modules: tuple[str, ...]
    optimizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Health:
    status: str
    registered_assets: Assets


def read(kind: type[T], data: Any) -> T:
    """An answer of this kind from parsed JSON; a missing or mistyped field is an `UnexpectedAnswer`."""
    try:
        return typing.cast(T, _read(kind, data))
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UnexpectedAnswer(f"The service's answer is no {kind.__name__}: {exc!r}") from exc


def _read(kind: Any, data: Any) -> Any:
    if is_dataclass(kind):
        return _dataclass(kind, data)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if data is None else _read(arguments[0], data)
    if origin is tuple:
        return tuple(_read(arguments[0], item) for item in data)
    return datetime.fromisoformat(data) if kind is datetime else data


def _dataclass(kind: Any, data: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    known = {f.name: _read(hints[f.name], data[f.name]) for f in fields(kind) if f.name in data or _required(f)}
    return kind(**known)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _required(declared: Any) -> bool:
    return declared.default is MISSING and declared.default_factory is MISSING
