"""What is told of the candidates that an optimizer scores: each score, and the best so far, which never falls."""

import datetime
import enum
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import dspy
import orjson
import pytest
from hypothesis import given, strategies as st

from dspy_service_core.storage import pod_files
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.program_state import mend, state_of
from dspy_service_runner.optimizer.progress.candidates import Candidates

Scores = list[tuple[int, float]]


@pytest.fixture(scope="module")
def outbox(tmp_path_factory: pytest.TempPathFactory) -> Outbox:
    return Outbox(tmp_path_factory.mktemp("out"))


def scored(outbox: Outbox, told: Scores) -> Candidates:
    """`told`: rows and score of each candidate, a metric call apart."""
    calls = iter(range(1, len(told) + 1))
    candidates = Candidates(outbox, lambda: next(calls), lambda score: None)
    candidates.begin(dspy.Predict("text -> label"), Path("nothing-earlier"))
    for number, (rows, score) in enumerate(told):
        candidates.scored({"number": number}, score, rows)
    return candidates


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20))
def test_the_best_so_far_is_the_running_best(outbox: Outbox, scores: list[float]) -> None:
    candidates = scored(outbox, [(10, score) for score in scores])
    assert candidates.scores == list(enumerate(scores, 1))
    assert candidates.best_so_far == list(enumerate(accumulate(scores, max), 1))


@given(st.lists(st.tuples(st.integers(1, 3), st.floats(0, 100)), min_size=1, max_size=20))
def test_it_never_falls_and_ends_with_the_program_that_is_kept(outbox: Outbox, told: Scores) -> None:
    candidates = scored(outbox, told)
    best = [score for _, score in candidates.best_so_far]
    assert all(before <= after for before, after in pairwise(best))
    assert candidates.best is not None
    assert best[-1] == candidates.best.score


def test_nothing_changes_the_best_once_it_is_final(tmp_path: Path) -> None:
    candidates = scored(Outbox(tmp_path), [(10, 40.0)])
    (kept := tmp_path / pod_files.CHECKPOINT / pod_files.BEST).unlink()  # as if its writer had been interrupted
    final = candidates.final()
    candidates.scored({"number": 1}, 90.0, 10)
    assert final == candidates.best
    assert (candidates.scores, candidates.best_so_far) == ([(1, 40.0)], [(1, 40.0)])
    assert orjson.loads(kept.read_bytes())["score"] == 40.0


def test_scores_on_more_rows_begin_the_curve_anew(outbox: Outbox) -> None:
    candidates = scored(outbox, [(5, 80.0), (20, 60.0), (5, 90.0), (20, 70.0)])
    assert candidates.best_so_far == [(2, 60.0), (3, 60.0), (4, 70.0)]


class Color(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "label", [{1: "a"}, {Color.RED: 1}, {"b", "a", "c"}, 10**30, "\ud83d", datetime.timedelta(1), b"\xff"]
)
def test_an_earlier_best_prompts_as_it_did(label: Any, tmp_path: Path) -> None:
    program = dspy.Predict("text -> label: typing.Any")
    first = Candidates(Outbox(tmp_path), lambda: 1, lambda score: None)
    first.begin(program, Path("nothing-earlier"))
    program.demos = [dspy.Example(text="a", label=label)]
    first.scored(state_of(program), 50.0, 10)

    second = Candidates(Outbox(tmp_path), lambda: 1, lambda score: None)
    second.begin(dspy.Predict("text -> label: typing.Any"), tmp_path)

    mend(program)
    assert second.best is not None
    restored = dspy.Predict("text -> label: typing.Any")
    restored.load_state(second.best.state)
    for adapter in (dspy.ChatAdapter(), dspy.JSONAdapter(), dspy.XMLAdapter()):
        sent = [adapter.format(each.signature, each.demos, {"text": "b"}) for each in (program, restored)]
        assert sent[0] == sent[1]
