"""What an evaluation tells of each row: whatever program and metric do to it, and nothing of its neighbours."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dspy
import pytest

from dspy_service_runner.optimizer.failures import StopToken
from dspy_service_runner.optimizer.models.journal import JournalCache
from dspy_service_runner.optimizer.models.model_watch import ModelWatch
from dspy_service_runner.optimizer.models.models import ModelSet
from dspy_service_runner.optimizer.outbox import AppendFile
from dspy_service_runner.optimizer.run.evaluation import Evaluation, RowOutcome, evaluate
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric

ROWS = [{"x": number, "y": number % 3} for number in range(30)]


class Program(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    def __init__(self, answer: Callable[[int], Any]) -> None:
        super().__init__()
        self._answer = answer

    def forward(self, x: int) -> Any:
        return self._answer(x)


def evaluated(
    tmp_path: Path, answer: Callable[[int], Any], metric: Callable[..., Any], threads: int = 8, rows: Any = ROWS
) -> Evaluation:
    token, settings = StopToken(), Settings()
    journal = JournalCache(tmp_path / "none", AppendFile(tmp_path / "calls.jsonl"))
    watch = ModelWatch("final", token, ModelSet(dspy.LM("openai/m")), journal, settings)
    examples = [dspy.Example(row).with_inputs("x") for row in rows]
    made = Metric(metric, settings)
    return evaluate(Program(answer), examples, made, made.scoring(token, lambda _: None), watch, threads)


def right(x: int) -> dspy.Prediction:
    return dspy.Prediction(y=x % 3)


def equal(gold: Any, pred: Any) -> bool:
    return bool(gold.y == pred.y)


def raising_at(number: int, otherwise: Callable[[int], Any]) -> Callable[[int], Any]:
    def answer(x: int) -> Any:
        if x == number:
            raise ValueError(f"no answer to {x}")
        return otherwise(x)

    return answer


@pytest.mark.parametrize("threads", [1, 8])
def test_each_row_is_told_in_order_with_its_own_score(tmp_path: Path, threads: int) -> None:
    found = evaluated(tmp_path, right, lambda gold, pred: gold.x / 29 if equal(gold, pred) else 0, threads)

    assert [row.n for row in found.rows] == list(range(30))
    assert [row.score for row in found.rows] == [number / 29 for number in range(30)]
    assert found.score == 50.0
    assert found.rows[4] == RowOutcome(4, {"x": 4}, {"y": 1}, {"y": 1}, 4 / 29, None)


@pytest.mark.parametrize("threads", [1, 8])
def test_a_row_that_the_program_fails_on_counts_as_0_and_says_why(tmp_path: Path, threads: int) -> None:
    found = evaluated(tmp_path, raising_at(3, right), equal, threads)

    assert found.score == round(100 * 29 / 30, 2)
    assert found.rows[3] == RowOutcome(3, {"x": 3}, {"y": 0}, None, None, "ValueError: no answer to 3")
    assert all(row.error is None for row in found.rows if row.n != 3)


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (None, "the metric returned None"),
        ("good", "the metric returned a str"),
        (float("nan"), "the metric returned nan"),
        (float("inf"), "the metric returned inf"),
        ([1.0], "the metric returned a list"),
        ({"x": 1}, "the metric returned a dict without 'score'"),
        (10**400, "the metric returned a int that is too large"),
        (1j, "the metric returned a complex"),
        (object(), "the metric returned a object"),
    ],
)
def test_a_row_whose_score_is_none_keeps_its_prediction(tmp_path: Path, returned: Any, said: str) -> None:
    found = evaluated(tmp_path, right, lambda gold, _: returned if gold.x == 5 else True)

    assert found.score == round(100 * 29 / 30, 2)
    row = found.rows[5]
    assert (row.prediction, row.score) == ({"y": 2}, None)
    assert row.error is not None
    assert row.error.startswith(said)


def test_a_metric_s_own_0_is_no_failure(tmp_path: Path) -> None:
    found = evaluated(tmp_path, lambda _: dspy.Prediction(y=None), equal)

    assert found.score == 0.0
    assert {(row.score, row.error) for row in found.rows} == {(0.0, None)}


def test_an_answer_that_is_no_prediction_is_told_as_it_is(tmp_path: Path) -> None:
    found = evaluated(tmp_path, lambda x: {"y": x} if x else "text", lambda _gold, _pred: 1)

    assert [row.prediction for row in found.rows[:2]] == [{"prediction": "text"}, {"y": 1}]


def test_fields_named_like_methods_are_told(tmp_path: Path) -> None:
    rows = [{"x": 1, "items": 2, "keys": 3}]
    found = evaluated(tmp_path, lambda _: dspy.Prediction(items=4, toDict=5), lambda _gold, _pred: 1, rows=rows)

    assert found.rows == (RowOutcome(0, {"x": 1}, {"items": 2, "keys": 3}, {"items": 4, "toDict": 5}, 1.0, None),)
