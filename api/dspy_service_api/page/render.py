"""Templates: Jinja2 with everything escaped, strict about names, and the few words in which numbers and times are said.

Everything that a user wrote is text. Bidirectional controls and other characters that nobody sees are shown by their
numbers, so that no text can look like another one.
"""

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dspy_service_api.page import static

_HIDDEN = {"Cc", "Cf", "Co", "Cs", "Zl", "Zp"}
_SEEN = "\n\t\u200c\u200d"
"""Line breaks, and what joins letters in scripts that need it."""


@cache
def environment() -> Environment:
    found = Environment(
        loader=PackageLoader("dspy_service_api.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    found.globals["static"] = static.address
    found.filters |= {
        "text": text,
        "number": number,
        "score": score,
        "signed": signed,
        "usd": usd,
        "duration": duration,
        "ago": ago,
        "json": as_json,
        "short": short,
    }
    return found


def rendered(template: str, values: Mapping[str, Any]) -> str:
    return environment().get_template(template).render(values)


def text(value: Any) -> Markup:
    """A user's text, with what would be hidden made visible."""
    said = value if isinstance(value, str) else as_json(value) if isinstance(value, dict | list) else str(value)
    if said.isprintable():
        return escape(said)
    return Markup("").join(_shown(character) for character in _pieces(said))


_ODD = re.compile(r"[^\x20-\x7e\n\t\xa1-\u05ff\u3041-\u9fff\uac00-\ud7a3]")


def _pieces(said: str) -> list[str]:
    """Runs of plain characters whole, all others one by one."""
    pieces, at = [], 0
    for match in _ODD.finditer(said):
        pieces += [said[at : match.start()], match[0]]
        at = match.end()
    return [piece for piece in [*pieces, said[at:]] if piece]


def _shown(piece: str) -> Markup:
    if len(piece) == 1 and piece not in _SEEN and unicodedata.category(piece) in _HIDDEN:
        return Markup('<span class="hidden-character">{}</span>').format(f"U+{ord(piece):04X}")
    return escape(piece)


def number(value: Any) -> str:
    """1234567 is 1,234,567; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:,.4g}"


def score(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, int | float) and not isinstance(value, bool) else "–"


def signed(value: Any) -> str:
    return f"{value:+.1f}".replace("-", "\u2212") if isinstance(value, int | float) else "–"


def usd(value: Any) -> str:
    """Small amounts have digits enough to tell them from nothing."""
    if not isinstance(value, int | float):
        return "–"
    return f"${value:,.2f}" if value >= 1 or not value else f"${value:.2g}"


def duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "–"
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} days"


def ago(timestamp: Any) -> Markup:
    """Relative for reading, exact for machines and on hover; a script keeps it true."""
    moment = moment_of(timestamp)
    if moment is None:
        return Markup("–")
    exact = moment.astimezone(UTC)
    passed = (datetime.now(UTC) - exact).total_seconds()
    said = "just now" if passed < 5 else f"{_rough(passed)} ago"
    iso = exact.isoformat().removesuffix("+00:00")
    return Markup(f'<time datetime="{iso}Z" title="{iso[:10]} {iso[11:19]} UTC">{said}</time>')


def _rough(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def moment_of(timestamp: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None


def as_json(value: Any) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    except (TypeError, orjson.JSONEncodeError):
        return str(value)


def short(job_id: str) -> str:
    return job_id[:8] if re.fullmatch(r"[0-9a-f]{8}-[0-9a-f-]{27}", job_id) else job_id
