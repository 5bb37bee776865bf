"""Row files and what a reader makes of them: core's and the client's own are held to the same answers."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arro3.core import Array, DataType, Table, list_array
from arro3.io import write_parquet

ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": "ü,\nz"}]


@dataclass(frozen=True)
class RowFile:
    """A file with these rows, or, without rows, one that is no dataset."""

    name: str
    content: bytes
    rows: list[dict[str, Any]] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{self.name}: {self.content[:40]!r}"


def _good(name: str, text: str, rows: list[dict[str, Any]] = ROWS) -> RowFile:
    return RowFile(name, text.encode(), rows)


def parquet(columns: Mapping[str, Array]) -> bytes:
    file = io.BytesIO()
    write_parquet(Table.from_pydict(columns), file)
    return file.getvalue()


def _texts(*cells: str | None) -> Array:
    return Array(cells, DataType.string())


_PARQUET = parquet({"a": _texts("1", "2"), "b": _texts("x", "ü,\nz")})
_MIXED = parquet(
    {
        "n": Array([1, None], DataType.int64()),
        "x": Array([0.5, None], DataType.float64()),
        "yes": Array([True, None], DataType.bool()),
        "text": _texts("", None),
        "day": Array([18263, None], DataType.int32()).cast(DataType.date32()),
        "at": Array([1577934245000678, None], DataType.int64()).cast(DataType.timestamp("us")),
        "list": list_array(Array([0, 2, 2], DataType.int32()), Array([1, 2], DataType.int64())),
        "utf8": Array(["ü".encode(), None], DataType.binary()),
    }
)
_MIXED_ROWS: list[dict[str, Any]] = [
    {
        "n": 1,
        "x": 0.5,
        "yes": True,
        "text": "",
        "day": "2020-01-02",
        "at": "2020-01-02T03:04:05.000678",
        "list": [1, 2],
        "utf8": "ü",
    },
    dict.fromkeys(("n", "x", "yes", "text", "day", "at", "utf8")) | {"list": []},
]

GOOD = [
    _good("d.jsonl", '{"a":"1","b":"x"}\n\n{"a":"2","b":"ü,\\nz"}'),
    _good("d.jsonl", '\ufeff{"a":"1","b":"x"}\r\n{"a":"2","b":"\\u00fc,\\nz"}\r\n'),
    _good("d.NDJSON", ' {"a":"1","b":"x"}\n{"a":"2","b":"ü,\\nz"} \n'),
    _good("d.json", '[{"a":"1","b":"x"},{"a":"2","b":"ü,\\nz"}]'),
    _good("d.json", '\ufeff\n[\n{"a":"1","b":"x"},{"a":"2","b":"ü,\\nz"}\n]\n'),
    _good("d.csv", 'a,b\n1,x\n2,"ü,\nz"\n'),
    _good("d.CSV", '\ufeffa,b\r\n1,x\r\n\r\n2,"ü,\nz"'),
    _good("d.tsv", 'a\tb\n1\tx\n2\t"ü,\nz"\n'),
    _good("d.csv", 'a,b\n"say ""x""",\n', [{"a": 'say "x"', "b": ""}]),
    _good("d.jsonl", '{"a": "x\u2028y\u0085z"}', [{"a": "x\u2028y\u0085z"}]),
    RowFile("d.parquet", _PARQUET, ROWS),
    RowFile("d.PARQUET", _MIXED, _MIXED_ROWS),
    _good("d.jsonl", '{"a": [1, 0.5, null, true, {"b": {}}]}\n{}', [{"a": [1, 0.5, None, True, {"b": {}}]}, {}]),
]

BAD = [
    RowFile("d.jsonl", b""),
    RowFile("d.jsonl", b"\n \n"),
    RowFile("d.jsonl", b'{"a":"1"}\n\n{"a":'),
    RowFile("d.jsonl", b'{"a":"1"} {"a":"2"}'),
    RowFile("d.jsonl", b'{"a":"1"}\n[1]'),
    RowFile("d.jsonl", b"{'a': 1}"),
    RowFile("d.jsonl", b'{"a": NaN}'),
    RowFile("d.jsonl", b'{"a": "\xff"}'),
    RowFile("d.jsonl", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    RowFile("d.json", b""),
    RowFile("d.json", b"[]"),
    RowFile("d.json", b"{"),
    RowFile("d.json", b'{"a": 1}'),
    RowFile("d.json", b'[{"a": 1}, 2]'),
    RowFile("d.json", b'[{"a": -Infinity}]'),
    RowFile("d.csv", b""),
    RowFile("d.csv", b"a,b\n"),
    RowFile("d.csv", b"a,b\n1,2\n1\n"),
    RowFile("d.csv", b"a,b\n1,2,3\n"),
    RowFile("d.csv", b"a,b\n\xff,2\n"),
    RowFile("d.csv", b'a,b\n"x" y,2\n'),
    RowFile("d.csv", b'a,b\n"x,2\n'),
    RowFile("d.csv", b"a\n" + b"x" * (2**24 + 1)),
    RowFile("d.tsv", b"a\tb\n1\n"),
    RowFile("d.parquet", b""),
    RowFile("d.parquet", b"PAR1"),
    RowFile("d.parquet", b'{"a": 1}\n{"a": 2}'),
    RowFile("d.parquet", b"PAR1" + b"x" * 100 + b"PAR1"),
    RowFile("d.parquet", _PARQUET[:8] + bytes(20) + _PARQUET[28:]),
    RowFile("d.parquet", parquet({"a": _texts()})),
    RowFile("d.parquet", parquet({"a": Array([1.0, float("nan")], DataType.float64())})),
    RowFile("d.parquet", parquet({"a": Array([b"\xff"], DataType.binary())})),
    RowFile("d.parquet", parquet({"a": Array([2**64 - 1], DataType.uint64())})),
]
