"""Cleans JSON that user code may have written, so that Kubernetes, the store and clients accept it.

Nothing here raises, whatever the input: a value without a sensible form becomes None. Single values of a known type are
read by `core.records.values`.
"""

import json
import math
from datetime import UTC, datetime
from typing import Any

import orjson

from dspy_service_core.records import values

MAX_DEPTH = 32


def load_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object, with None for NaN and Infinity, which Python's own encoder writes. None for anything else."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = _load_leniently(content)
    return value if isinstance(value, dict) else None


def _load_leniently(content: bytes) -> Any:
    try:
        return json.loads(content, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def clean(value: Any, depth: int = MAX_DEPTH) -> Any:
    """The value with finite numbers, valid Unicode and a limited depth only."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return value if abs(value) <= values.MAX_INTEGER else values.number_of(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth <= 0:
        return None
    if isinstance(value, dict):
        return {clean_text(key): clean(item, depth - 1) for key, item in value.items()}
    return [clean(item, depth - 1) for item in value] if isinstance(value, list) else None


def clean_text(text: str) -> str:
    """Replaces lone surrogates, which cannot be encoded."""
    return text.encode(errors="replace").decode()


def timestamp(moment: float) -> str:
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def size_of(value: Any) -> int:
    """Bytes of the value as JSON."""
    return len(orjson.dumps(value))
