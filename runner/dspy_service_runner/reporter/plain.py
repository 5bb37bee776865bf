"""Foreign JSON made harmless: whatever user code wrote becomes something that Kubernetes, the store and clients take.

Nothing here raises for any input: a value that has no sensible form becomes None or is cut.
"""

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

MAX_DEPTH = 32
MAX_INTEGER = 2**53 - 1
"""Larger ones are not the same number to every JSON reader; they become floats."""
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_FIRST = datetime.fromtimestamp(0, UTC)
_AHEAD = timedelta(days=1)
"""More than two clocks of one pod can differ."""
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def load_object(content: bytes) -> dict[str, Any] | None:
    """The JSON object, NaN and Infinity (which Python's own encoder writes) as None; None for anything else."""
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
    """Finite numbers, whole Unicode, bounded depth."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return value if abs(value) <= MAX_INTEGER else _float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth <= 0:
        return None
    if isinstance(value, dict):
        return {clean_text(key): clean(item, depth - 1) for key, item in value.items()}
    return [clean(item, depth - 1) for item in value] if isinstance(value, list) else None


def clean_text(text: str) -> str:
    """Lone surrogates cannot be encoded."""
    return text.encode(errors="replace").decode()


def cut(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, saying how much is gone."""
    encoded = text.encode(errors="replace")
    if len(encoded) <= limit:
        return encoded.decode()
    marker = f"... [{len(encoded) - limit} bytes cut]"
    return encoded[: max(limit - len(marker), 0)].decode(errors="ignore") + marker


def text_of(value: Any, limit: int) -> str:
    return cut(value, limit) if isinstance(value, str) else ""


def count_of(value: Any) -> int | None:
    """A count: a whole number from 0 on."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value <= MAX_INTEGER else None


def decimal_of(value: Any) -> str | None:
    """A number as the resource writes it: a decimal string."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = _float(value)
    return None if number is None else repr(number).removesuffix(".0")


def timestamp_of(value: Any, now: str) -> str:
    """A time that there is, between 1970 and soon; `now` for any other: who reads it reckons with it."""
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return now
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return now
    return value if _FIRST <= moment <= datetime.fromisoformat(now) + _AHEAD else now


def visible(text: str) -> str:
    """What steers a terminal by its escape, but for line breaks and tabs: `kubectl` prints what the status says."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_line(text: str) -> str:
    """As `visible`, on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def is_number(value: Any) -> bool:
    """Or none yet."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def timestamp(moment: float) -> str:
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def size_of(value: Any) -> int:
    """Bytes of the value as JSON."""
    return len(orjson.dumps(value))


def _float(value: float) -> float | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None
