"""How jobs are set: flat lists of names and values, and where two of them differ. Made of payloads and summaries."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_api.page.render import as_json

LONG = ("signature_code", "program_code", "metric_code", "dataset", "program_files", "initial")
"""Shown apart: code and rows."""


@dataclass(frozen=True, slots=True)
class Difference:
    name: str
    values: tuple[str, ...]


def flat(payload: Mapping[str, Any]) -> dict[str, str]:
    """Dotted names; what is long is left out."""
    return {name: shown for name, shown in _flat("", payload) if name.split(".")[0] not in LONG}


def differing(payloads: Sequence[Mapping[str, Any]]) -> list[Difference]:
    flats = [flat(payload) for payload in payloads]
    names = dict.fromkeys(name for each in flats for name in each)
    rows = [Difference(name, tuple(each.get(name, "–") for each in flats)) for name in names]
    longs = [Difference(name, tuple(_size(payload.get(name)) for payload in payloads)) for name in _differ(payloads)]
    return [row for row in rows if len(set(row.values)) > 1] + longs


def _differ(payloads: Sequence[Mapping[str, Any]]) -> list[str]:
    return [name for name in LONG if any(payload.get(name) != payloads[0].get(name) for payload in payloads[1:])]


def _size(value: Any) -> str:
    match value:
        case None:
            return "–"
        case list():
            return f"{len(value):,} rows"
        case str():
            return f"{len(value.splitlines()):,} lines"
    return f"{len(as_json(value)):,} characters"


def _flat(before: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(f"{before}.{name}" if before else str(name), inner)
    elif before:
        yield before, value if isinstance(value, str) else as_json(value)
