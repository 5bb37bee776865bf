"""Reads from a JSON text what can be told without parsing it: where its strings end, and where a NaN is.

Python, pandas and JavaScript libraries write NaN and Infinity, which JSON does not have: people get the name of the row
and the cure, since no editor shows them "char 1360".
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

Text = bytes | bytearray

_PLAIN = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+){0,1000}+', re.DOTALL)
"""So much of a string at a time, since the pattern's own memory grows with its repetitions."""
_BRACKET = re.compile(rb"[\[\]{}]")
_NOT_A_NUMBER = re.compile(r"-?\b(?:NaN|Inf(?:inity)?)\b", re.IGNORECASE)
_TOO_LARGE = re.compile(r"-?\d+(?:\.\d+)?[eE]\+?\d+")
_CLOSING: Mapping[bytes, bytes] = {b"[": b"]", b"{": b"}"}
_LONGEST_NAME = 256


@dataclass(frozen=True, slots=True)
class NotANumber:
    path: str
    """The path in the form of `dataset[7].price`; empty for the whole text."""
    written: str
    cure: str


def outside_strings(text: Text) -> Iterator[tuple[int, int]]:
    """Start and end of everything that is outside of strings."""
    start = 0
    while (quote := text.find(b'"', start)) >= 0:
        yield start, quote
        start = _end_of_string(text, quote + 1)
    yield start, len(text)


def not_a_number(error: orjson.JSONDecodeError) -> NotANumber | None:
    """None where the text is malformed in another way."""
    start = error.pos - 1 if error.doc[error.pos - 1 : error.pos] == "-" else error.pos
    for pattern, cure in (_NOT_A_NUMBER, "write null"), (_TOO_LARGE, "write it as text"):
        if found := pattern.match(error.doc, start):
            with suppress(orjson.JSONDecodeError):  # no value may stand there
                return NotANumber(_path(error.doc[:start]), found[0][:40], cure)
    return None


def _path(before: str) -> str:
    """The path of the value that would follow. With null in its place and every bracket closed, it is the last value on
    each level."""
    text = before.encode()
    closing: list[bytes] = []
    for start, end in outside_strings(text):
        for bracket in _BRACKET.findall(text, start, end):
            closing.append(_CLOSING[bracket]) if bracket in _CLOSING else closing.pop()
    document: Any = orjson.loads(text + b"null" + b"".join(reversed(closing)))
    path = ""
    while isinstance(document, dict | list):
        if isinstance(document, list):
            path, document = f"{path}[{len(document) - 1}]", document[-1]
        else:
            name, document = next(reversed(document.items()))
            path = f"{path}.{name[:_LONGEST_NAME]}" if path else name[:_LONGEST_NAME]
    return path


def _end_of_string(text: Text, start: int) -> int:
    while start < len(text) and text[start : start + 1] != b'"':
        found = _PLAIN.match(text, start)
        if found is None or found.end() == start:
            return len(text)  # a backslash at the end: no JSON, as the parser will say
        start = found.end()
    return start + 1
