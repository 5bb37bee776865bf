import sys
from pathlib import Path
from typing import Any

import pytest
from arro3.core import Array, DataType, Table
from arro3.io import write_parquet

from dspy_service_core.nesting import MAX_DEPTH
from dspy_service_core.rows.json_file import JsonFile, NotJson
from dspy_service_core.rows.rows import UnusableRows, checked, read_rows
from row_files import BAD, GOOD, RowFile, parquet


def of_file(folder: Path, file: RowFile) -> list[Any]:
    (folder / "value").write_bytes(file.content)
    return list(checked(read_rows(file.name, folder / "value")))


@pytest.mark.parametrize("file", GOOD, ids=str)
def test_rows_of_a_file_and_of_what_is_in_memory(tmp_path: Path, file: RowFile) -> None:
    assert of_file(tmp_path, file) == file.rows
    assert list(checked(read_rows(file.name, file.content))) == file.rows


@pytest.mark.parametrize("file", BAD, ids=str)
def test_what_is_no_dataset_is_refused(tmp_path: Path, file: RowFile) -> None:
    with pytest.raises(UnusableRows):
        of_file(tmp_path, file)
    with pytest.raises(UnusableRows):
        list(checked(read_rows(file.name, file.content)))


SAID: list[tuple[str, bytes, str]] = [
    ("d.txt", b"", "one of .jsonl, .ndjson, .json, .csv, .tsv, .parquet"),
    ("d", b"", "told by its ending"),
    ("d.parquet", b"a,b\n1,2\n3,4\n", "'d.parquet' is not Parquet: it does not begin and end as Parquet does"),
    ("d.parquet", b"PAR1" + b"x" * 100 + b"PAR1", "'d.parquet' is not Parquet: .* Save it anew"),
    (
        "d.parquet",
        parquet({"a": Array([1.0, float("nan")], DataType.float64())}),
        "Row 2 of the dataset has in column 'a' nan, which JSON does not have: write null",
    ),
    ("d.jsonl", b"", "at least one row"),
    ("d.jsonl", b'{"a":"1"}\n\n{"a":', "Row 2 of the dataset is not JSON: .* Write one JSON object on each line"),
    ("d.jsonl", b"[1]", "Row 1 of the dataset is not an object"),
    ("d.json", b"{", "is not a JSON array"),
    ("d.json", b'{"a": 1}', "not a JSON array"),
    ("d.csv", b"a,b\n1,2\n1\n", "Row 2 of the dataset has not as many fields"),
    ("d.csv", b"a,b\n1,2,3\n", "Row 1 of the dataset has not as many fields"),
    ("d.csv", b"a,b\n\xff,2\n", "not UTF-8: .* Save it as UTF-8"),
    ("d.csv", b'a,b\n1,2\n"x" y,2\n', "Line 3 of the dataset is not CSV: .* double each quote"),
]


@pytest.mark.parametrize(("name", "content", "words"), SAID)
def test_a_refusal_says_where_and_what_to_do(name: str, content: bytes, words: str) -> None:
    with pytest.raises(UnusableRows, match=words):
        list(checked(read_rows(name, content)))


def nested(levels: int) -> bytes:
    return b'{"a": ' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_a_row_is_as_deep_as_a_submit_s() -> None:
    assert list(checked(read_rows("d.jsonl", nested(MAX_DEPTH))))
    with pytest.raises(UnusableRows, match=f"Row 2 of the dataset is nested deeper than {MAX_DEPTH} levels"):
        list(checked(read_rows("d.jsonl", b"{}\n" + nested(MAX_DEPTH + 1))))


@pytest.mark.parametrize("large", [0, 1 << 30], ids=["value by value", "at once"])
def test_a_json_file_of_any_size(tmp_path: Path, large: int) -> None:
    path = tmp_path / "x"
    path.write_bytes('\ufeff{"rows": [{"a": 1, "b": 0.5}, {"a": "ü", "b": null}], "metric": "def m"}'.encode())
    file = JsonFile(path, large)
    assert list(file.items("rows")) == [{"a": 1, "b": 0.5}, {"a": "ü", "b": None}]
    assert (file.member("metric"), file.member("none")) == ("def m", None)
    assert list(file.pairs("none")) == list(file.pairs("metric")) == []
    path.write_bytes(b'{"files": {"a.py": "x = 1", "b/c": ""}, "rows": []}')
    assert list(JsonFile(path, large).pairs("files")) == [("a.py", "x = 1"), ("b/c", "")]
    path.write_bytes(b"[1, [2]]")
    assert list(JsonFile(path, large).items()) == [1, [2]]
    path.write_bytes(b"[1, 2")
    with pytest.raises(NotJson):
        list(JsonFile(path, large).items())


def test_without_its_reader_parquet_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the slim runner and the operator."""
    monkeypatch.setitem(sys.modules, "arro3.io", None)
    with pytest.raises(UnusableRows, match=r"'d.PARQUET' is a Parquet file, .* full runner .* \.jsonl or \.csv"):
        list(read_rows("d.PARQUET", b""))


def test_groups_of_rows_are_read_one_after_another(tmp_path: Path) -> None:
    table = Table.from_pydict({"n": Array(range(5000), DataType.int64())})
    write_parquet(table, tmp_path / "d.parquet", max_row_group_size=1000)
    assert [row["n"] for row in read_rows("d.parquet", tmp_path / "d.parquet")] == list(range(5000))
