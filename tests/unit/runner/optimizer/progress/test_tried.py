"""What is told of a program once: its changes, cut where they are large, and recognized in the next attempt."""

from pathlib import Path
from typing import Any

import dspy
import orjson
import pytest

from dspy_service_core.records.candidates import MAX_BYTES, Candidate, line
from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.program_state import State, state_of
from dspy_service_runner.optimizer.progress.tried import Tried


class Pair(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = dspy.Predict("text -> label"), dspy.Predict("text -> label")


def state(said: str = "", demos: int = 0) -> State:
    program = Pair()
    if said:
        program.one.signature = program.one.signature.with_instructions(said)
    program.two.demos = [dspy.Example(text=f"{n}", label="a") for n in range(demos)]
    return state_of(program)


def begun(root: Path, attempt: int = 1) -> Tried:
    tried = Tried(Outbox(root / str(attempt)))
    tried.begin(state(), root / str(attempt - 1) / pod_files.CANDIDATES)
    return tried


def tell(tried: Tried, its: State, score: float = 50.0, rows: int = 10, accepted: bool = True, at_call: int = 0) -> int:
    return tried.tell(its, score, rows, accepted=accepted, at_call=at_call)


def told(root: Path, attempt: int = 1) -> list[dict[str, Any]]:
    return [orjson.loads(each) for each in (root / str(attempt) / pod_files.CANDIDATES).read_bytes().splitlines()]


def test_only_what_changed_is_told(tmp_path: Path) -> None:
    tried = begun(tmp_path)
    assert [tell(tried, its) for its in (state(), state("Better."), state(demos=2))] == [1, 2, 3]
    assert [each["changes"] for each in told(tmp_path)] == [
        {},
        {"one": {"instructions": "Better.", "demos": None}},
        {"two": {"instructions": None, "demos": [{"text": "0", "label": "a"}, {"text": "1", "label": "a"}]}},
    ]


def test_the_next_attempt_tells_only_what_is_new(tmp_path: Path) -> None:
    """As often as it was told before, it is the same; once more is another. Its score may differ."""
    first = begun(tmp_path)
    for its in (state(), state("Better."), state("Better.")):
        tell(first, its)
    second = begun(tmp_path, 2)
    assert [tell(second, state("Better."), score) for score in (50.0, 40.0, 60.0)] == [2, 3, 4]
    assert [each["score"] for each in told(tmp_path, 2)] == [60.0]
    assert (tell(second, state()), second.count) == (1, 4)


@pytest.mark.parametrize("different", [{"rows": 3}, {"its": state("Other.")}])
def test_other_rows_or_changes_are_another(different: dict[str, Any], tmp_path: Path) -> None:
    tell(begun(tmp_path), state("Better."))
    assert tell(begun(tmp_path, 2), **{"its": state("Better."), **different}) == 2


def test_of_equal_ones_that_of_the_same_fate_is_meant(tmp_path: Path) -> None:
    first = begun(tmp_path)
    for accepted in (False, True):
        tell(first, state("Better."), accepted=accepted)
    second = begun(tmp_path, 2)
    assert [tell(second, state("Better."), accepted=accepted) for accepted in (True, False)] == [2, 1]


def test_what_will_not_be_tried_again_is_not_recognized(tmp_path: Path) -> None:
    first = begun(tmp_path)
    for at_call in (10, 20):
        tell(first, state("Better."), at_call=at_call)
    second = begun(tmp_path, 2)
    second.skip(10)
    assert [tell(second, state("Better."), at_call=20) for _ in range(2)] == [2, 3]


def candidate(changes: Any) -> Candidate:
    return Candidate([], 1, 50.0, rows=3, accepted=True, changes=changes)


LONG = "é" * MAX_BYTES
LARGE = {
    "long instructions": {"p": {"instructions": LONG, "demos": None}},
    "a long demo": {"p": {"instructions": None, "demos": [{"text": LONG, "label": "a"}]}},
    "many long demos": {"p": {"instructions": "x", "demos": [{"text": LONG}] * 500}},
    "very many demos": {"p": {"instructions": "x", "demos": [{"text": "é" * 300}] * 50_000}},
    "many predictors": {f"p{n}": {"instructions": LONG[:10_000], "demos": [{"a": LONG[:9]}] * 99} for n in range(400)},
}


@pytest.mark.parametrize("changes", LARGE.values(), ids=LARGE)
def test_what_is_large_is_cut(changes: Any) -> None:
    encoded = line(candidate(changes))
    assert len(encoded) <= MAX_BYTES
    found = orjson.loads(encoded)["changes"]
    assert found.keys() == changes.keys()
    assert [each["demos"] is None for each in found.values()] == [each["demos"] is None for each in changes.values()]


def test_what_is_small_stays_as_it_is() -> None:
    changes = {"p": {"instructions": "x" * 100_000, "demos": [{"text": "y" * 100_000}]}}
    assert orjson.loads(line(candidate(changes)))["changes"] == changes


def test_a_change_that_is_cut_is_recognized_too(tmp_path: Path) -> None:
    tell(begun(tmp_path), state(LONG))
    assert tell(begun(tmp_path, 2), state(LONG)) == 1
