"""Paths of a program's files: those that people have are taken, and none leads elsewhere or hides a module."""

import re

import pytest

from dspy_service_core.resource.spec.program_paths import MOST_PATH_LENGTH, PATH_PATTERN, in_the_way, refused

TAKEN = [
    "helpers.py",
    "helpers/__init__.py",
    "helpers/text/clean.py",
    "data/terms.csv",
    "data/my terms.csv",
    "README.md",
    "LICENSE",
    "prompts/system.v2.txt",
    "a-b/c+d@e.json",
    "données/naïve.txt",
    "~x/y",
    "json/rows.json",  # data in a folder hides no module
    "types.json",
    "x" * MOST_PATH_LENGTH,
]
ODD = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "../x.py",
    "a/../x.py",
    "a/..",
    "./a.py",
    "a//b.py",
    "a/",
    ".env",
    "a/.hidden/b.py",
    "a\\b.py",
    "C:\\x.py",
    "a\nb.py",
    "a\x00.py",
    "a\x7f.py",
    "x" * (MOST_PATH_LENGTH + 1),
]
HIDING = [
    "json.py",
    "types/__init__.py",
    "os/path.py",
    "asyncio/tasks/x.py",
    "__main__.py",
    "dspy.py",
    "dspy/__init__.py",
    "dspy_service_core/x.py",
    "dspy_service.py",
    "user_metric.py",
    "pydantic.py",
    "numpy/__init__.py",
]


@pytest.mark.parametrize("path", TAKEN)
def test_plain_paths_are_taken(path: str) -> None:
    assert refused(path) == ""
    assert re.search(PATH_PATTERN, path)


@pytest.mark.parametrize("path", ODD)
def test_odd_paths_are_refused_by_the_schema_too(path: str) -> None:
    assert refused(path)
    assert not re.search(PATH_PATTERN, path) or len(path) > MOST_PATH_LENGTH


@pytest.mark.parametrize("path", HIDING)
def test_what_would_hide_a_module_is_refused(path: str) -> None:
    assert "would hide" in refused(path)


@pytest.mark.parametrize("path", ["a\u2028b.py", "a\x9fb.py", "ä" * 60 + "𝄞" * 60])
def test_the_service_refuses_what_no_schema_can_say(path: str) -> None:
    assert refused(path)


def test_a_file_is_no_folder_of_another() -> None:
    assert list(in_the_way(["a", "a/b.py", "a/c/d", "x/y", "x.py"])) == [("a", "a/b.py"), ("a", "a/c/d")]
    assert not list(in_the_way(["a.py", "a/b.py", "ab/c"]))
