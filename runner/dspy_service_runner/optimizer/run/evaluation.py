"""A program's score on a split, on DSPy's scale (0 to 100), or the real cause why there is none."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import dspy
from dspy.utils.callback import BaseCallback

from dspy_service_runner.optimizer.failures import JobFailed, first_line
from dspy_service_runner.optimizer.models.model_watch import ModelWatch
from dspy_service_runner.optimizer.user_code.metric import Metric


@contextmanager
def watched(watch: ModelWatch, observers: Sequence[BaseCallback] = ()) -> Iterator[None]:
    """A stage whose model calls are watched; a model that never answered ends it with its own error."""
    with dspy.context(callbacks=[watch, *observers]):
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


def evaluate(
    program: dspy.Module,
    rows: list[dspy.Example],
    metric: Metric,
    bound: Callable[..., Any],
    watch: ModelWatch,
    threads: int,
) -> float:
    with watched(watch):
        result = dspy.Evaluate(devset=rows, metric=bound, num_threads=threads, max_errors=len(rows) + 1)(program)
    if metric.never_worked:
        raise metric.failure()
    if watch.program_error is not None and not any(len(prediction) for _, prediction, _ in result.results):
        raise JobFailed(
            "ProgramFailed", f"The program failed on every row: {first_line(watch.program_error)}"
        ) from watch.program_error
    return float(result.score)
