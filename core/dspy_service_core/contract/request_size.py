"""Estimates from the bytes of a JSON text how much memory its values will take: for `[{},{},...]`, thirty times its
length.

First an upper bound is counted, at the speed of `bytes.count`; it includes commas and brackets inside strings. Only if
that is too much, the text is counted again without strings, which is slower because it goes from string to string.
"""

import re
from collections.abc import Iterator

from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.json_text import outside_strings

Body = bytes | bytearray

BYTES_OF_A_VALUE = 140
"""Memory that orjson needs for each value at most: `{"a":1}` are two values, in 280 bytes."""
BYTES_OF_A_BYTE = 6
"""Memory for each byte of the body: text becomes objects, is encoded again, put into a document and sent, and one emoji
makes a string four times as large."""
BYTES_OF_A_BYTE_AT_MOST = 40
"""The same for the densest possible body. It is used for small bodies, whose values are not worth counting."""
_SMALL_BYTES = 500_000

_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{19,}(?![\d.eE])")


def values_at_most(body: Body) -> int:
    return 1 + body.count(b",") + body.count(b"{") + body.count(b"[")


def weight(body: Body) -> int:
    """Bytes of memory that a request takes at most while it is handled, beside its body."""
    if len(body) <= _SMALL_BYTES:
        return BYTES_OF_A_BYTE_AT_MOST * len(body)
    return BYTES_OF_A_BYTE * len(body) + BYTES_OF_A_VALUE * values_at_most(body)


def refuse_many_values(body: Body, most: int) -> None:
    if len(body) <= most or values_at_most(body) <= most or not _more_values(body, most):
        return
    raise InvalidRequest(
        [
            FieldProblem(
                "dataset",
                f"The request holds more than {most} values (cells, objects and lists): send fewer rows or columns, or "
                "create an OptimizationJob whose spec.dataset.uri names them",
                "too_many_values",
            )
        ]
    )


def large_integers(body: Body) -> Iterator[str]:
    """All integers in a JSON text that have more than eighteen digits."""
    for start, end in outside_strings(body):
        for found in _INTEGER.finditer(body, start, end):
            yield found.group().decode()


def _more_values(body: Body, most: int) -> bool:
    count = 1
    for start, end in outside_strings(body):
        count += body.count(b",", start, end) + body.count(b"{", start, end) + body.count(b"[", start, end)
        if count > most:
            return True
    return False
