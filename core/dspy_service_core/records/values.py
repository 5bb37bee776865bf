"""Sanitizes single values from the process that runs user code: each becomes a count, a number, a text or a time that
Kubernetes, the store and clients accept.

Nothing here raises for any input: a value without a sensible form becomes None, and one that is too long is cut.
"""

import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

MAX_INTEGER = 2**53 - 1
"""Some JSON readers cannot represent larger integers exactly."""
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", re.ASCII)
_FIRST = datetime.fromtimestamp(0, UTC)
_AHEAD = timedelta(days=1)
"""How far in the future a time may lie: more than two clocks of one pod can differ."""
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


def cut(text: str, limit: int) -> str:
    """The text cut to at most `limit` bytes of UTF-8, with a note of how much was cut."""
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


def number_of(value: Any) -> float | None:
    """A finite number, also from a decimal string as in the resource."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def decimal_of(value: float | None) -> str | None:
    """A number as the resource writes it: a decimal string."""
    number = None if isinstance(value, str) else number_of(value)
    return None if number is None else repr(number).removesuffix(".0")


def timestamp_of(value: Any, now: str) -> str:
    """The value if it is a valid time between 1970 and soon, else `now`, since readers compute with it.

    If `now` is empty, as for records that were checked before, a time may lie in the future.
    """
    if not isinstance(value, str) or not _TIMESTAMP.fullmatch(value):
        return now
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return now
    if moment < _FIRST or (now and moment > datetime.fromisoformat(now) + _AHEAD):
        return now
    return value


def visible(text: str) -> str:
    """Escapes characters that control a terminal (except line breaks and tabs), since `kubectl` prints the status."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def visible_line(text: str) -> str:
    """Like `visible`, and on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def is_number(value: Any) -> bool:
    """Whether the value is a number, or null because there is none yet."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
