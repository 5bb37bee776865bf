"""Scores a program on a split, on DSPy's scale (0 to 100), or raises the real cause why it cannot."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback
from dspy.utils.exceptions import AdapterParseError

from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.models.model_watch import ModelWatch
from dspy_service_runner.optimizer.models.models import ValidAnswers
from dspy_service_runner.optimizer.models.spending.ledger import STAGE
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from dspy_service_runner.optimizer.user_code.metrics.score import Score
from dspy_service_runner.optimizer.values.rows import row_number

_SHOWN = 120
"""How many characters are shown of an answer that cannot be parsed."""


@contextmanager
def watched(watch: ModelWatch, observers: Sequence[BaseCallback] = ()) -> Iterator[None]:
    """Runs a stage with its model calls watched. If a model never answered, the stage ends with the model's error."""
    with dspy.context(callbacks=[watch, ValidAnswers(), *observers], **{STAGE: watch.stage}):
        try:
            yield
        except JobFailed:
            raise
        except Exception:
            verdict = watch.verdict()
            if verdict is None:
                raise
            raise verdict from verdict.__cause__
    watch.check()
    verdict = watch.verdict()
    if verdict is not None:
        raise verdict


@dataclass(frozen=True)
class RowOutcome:
    """The result of one row. Its score is the metric's own number, or None if the program or the metric failed."""

    n: int
    """The row's place in the dataset as it was submitted, from 0."""
    inputs: dict[str, Any]
    gold: dict[str, Any]
    prediction: dict[str, Any] | None
    score: float | None
    error: str | None

    @property
    def answered(self) -> bool:
        return self.prediction is not None


@dataclass(frozen=True)
class Evaluation:
    score: float
    """Mean over all rows, a failed one counting as 0; from 0 to 100 where the metric's numbers lie within 0 and 1."""
    rows: tuple[RowOutcome, ...]
    first_error: BaseException | None = None
    """The program's first error, kept for its stack trace."""

    @property
    def failed_rows(self) -> list[RowOutcome]:
        return [row for row in self.rows if row.error is not None]


@dataclass
class _Answer:
    """Carries the prediction through `dspy.Evaluate`, and why a row failed, which `dspy.Evaluate` does not keep."""

    prediction: Any = None
    score: float | None = None
    error: str | None = None


def evaluate(
    program: dspy.Module,
    rows: list[dspy.Example],
    metric: Metric,
    scored: Callable[[dspy.Example, Any], Score],
    watch: ModelWatch,
    threads: int,
) -> Evaluation:
    def answer(**inputs: Any) -> _Answer:
        try:
            prediction = program(**inputs)
        except Exception as error:
            return _Answer(error=cause_of(error))
        return _Answer(prediction, error="the program returned None" if prediction is None else None)

    def judge(gold: dspy.Example, answer: _Answer) -> float:
        if answer.error is not None:
            scored(gold, None)
            return 0.0
        found = scored(gold, answer.prediction)
        answer.score, answer.error = None if found.error else found.value, found.error
        return found.value

    with watched(watch):
        result = dspy.Evaluate(devset=rows, metric=judge, num_threads=threads, max_errors=len(rows) + 1)(answer)
    if metric.never_worked:
        raise metric.failure()
    outcomes = tuple(_outcome(n, row, answer) for n, (row, answer, _) in enumerate(result.results))
    refusal = None if any(row.answered for row in outcomes) else watch.refusal()
    if refusal is not None:
        raise refusal from watch.program_error
    return Evaluation(float(result.score), outcomes, watch.program_error)


def cause_of(error: BaseException) -> str:
    """Why a program failed on a row; for an answer that cannot be parsed, which fields it lacks and what it was."""
    said = first_line(error)
    if not isinstance(error, AdapterParseError):
        return said
    missing = [name for name in error.signature.output_fields if name not in (error.parsed_result or {})]
    fields = ", ".join(repr(name) for name in missing or error.signature.output_fields)
    return f"{said} (no {fields} in the answer {_shown(error.lm_response)})"


def _shown(answer: Any) -> str:
    text = " ".join(str(answer).split())
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _outcome(n: int, row: dspy.Example, answer: _Answer) -> RowOutcome:
    prediction = None if answer.prediction is None else _fields(answer.prediction)
    number = row_number(row)
    return RowOutcome(
        n if number is None else number,
        _fields(row.inputs()),
        _fields(row.labels()),
        prediction,
        answer.score,
        answer.error,
    )


def _fields(found: Any) -> dict[str, Any]:
    """The fields of an example or a prediction, which may hide its own methods. Any other answer is put into a field
    `prediction`."""
    if isinstance(found, dict):
        return dict(found)
    return dict(dspy.Example.items(found)) if isinstance(found, dspy.Example) else {"prediction": found}
