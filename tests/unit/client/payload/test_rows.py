import sys
from pathlib import Path

import pytest
from arro3.core import Array, DataType

from dspy_service import UnusableDataset, read_rows
from row_files import BAD, GOOD, RowFile, parquet

GOOD_PARQUET = next(file for file in GOOD if file.name == "d.parquet")


def written(folder: Path, file: RowFile) -> Path:
    path = folder / file.name
    path.write_bytes(file.content)
    return path


@pytest.mark.parametrize("file", GOOD, ids=str)
def test_rows_of_every_kind_of_file(tmp_path: Path, file: RowFile) -> None:
    path = written(tmp_path, file)
    assert read_rows(path) == file.rows
    assert read_rows(path, limit=1) == file.rows[:1]


@pytest.mark.parametrize("file", BAD, ids=str)
def test_what_the_service_refuses_is_refused_here(tmp_path: Path, file: RowFile) -> None:
    with pytest.raises(UnusableDataset):
        read_rows(written(tmp_path, file))


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("r.csv", "a,b\n", "no rows"),
        ("r.jsonl", "", "no rows"),
        ("r.csv", "a,b\n1,2\n3\n", "line 3"),
        ("r.csv", "a,b\n1,2,3\n", "line 2"),
        ("r.jsonl", '{"a": 1}\n[2]\n', "line 2"),
        ("r.jsonl", "{'a': 1}\n", "r.jsonl"),
        ("r.json", '{"a": 1}', "list"),
    ],
)
def test_what_is_no_dataset_is_told(tmp_path: Path, name: str, content: str, told: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(UnusableDataset, match=told):
        read_rows(path)


def test_without_its_reader_parquet_is_refused_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "arro3.io", None)
    with pytest.raises(UnusableDataset, match=r"install dspy-service\[parquet\]"):
        read_rows(written(tmp_path, GOOD_PARQUET))


def test_a_cell_without_a_form_in_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    path.write_bytes(parquet({"price": Array([1.0, float("nan")], DataType.float64())}))
    with pytest.raises(UnusableDataset, match=r"row 1: .*price.* NaN"):
        read_rows(path)
