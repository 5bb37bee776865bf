"""Values of answers, as the types that they should have; None for what is none of that type.

A job's own code chooses figures and time stamps that end up in the answers about it, and one answer lists many jobs:
no value may keep the others from being read.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

NO_TIME = datetime.fromtimestamp(0, UTC)
"""Stands where a time must be and what came is none."""
MOST = 2**53
"""Beyond it a number of JSON is not the same to everyone, and no figure of ours is as large."""
DEPTH = 64
_FIRST_YEAR, _LAST_YEAR = 1971, 9998
"""Times of these years can be told in every time zone."""


def text_of(value: Any) -> str | None:
    if isinstance(value, bool | int | float):
        return str(value)
    return value if isinstance(value, str) else None


def number_of(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= MOST:
        return None
    return value


def count_of(value: Any) -> int | None:
    number = number_of(value)
    return None if number is None else int(number)


def flag_of(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def moment_of(value: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def object_of(value: Any) -> dict[str, Any] | None:
    return pruned(value) if isinstance(value, Mapping) else None


def texts_of(value: Any) -> dict[str, str] | None:
    """What is no text among them is empty, and not as if it had not come: it was said, and is wrong."""
    if not isinstance(value, Mapping):
        return None
    return {str(name): text_of(item) or "" for name, item in value.items() if item is not None}


def pruned(value: Any, depth: int = DEPTH) -> Any:
    """JSON that can be written again: numbers finite, nothing nested deeper than anybody reads."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if not isinstance(value, Mapping | list):
        return value
    if depth == 0:
        return None
    if isinstance(value, Mapping):
        return {str(name): pruned(item, depth - 1) for name, item in value.items()}
    return [pruned(item, depth - 1) for item in value]


def figure(metrics: Mapping[str, Any], name: str) -> float | None:
    """A figure of a job's; its code may have put anything under that name."""
    return number_of(metrics.get(name))
