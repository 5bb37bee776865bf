"""A program comes back without a pickle: its sources, arguments and state make the same prompts, byte for byte, in a
Python that has dspy and nothing of ours."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from programs import OPTIMIZED
from written_artifacts import make_job, rebuild_all, write_all

TICKET = """
import enum


class Team(enum.Enum):
    BILLING = "billing"
    SUPPORT = "support"


class Base(dspy.Signature):
    question: str = dspy.InputField(desc="as it came")


class Route(Base):
    '''Route the message.'''

    team: Team = dspy.OutputField()
"""
POSTPONED = "from __future__ import annotations\nimport dspy\n" + TICKET.replace("class Base", "class Base ", 1)
SIGNATURES: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "a signature": ("Predict", TICKET, {}),
    "a signature that reasons": ("ChainOfThought", TICKET, {}),
    "postponed annotations": ("Predict", POSTPONED, {}),
    "a signature from text": ("ChainOfThought", 'Route = dspy.Signature("question -> team", "Route it.")', {}),
    "with arguments": ("Predict", TICKET, {"temperature": 0.5}),
}
ADAPTERS = ("chat", "json", "xml")
NOT_PICKLED = {"an index that nothing can pickle"}
CASES = [
    *((name, "chat") for name in [shape.name for shape in OPTIMIZED]),
    *((name, adapter) for adapter in ADAPTERS for name in SIGNATURES),
    *((OPTIMIZED[number].name, adapter) for number in (0, 1, 2) for adapter in ("json", "xml")),
]


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    top = tmp_path_factory.mktemp("rebuild")
    shapes = {shape.name: shape for shape in OPTIMIZED}
    roots = {}
    for number, (name, adapter) in enumerate(CASES):
        if name in shapes:
            roots[name, adapter] = make_job(top / str(number), shapes[name].spec(), adapter=adapter)
        else:
            module, code, kwargs = SIGNATURES[name]
            spec = {"signature": {"code": code}, "module": {"kwargs": kwargs}}
            roots[name, adapter] = make_job(top / str(number), spec, module, adapter)
    write_all(list(roots.values()))
    rebuild_all(list(roots.values()))
    return roots


@pytest.mark.parametrize("case", CASES, ids=" by ".join)
def test_it_is_rebuilt_with_the_same_prompts(case: tuple[str, str], jobs: dict[tuple[str, str], Path]) -> None:
    root = jobs[case]
    error = root / "error.txt"
    assert not error.exists(), error.read_text()
    found = json.loads((root / "found.json").read_text())
    assert found["same"]
    assert all(same is True for same in found["same"].values()), found["same"]
    assert found["foreign"] == []


@pytest.mark.parametrize("shape", OPTIMIZED, ids=lambda shape: shape.name)
def test_a_pickle_is_there_or_its_absence_is_said(shape: Any, jobs: dict[tuple[str, str], Path]) -> None:
    root = jobs[shape.name, "chat"]
    told = json.loads((root / "told.json").read_text())
    pickled = (root / "artifact/program.pkl").exists()
    assert pickled is (shape.name not in NOT_PICKLED)
    assert ("program.pkl" in told) is not pickled
    unpickled = json.loads((root / "found.json").read_text())["unpickled"]
    assert (unpickled is not None and all(same is True for same in unpickled.values())) is pickled, unpickled
    assert set(told) <= {"program.pkl"}


@pytest.mark.parametrize("shape", OPTIMIZED, ids=lambda shape: shape.name)
def test_states_and_messages_are_of_every_predictor(shape: Any, jobs: dict[tuple[str, str], Path]) -> None:
    folder = jobs[shape.name, "chat"] / "downloaded"
    given, optimized = (json.loads((folder / name).read_text()) for name in ("baseline.json", "program.json"))
    messages = json.loads((folder / "messages.json").read_text())["predictors"]
    known = {name for name in optimized if name != "metadata"}
    assert set(messages) == known == set(given) - {"metadata"} >= set(shape.predictors)
    for name in known:
        assert given[name]["demos"] == []
        assert given[name]["signature"]["instructions"] != optimized[name]["signature"]["instructions"]
        assert "not_shown" not in messages[name]
