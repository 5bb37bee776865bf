"""The shape of a request's program and its files, each problem under a name that says which file."""

from typing import Any

import pytest

from dspy_service_core.contract import program_files
from dspy_service_core.resource.sources import MOST_FILE_BYTES, MOST_FILES


def problems(files: object) -> list[tuple[str, str]]:
    return [(it.field, it.type) for it in program_files.problems(files)]


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"helpers/__init__.py": "", "helpers/text.py": "x = 1", "data/terms.csv": "a,b"},
        {f"f{n}.py": "" for n in range(MOST_FILES)},
        {"large.txt": "x" * MOST_FILE_BYTES},
        {"accents.txt": "é" * (MOST_FILE_BYTES // 2)},
    ],
    ids=["none", "a package and data", "as many as may be", "as large as may be", "counted in bytes"],
)
def test_files_are_taken(files: dict[str, str]) -> None:
    assert problems(files) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], [("program_files", "dict_type")]),
        ("x", [("program_files", "dict_type")]),
        (None, [("program_files", "dict_type")]),
        ({"../x.py": "x"}, [("program_files['../x.py']", "file_path")]),
        ({"/x.py": "x", "a\\b": "", "ok.py": ""}, [(f"program_files[{p!r}]", "file_path") for p in ("/x.py", "a\\b")]),
        ({"json.py": ""}, [("program_files['json.py']", "file_path")]),
        ({"a": "", "a/b.py": ""}, [("program_files['a']", "file_path")]),
        ({"a.py": 3, "b.py": None, "c.py": ""}, [(f"program_files['{n}.py']", "string_type") for n in "ab"]),
        ({f"f{n}.py": "" for n in range(MOST_FILES + 1)}, [("program_files", "too_many_files")]),
        ({"a": "x" * MOST_FILE_BYTES, "b": "x"}, [("program_files", "files_too_large")]),
        ({"a": "é" * (MOST_FILE_BYTES // 2 + 1)}, [("program_files", "files_too_large")]),
        ({"x" * 5000: ""}, [(f"program_files['{'x' * 160}']", "file_path")]),
    ],
)
def test_each_problem_names_its_file(files: Any, expected: list[tuple[str, str]]) -> None:
    assert problems(files) == expected
