"""Bodies of `POST /run` that take much memory for their length, each right in every way but for its rows."""

from collections.abc import Callable

import orjson

from run_requests import run_request

_ROW = b'{"text":"a","label":"b"}'


def _around(rows: bytes) -> bytes:
    before, after = orjson.dumps(run_request(dataset=["ROWS"])).split(b'"ROWS"')
    return before + rows + after


def _rows(row: bytes) -> Callable[[int], bytes]:
    return lambda length: _around((row + b",") * (length // (len(row) + 1)) + _ROW)


def _cell(cell: Callable[[int], bytes]) -> Callable[[int], bytes]:
    """One row with a large cell among small ones."""
    return lambda length: _around(b'{"text":' + cell(length) + b',"label":"b"},' + (_ROW + b",") * 40 + _ROW)


SHAPES: dict[str, Callable[[int], bytes]] = {
    "empty rows": _rows(b"{}"),
    "empty lists": _rows(b"[]"),
    "rows of one cell": _rows(b'{"a":1}'),
    "rows of small cells": _rows(_ROW),
    "rows of long cells": _rows(b'{"text":"' + b"a" * 1000 + b'","label":"b"}'),
    "rows of middling cells": _rows(b'{"text":"' + b"a" * 100 + b'","label":"' + b"b" * 20 + b'"}'),
    "many columns": _cell(lambda n: b"{" + b",".join(b'"%d":1' % i for i in range(n // 12)) + b"}"),
    "the same key": _cell(lambda n: b"{" + b'"a":1,' * (n // 6) + b'"a":1}'),
    "one long key": _cell(lambda n: b'{"' + b"a" * n + b'":1}'),
    "long keys": _cell(lambda n: b"{" + b",".join(b'"%0900d":1' % i for i in range(n // 906)) + b"}"),
    "small strings": _cell(lambda n: b"[" + b'"a",' * (n // 4) + b"1]"),
    "numbers": _cell(lambda n: b"[" + b"1," * (n // 2) + b"1]"),
    "large numbers": _cell(lambda n: b"[" + b"9223372036854775807," * (n // 20) + b"1]"),
    "fractions": _cell(lambda n: b"[" + b"0.1," * (n // 4) + b"1]"),
    "nested lists": _cell(lambda n: b"[" + (b"[" * 50 + b"]" * 50 + b",") * (n // 101) + b"1]"),
    "open lists": _cell(lambda n: b"[" * n),
    "a long string": _cell(lambda n: b'"' + b"a" * n + b'"'),
    "a long string with one emoji": _cell(lambda n: '"\N{GRINNING FACE}'.encode() + b"a" * n + b'"'),
    "a long string of two-byte characters": _cell(lambda n: b'"' + "é".encode() * (n // 2) + b'"'),
    "escaped emoji": _cell(lambda n: b'"' + b"\\ud83d\\ude00" * (n // 12) + b'"'),
    "escaped quotes": _cell(lambda n: b'"' + b'\\"' * (n // 2) + b'"'),
    "escaped control characters": _cell(lambda n: b'"' + b"\\u0001" * (n // 6) + b'"'),
    "commas in a string": _cell(lambda n: b'"' + b",{[" * (n // 3) + b'"'),
    "a large float before a long string": _cell(lambda n: b'[1e300,"' + "é".encode() * (n // 2) + b'"]'),
    "no JSON": lambda length: _around(b'{"text":"' + b"a" * length),
}
"""Length to body."""
