from pathlib import Path

import pytest

from dspy_service import UnusableDataset, read_rows


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", 'a,b\n1,x\n2,"y,\nz"\n'),
        ("r.CSV", '\ufeffa,b\r\n1,x\r\n2,"y,\nz"\r\n'),
        ("r.tsv", 'a\tb\n1\tx\n2\t"y,\nz"\n'),
        ("r.json", '[{"a": "1", "b": "x"}, {"a": "2", "b": "y,\\nz"}]'),
        ("r.jsonl", '{"a": "1", "b": "x"}\n\n{"a": "2", "b": "y,\\nz"}\n'),
    ],
)
def test_rows_of_every_kind_of_file(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, newline="")
    assert read_rows(path) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y,\nz"}]
    assert read_rows(path, limit=1) == [{"a": "1", "b": "x"}]


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


def test_bytes_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(b"a\n\xff\xfe\n")
    with pytest.raises(UnusableDataset):
        read_rows(path)
