"""The metric and model calls of a job, stage by stage, as ranges with their rules.

Pure: from the optimizer's family (`optimizers`), the split and the program's calls for a row. As of the families'
numbers, they hold if program, metric and models succeed, and answers from the job's own cache count as calls. Tokens
and cost follow from no such rule: prompts grow by what the search finds, and every model counts by a tokenizer of its
own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from dspy_service_core.estimate.bounds import Bounds, just
from dspy_service_core.estimate.row_calls import RowCalls
from dspy_service_core.optimizers.calls import Calls, Range
from dspy_service_core.optimizers.family import Family
from dspy_service_core.optimizers.options import Options
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.records.usage import CallStage

_MANY = 1000
"""Predictors: a number of calls that is the same for one and for so many does not depend on them."""
NO_TOKENS = (
    "Not known before the run: prompts grow by the demos and instructions that the search finds, and each model counts "
    "by a tokenizer of its own."
)
NO_COST = "Not known before the run: it follows from the tokens."


@dataclass(frozen=True, slots=True)
class Planned:
    """What is known of a job's run before it begins."""

    optimizer: str
    """As the job names it."""
    family: Family
    options: Options | None
    """None for an optimizer that is in no catalogue."""
    counts: SplitCounts
    predictors: int | None
    """None if only running the program would tell."""
    row: RowCalls
    models: tuple[str, ...]
    """The provider's names of the job's language models, one for each role or name."""
    embedders: int = 0
    own_program: bool = False
    metric_asks: bool = False
    """Whether the metric may call models itself."""


@dataclass(frozen=True, slots=True)
class StageCalls:
    metric: Bounds
    model: Bounds


@dataclass(frozen=True, slots=True)
class Estimate:
    stages: Mapping[CallStage, StageCalls]
    predictors: int | None
    metric_rule: str
    model_rule: str

    @property
    def metric(self) -> Bounds:
        """As a job's progress counts them: without the tries before the run."""
        return reduce(Bounds.__add__, (each.metric for each in self.stages.values()))

    @property
    def model(self) -> Bounds:
        return reduce(Bounds.__add__, (each.model for each in self.stages.values()))


def estimate(planned: Planned) -> Estimate:
    search = _search(planned)
    stages: dict[CallStage, StageCalls] = {
        "preflight": StageCalls(just(0), _judged(planned, _preflight(planned), just(1))),
        "baseline": _score(planned, just(1), just(0)),
        "optimize": StageCalls(
            search.metric, _judged(planned, search.metric * planned.row.calls + search.own, search.metric)
        ),
        "final": _final(planned),
    }
    return Estimate(stages, planned.predictors, _metric_rule(planned, search), _model_rule(planned, search))


@dataclass(frozen=True, slots=True)
class _Search:
    """The optimizer's part."""

    scores: Bounds
    demos: Bounds
    own: Bounds

    @property
    def metric(self) -> Bounds:
        return self.scores + self.demos


def _search(planned: Planned) -> _Search:
    few = _calls(planned, planned.predictors or 1)
    if few is None:
        return _Search(Bounds(0, None), just(0), Bounds(0, None))
    many = few if planned.predictors else _calls(planned, _MANY) or few
    own = _common(few.own, many.own)
    return _Search(
        _common(few.scores, many.scores),
        _common(few.demos, many.demos),
        own + _embedded(planned),
    )


def _calls(planned: Planned, predictors: int) -> Calls | None:
    if planned.options is None:
        return None
    return planned.family.calls(planned.options, planned.counts, predictors)


def _common(few: Range, many: Range) -> Bounds:
    """Of one predictor and of many; no optimizer calls less for more of them."""
    return Bounds.of(few) if few == many else Bounds(few.least, None)


def _embedded(planned: Planned) -> Bounds:
    """The training rows are embedded in batches, whose size is the embedder's."""
    return Bounds(1, planned.counts.train) if planned.family.embeds_rows else just(0)


def _preflight(planned: Planned) -> Bounds:
    """Each model answers once; those that are alike in all settings, together. A program of the job's own is tried on a
    row, and a metric that fails on made-up answers on a real one."""
    asked = Bounds(len(set(planned.models)), len(planned.models)) + just(planned.embedders)
    tried = planned.row.calls if planned.own_program else just(0)
    return asked + tried + planned.row.calls * Bounds(0, 1)


def _final(planned: Planned) -> StageCalls:
    if not planned.family.optimizes:
        return StageCalls(just(0), just(0))
    runs = just(1) if planned.options is None else Bounds.of(planned.family.runs_a_row(planned.options, planned.counts))
    return _score(planned, runs, just(1 if planned.family.embeds_rows else 0))


def _score(planned: Planned, runs: Bounds, embedded: Bounds) -> StageCalls:
    """Of the test rows, for each of which the program runs so often and an embedder is asked so often."""
    rows = just(planned.counts.test)
    return StageCalls(rows, _judged(planned, rows * (runs * planned.row.calls + embedded), rows))


def _judged(planned: Planned, calls: Bounds, metric: Bounds) -> Bounds:
    """With what the metric asks in its calls."""
    return Bounds(calls.least, None) if planned.metric_asks and metric.most != 0 else calls


def _metric_rule(planned: Planned, search: _Search) -> str:
    rows = f"{planned.counts.test} test rows"
    if not planned.family.optimizes:
        return f"The {rows} are scored once. It holds if program, metric and models succeed."
    parts = [f"The {rows} are scored before and after."]
    parts.append(_searched(planned, search))
    parts.append(
        "It holds if program, metric and models succeed; tries before the run, and feedback on single predictors, do "
        "not count."
    )
    return " ".join(parts)


def _searched(planned: Planned, search: _Search) -> str:
    named = f"Optimizer '{planned.optimizer}'"
    if _calls(planned, 1) is None:
        return f"How often optimizer '{planned.optimizer}' calls the metric is not known."
    if search.metric.most is None:
        return f"{named} scores {search.metric} rows; how many, depends on the program's predictors."
    if not search.metric.most:
        return f"{named} scores none."
    parts = [f"scores {search.scores} rows to compare candidates"] if search.scores.most else []
    parts += [f"tries {search.demos} rows for demos"] if search.demos.most else []
    return f"{named} {' and '.join(parts)}."


def _model_rule(planned: Planned, search: _Search) -> str:
    parts = [planned.row.rule]
    if planned.family.embeds_rows:
        parts.append("The optimized program looks up rows and runs on them for each test row.")
    if planned.family.optimizes and search.own.most != 0:
        parts.append(f"Calls of the optimizer itself: {search.own}.")
    parts.append(f"Before the run: {_preflight(planned)}.")
    if planned.metric_asks:
        parts.append("The metric may call models too: how often is not known.")
    parts.append(
        "Answers from the job's own cache count as calls; further tries after an error, or of an answer that cannot be "
        "read, do not."
    )
    return " ".join(parts)
