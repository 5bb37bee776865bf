"""`rows.jsonl`: a line for every row, in the dataset's order, whatever stands in it."""

import json
import math
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import pydantic
import pytest

from dspy_service_runner.optimizer.run.evaluation import RowOutcome
from dspy_service_runner.optimizer.run.row_results import lines
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, ScriptedServer


class Kind(Enum):
    A = "a"


class Person(pydantic.BaseModel):
    name: str


def row(n: int, score: float | None, prediction: Any = None, error: str | None = None, **inputs: Any) -> RowOutcome:
    return RowOutcome(n, inputs or {"x": n}, {"y": n}, prediction, score, error)


def written(baseline: list[RowOutcome], optimized: list[RowOutcome]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(baseline, optimized).splitlines()]


def test_rows_stand_in_the_datasets_order_with_both_answers() -> None:
    before = [row(7, 0.0, {"y": 1}), row(2, 1.0, {"y": 2}), row(4, None, error="it broke")]
    after = [row(7, 1.0, {"y": 7}), row(2, None, error="no answer"), row(4, None, error="it broke again")]
    found = written(before, after)
    assert [(each["n"], each["outcome"]) for each in found] == [(2, "lost"), (4, "tied"), (7, "won")]
    assert found[2] == {
        "n": 7,
        "outcome": "won",
        "inputs": {"x": 7},
        "gold": {"y": 7},
        "baseline": {"prediction": {"y": 1}, "score": 0.0, "error": None},
        "optimized": {"prediction": {"y": 7}, "score": 1.0, "error": None},
    }
    assert found[0]["optimized"] == {"prediction": None, "score": None, "error": "no answer"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2026, 3, 1), "2026-03-01"),
        (Kind.A, "a"),
        (Person(name="Ada"), {"name": "Ada"}),
        ({3: "int key"}, {"3": "int key"}),
        ({"b", "a"}, ["a", "b"]),
        (2**80, str(2**80)),
        (math.nan, None),
        ("half a character \ud83d", "half a character \ufffd"),
        ("line\nbreak\u2028and another", "line\nbreak\u2028and another"),
    ],
)
def test_any_value_is_one_line_of_json(value: Any, expected: Any) -> None:
    (found,) = written([row(0, 1.0, {"y": value}, x=value)], [row(0, 1.0, {"y": value}, x=value)])
    assert (found["inputs"]["x"], found["optimized"]["prediction"]["y"]) == (expected, expected)


def test_a_run_keeps_what_both_programs_made_of_its_test_rows(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url))
    result = forge.run(folders)
    found = [json.loads(line) for line in (folders.out / "artifact" / "rows.jsonl").read_text().splitlines()]
    comparison = result["comparison"]
    assert len(found) == comparison["rows"] == result["splitCounts"]["test"]
    for outcome in ("won", "lost", "tied"):
        assert sum(each["outcome"] == outcome for each in found) == comparison[outcome]
    for side, score in (("baseline", "baselineScore"), ("optimized", "optimizedScore")):
        assert 100 * sum(each[side]["score"] for each in found) / len(found) == pytest.approx(result[score], abs=0.01)
    assert {each["inputs"]["text"] for each in found} <= {ticket["text"] for ticket in TICKETS}
    assert len({each["n"] for each in found}) == len(found)
