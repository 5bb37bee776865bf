"""How much a JSON text will take once it is built, told from its bytes: `[{},{},...]` takes thirty times its length.

What is counted first is an upper bound at the speed of `bytes.count`: commas and brackets inside of strings count too.
Only where that is too much are the strings left out, which goes string by string.
"""

import re
from collections.abc import Iterator

from dspy_service_core.errors import FieldProblem, InvalidRequest
from dspy_service_core.json_text import outside_strings

Body = bytes | bytearray

BYTES_OF_A_VALUE = 140
"""What orjson makes takes so much for each value at most: `{"a":1}` are two, in 280 bytes."""
BYTES_OF_A_BYTE = 6
"""Text becomes objects, is encoded again, put into a document and sent; one emoji makes a string four times as long."""
BYTES_OF_A_BYTE_AT_MOST = 40
"""Of the densest body: for one of usual size it is not worth while to count."""
_SMALL_BYTES = 500_000

_INTEGER = re.compile(rb"(?<![\d.eE+-])-?\d{19,}(?![\d.eE])")


def values_at_most(body: Body) -> int:
    return 1 + body.count(b",") + body.count(b"{") + body.count(b"[")


def weight(body: Body) -> int:
    """Bytes that a request of this body takes at most while it is worked on, beside the body itself."""
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
    """The digits of all integers in a JSON text that are longer than eighteen."""
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
