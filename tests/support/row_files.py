"""Row files and what a reader makes of them: core's and the client's own are held to the same answers."""

from dataclasses import dataclass, field
from typing import Any

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
    RowFile("d.parquet", b"PAR1"),
]
