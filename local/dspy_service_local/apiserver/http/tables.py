"""Tables: how the server prints objects for `kubectl get`, in lists and in watches."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver.http import jsonpath
from dspy_service_local.apiserver.kinds.kinds import Column, Kind
from dspy_service_local.apiserver.storage.watch import Told

_NAME = Column(
    "Name",
    ".metadata.name",
    format="name",
    description="Name must be unique within a namespace.",
)
_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 86400 * 365


def table(
    kind: Kind,
    bodies: Sequence[bytes],
    query: Mapping[str, str],
    now: datetime,
    *,
    metadata: Mapping[str, object] | None = None,
    with_columns: bool = True,
) -> bytes:
    columns = (_NAME, *kind.columns)
    made: dict[str, Any] = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata or {}}
    made["columnDefinitions"] = [_definition(column, kind.custom) for column in columns] if with_columns else []
    made["rows"] = [_row(columns, orjson.loads(body), query, now) for body in bodies]
    return orjson.dumps(made)


def watch_encoder(kind: Kind, query: Mapping[str, str], clock: Callable[[], datetime]) -> Callable[[Told], bytes]:
    """Each event holds a table of one row; only the first says the columns."""
    first = True

    def encode(told: Told) -> bytes:
        nonlocal first
        metadata = {"resourceVersion": str(told.revision)}
        body = table(kind, [told.body], query, clock(), metadata=metadata, with_columns=first)
        first = False
        return Told(told.type, told.revision, body).line()

    return encode


def _definition(column: Column, custom: bool) -> dict[str, object]:
    """Built-in kinds call their ages strings, which all cells of this type are."""
    return {
        "name": column.name,
        "type": "string" if column.type == "date" and not custom else column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(columns: Sequence[Column], obj: Object, query: Mapping[str, str], now: datetime) -> dict[str, Any]:
    row: dict[str, Any] = {"cells": [cell(column, obj, now) for column in columns]}
    include = query.get("includeObject") or "Metadata"
    if include == "Object":
        row["object"] = obj
    elif include == "Metadata":
        row["object"] = {
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": obj["metadata"],
        }
    return row


def cell(column: Column, obj: Object, now: datetime) -> object:
    value = jsonpath.find(column.path, obj) if isinstance(column.path, str) else column.path(obj)
    if column.type == "date":
        return age(value, now) if isinstance(value, str) else "<unknown>"
    if value is None:
        return None
    if column.type == "integer":
        return int(value) if isinstance(value, int | float) else None
    if column.type == "number":
        return value if isinstance(value, int | float) else None
    if column.type == "boolean":
        return value if isinstance(value, bool) else None
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def age(timestamp: str, now: datetime) -> str:
    """The time since, as Kubernetes' `duration.HumanDuration` writes it."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "<unknown>"
    if then.tzinfo is None:
        then = then.replace(tzinfo=UTC)
    return human_duration(int((now - then).total_seconds()))


def human_duration(seconds: int) -> str:
    if seconds < -1:
        return "<invalid>"
    seconds = max(seconds, 0)
    if seconds < 2 * _MINUTE:
        return f"{seconds}s"
    minutes, hours, days = seconds // _MINUTE, seconds // _HOUR, seconds // _DAY
    if minutes < 10:
        return _two(minutes, "m", seconds % _MINUTE, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 365 * 2:
        return f"{days}d"
    if days < 365 * 8:
        return _two(seconds // _YEAR, "y", days % 365, "d")
    return f"{seconds // _YEAR}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"
