"""The shape of a request's program and its files, each problem under a name that says which file."""

from typing import Any

import orjson
import pytest

from dspy_service_core.contract import program_files
from dspy_service_core.contract.request import RunRequest, parse_run_request
from dspy_service_core.errors import InvalidRequest
from dspy_service_core.resource.sources import MOST_FILE_BYTES, MOST_FILES
from run_requests import FILES, PROGRAM, SIGNATURE, program_request, run_request


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


def parsed(body: dict[str, Any]) -> RunRequest:
    return parse_run_request(orjson.dumps(body))


def refused(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parsed(body)
    return [(it.field, it.type, it.message) for it in caught.value.problems]


def test_a_program_needs_no_module_signature_or_mapping() -> None:
    request = parsed(program_request())
    assert request.code == {"program": PROGRAM, "metric": request.metric_code}
    assert request.program_files == FILES
    assert (request.module_name, request.signature_code, request.column_mapping) == (None, None, None)


@pytest.mark.parametrize(
    "beside",
    [
        {"module_name": "Triage", "module_kwargs": {"hint": "be kind"}},
        {"signature_code": SIGNATURE},
        {"column_mapping": {"inputs": {"text": "text"}}},
        {"program_files": {}},
    ],
    ids=lambda value: next(iter(value)),
)
def test_and_takes_them_beside_it(beside: dict[str, Any]) -> None:
    parsed(program_request(**beside))


@pytest.mark.parametrize("program", [None, "absent"])
def test_without_a_program_they_are_missing_as_ever(program: Any) -> None:
    body = run_request(module_name=None, signature_code=None, column_mapping=None)
    if program is None:
        body["program_code"] = None
    assert refused(body) == [
        (name, "missing", "Field required") for name in ("module_name", "signature_code", "column_mapping")
    ]


def test_they_stand_where_they_did_among_other_problems() -> None:
    body = run_request(signature_code=None, seed="x", metric_code=None)
    assert [field for field, *_ in refused(body)] == ["signature_code", "metric_code", "seed"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"program_code": ""}, [("program_code", "string_too_short")]),
        ({"program_code": 5}, [("program_code", "string_type")]),
        ({"program_files": {"../x.py": "x"}}, [("program_files['../x.py']", "file_path")]),
        (
            {"program_files": {"a.py": 1}, "seed": "x"},
            [("program_files['a.py']", "string_type"), ("seed", "number_type")],
        ),
        ({"program_files": None}, None),
        ({"module_name": ""}, [("module_name", "string_too_short")]),
        ({"column_mapping": {"inputs": {}}}, [("column_mapping.inputs", "too_short")]),
    ],
)
def test_the_shape_of_a_program(changes: dict[str, Any], expected: list[tuple[str, str]] | None) -> None:
    body = program_request(**changes)
    if expected is None:
        parsed(body)
    else:
        assert [(field, kind) for field, kind, _ in refused(body)] == expected


def test_files_belong_to_a_program() -> None:
    ((field, kind, message),) = refused(run_request(program_files={"a.py": ""}))
    assert (field, kind, message) == ("program_files", "no_program", "Belongs to program_code, which is missing")
