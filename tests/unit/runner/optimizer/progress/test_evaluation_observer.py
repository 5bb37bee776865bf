"""What an optimizer evaluates is a candidate; what programs and metrics evaluate is none, and no other program is."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from counting_engine import CountingEngine, counted_lm
from dspy_service_runner.optimizer.failures import StopToken
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.progress.candidates import Candidates, EvaluationObserver
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from scripted_model import TICKETS

ROWS = [dspy.Example(**row).with_inputs("text") for row in TICKETS[:4]]
SIGNATURE = "text -> label"


def always(*_arguments: Any) -> float:
    return 1.0


def evaluate(program: Any, rows: list[dspy.Example] = ROWS, metric: Callable[..., Any] = always) -> None:
    dspy.Evaluate(devset=rows, metric=metric, num_threads=2)(program)


def judging_by_evaluation(*_arguments: Any) -> float:
    evaluate(dspy.Predict(SIGNATURE))
    return 1.0


class Evaluating(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    """Evaluates as it runs: a program that chooses between its own parts, say."""

    def __init__(self) -> None:
        super().__init__()
        self.predict = dspy.Predict(SIGNATURE)

    def forward(self, text: str) -> Any:
        evaluate(self.predict)
        return self.predict(text=text)


def better(program: Any) -> Any:
    changed = program.deepcopy()
    for predictor in changed.predictors():
        predictor.signature = predictor.signature.with_instructions("Better.")
    return changed


@pytest.fixture
def heard(tmp_path: Path) -> Callable[[Any, Callable[[], None]], Candidates]:
    def hear(given: Any, run: Callable[[], None]) -> Candidates:
        candidates = Candidates(Outbox(tmp_path), lambda: 0, lambda score: None)
        candidates.begin(given, tmp_path / "nothing-earlier")
        observer = EvaluationObserver(candidates, full=len(ROWS))
        with dspy.context(lm=counted_lm(CountingEngine()), callbacks=[observer]):
            run()
        return candidates

    return hear


OTHERS: dict[str, Callable[[], None]] = {
    "other fields": lambda: evaluate(dspy.Predict("text -> topic")),
    "other predictors": lambda: evaluate(dspy.ChainOfThought(SIGNATURE)),
    "a function": lambda: evaluate(lambda text: dspy.Prediction(label="x")),
}


@pytest.mark.parametrize("run", OTHERS.values(), ids=OTHERS)
def test_another_program_is_no_candidate(run: Callable[[], None], heard: Any) -> None:
    found = heard(dspy.Predict(SIGNATURE), run)
    assert (found.scores, found.tried_another) == ([], False)


def test_what_a_metric_evaluates_is_no_candidate(heard: Any) -> None:
    program = dspy.Predict(SIGNATURE)
    metric = Metric(judging_by_evaluation, Settings()).bound(StopToken(), lambda demo: None)
    found = heard(program, lambda: evaluate(better(program), metric=metric))
    assert len(found.scores) == 1


def test_what_a_program_evaluates_is_no_candidate(heard: Any) -> None:
    program = Evaluating()
    found = heard(program, lambda: evaluate(better(program)))
    assert len(found.scores) == 1


def test_a_few_rows_suffice_to_have_tried_something(heard: Any) -> None:
    program = dspy.Predict(SIGNATURE)
    found = heard(program, lambda: evaluate(better(program), ROWS[:2]))
    assert (found.scores, found.tried_another, found.best) == ([], True, None)


def test_the_program_as_given_is_nothing_tried(heard: Any) -> None:
    program = dspy.Predict(SIGNATURE)
    found = heard(program, lambda: evaluate(program.deepcopy()))
    assert (len(found.scores), found.tried_another, found.best) == (1, False, None)
