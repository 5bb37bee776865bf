"""Finds out, before money is spent, whether a metric expects gold converted to its types or as the dataset has it.

A metric may be written for the cells that its author sees: `gold.day == pred.day.isoformat()`,
`json.loads(gold.tags) == pred.tags`. With converted gold it would score every right answer as wrong. So both are tried
on right answers.
"""

import itertools
import logging
from collections.abc import Iterable

import dspy

from dspy_service_runner.optimizer.run.preflight import right_answer
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from dspy_service_runner.optimizer.values.rows import row_of

logger = logging.getLogger("dspy_service.preflight")

FULL_MARKS = 1.0
_TRIED = 3


def choose_gold(metric: Metric, program: dspy.Module, examples: Iterable[dspy.Example]) -> None:
    """Chooses gold as it was sent if each right answer that is tried then gets full marks, and less with converted
    gold."""
    tried = list(itertools.islice(filter(_reads_otherwise, examples), _TRIED))
    metric.gold_as_sent = bool(tried) and all(_better_as_sent(metric, program, example) for example in tried)
    if metric.gold_as_sent:
        logger.warning(
            "The metric '%s' finds right answers wrong with gold by the types of the signature, and right with gold "
            "as it was sent: so it gets gold as sent.",
            metric.name,
        )


def _reads_otherwise(example: dspy.Example) -> bool:
    row = row_of(example)
    gold = example.labels()
    return row is not None and any(
        type(gold[name]) is not type(cell) or gold[name] != cell for name, cell in row.gold.items()
    )


def _better_as_sent(metric: Metric, program: dspy.Module, example: dspy.Example) -> bool:
    by_type = _marks(metric, program, example, as_sent=False)
    if by_type is not None and by_type >= FULL_MARKS:
        return False
    as_sent = _marks(metric, program, example, as_sent=True)
    return as_sent is not None and as_sent >= FULL_MARKS and (by_type is None or by_type < as_sent)


def _marks(metric: Metric, program: dspy.Module, example: dspy.Example, *, as_sent: bool) -> float | None:
    """None if the metric raises, as one does that expects text and gets a date."""
    metric.gold_as_sent = as_sent
    try:
        return metric.score(example, right_answer(program, example), None, None, None).value
    except (Exception, SystemExit):
        return None
