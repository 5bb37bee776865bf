import sys
import textwrap
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dspy_service import UnusableSource
from dspy_service.payload.source import source_of

MODULE = '''
"""A user's module."""
import os
import re as regex
from typing import Literal

import json

LABELS = ("a", "b")
Label = Literal["a", "b"]
UNUSED = 3


class Base:
    label: Label


class Route(Base):
    """Doc."""


def _normal(text: str) -> str:
    return regex.sub("x", "y", text)


def metric(gold, pred, trace=None):
    return _normal(gold) in LABELS


def outer():
    hidden = 1

    def metric(gold, pred):
        return hidden

    return metric
'''


@pytest.fixture
def module(tmp_path: Path) -> ModuleType:
    path = tmp_path / "users_module.py"
    path.write_text(MODULE)
    spec = spec_from_file_location("users_module", path)
    assert spec
    assert spec.loader
    loaded = module_from_spec(spec)

    sys.modules["users_module"] = loaded
    spec.loader.exec_module(loaded)
    return loaded


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(source, names)
    return names


def test_a_class_comes_with_the_bases_and_imports_that_it_needs(module: ModuleType) -> None:
    source = source_of(module.Route)
    assert run(source)["Route"].__doc__ == "Doc."
    assert "from typing import Literal" in source
    assert "os" not in source
    assert "UNUSED" not in source
    assert "def metric" not in source


def test_a_function_comes_with_its_helpers_and_constants(module: ModuleType) -> None:
    source = source_of(module.metric)
    assert run(source)["metric"]("a", None) is True
    assert "import re as regex" in source
    assert "class" not in source


def test_text_and_files_stay_as_they_are(tmp_path: Path) -> None:
    text = "def metric(gold, pred):\n    return 1\n"
    (tmp_path / "metric.py").write_text(text)
    assert source_of(tmp_path / "metric.py") == text
    assert source_of(textwrap.indent(text, "    ")) == text


@pytest.mark.parametrize("name", ["outer", "lambda"])
def test_what_cannot_stand_alone_is_refused(module: ModuleType, name: str) -> None:
    thing = module.outer() if name == "outer" else (lambda gold, pred: 1)
    with pytest.raises(UnusableSource):
        source_of(thing)


def test_what_has_no_source_is_refused() -> None:
    names = run("def metric(gold, pred): return 1")
    with pytest.raises(UnusableSource, match="metric"):
        source_of(names["metric"])
