"""GEPA: reflects on feedback and keeps a Pareto front of candidates, until a budget of metric calls is spent."""

import math
from collections.abc import Iterator

from dspy_service_core.optimizers import cel
from dspy_service_core.optimizers.calls import Calls, Range, at_least, exactly
from dspy_service_core.optimizers.family import Family, Json, Setup
from dspy_service_core.optimizers.options import Options, UnknownOption, whole
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import tables

_BUDGETS = ("auto", "max_full_evals", "max_metric_calls")
_OWN = (
    "run_dir",
    "callbacks",
    "stop_callbacks",
    "reflection_lm",
    "seed_candidate",
    "adapter",
    "trainset",
    "valset",
)
_DEFAULT_REFLECTION_ROWS = 3
"""gepa's default if `reflection_minibatch_size` is null."""
_MERGE_ROWS = 5


def _budget(setup: Setup) -> Iterator[str]:
    given = [name for name in _BUDGETS if setup.options.init.get(name) is not None]
    if len(given) != 1:
        said = f"it has {' and '.join(given)}" if given else "it has none"
        yield f"{setup.name} needs exactly one of {', '.join(_BUDGETS)} in {setup.kwargs}; {said}."


def _first_proposal(setup: Setup) -> Iterator[str]:
    """The program as given is scored on all rows before anything is proposed, and no step begins once the budget is
    spent. An `auto` budget is always more than that."""
    counts = setup.counts
    if counts is None:
        return
    rows, kind = (counts.val, "validation") if counts.val else (counts.train, "training")
    for name, unit in (("max_metric_calls", 1), ("max_full_evals", counts.train + counts.val)):
        budget = whole(setup.options.init.get(name))
        if budget is not None and 0 < budget * unit <= rows:
            yield (
                f"{setup.kwargs}.{name} {budget} is spent on the {rows} {kind} rows that the program as given is "
                f"scored on, before a first proposal: give at least {rows // unit + 1}."
            )


def _reflection(setup: Setup) -> Iterator[str]:
    if "reflection" not in setup.models and setup.options.init.get("instruction_proposer") is None:
        yield f"{setup.name} needs a reflection model: give {setup.words('spec.models.reflection')}."


def _further(setup: Setup) -> Iterator[str]:
    path, init = setup.kwargs, setup.options.init
    if init.get("track_best_outputs") and not init.get("track_stats"):
        yield f"{path}.track_best_outputs needs {path}.track_stats to be true."
    further = init.get("gepa_kwargs")
    for name, value in further.items() if isinstance(further, dict) else ():
        if name in _OWN:
            yield f"{path}.gepa_kwargs.{name} cannot be set: the service sets it."
        if name == "reflection_prompt_template" or (name == "max_reflection_cost" and value is not None):
            yield f"{path}.gepa_kwargs.{name} is not supported by dspy.GEPA."


def auto_budget(components: int, candidates: int, rows: int) -> int:
    """Metric calls by dspy's own formula. The formula is outdated (dspy #10245: GEPA has no batches of 35 rows, no
    bootstrapping and no full evaluation every five steps), but gepa really spends this many calls."""
    known = tables()
    trials = int(max(2 * (components * 2) * math.log2(candidates), 1.5 * candidates))
    steps = known.gepa_full_eval_steps
    full = (trials + 1) // steps + 1 + (1 if trials < steps else 0)
    return rows + candidates * 5 + trials * known.gepa_minibatch_size + full * rows


class Gepa(Family):
    rules = (_budget, _reflection, _first_proposal, _further)

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        """The budget is checked before each step. So the given program is scored in any case, and the last step may
        exceed the budget. A step scores a candidate and its child, or a merge of two candidates, on a few rows, and
        then a better one on all rows."""
        rows, budget = self.full_rows(options, counts), self._budget(options, counts, predictors)
        reflected = 2 * _reflection_rows(options)
        step = max(reflected, _MERGE_ROWS if options.init.get("use_merge") else 0) + rows
        left = max(budget - rows, 0)
        updated = predictors if options.init.get("component_selector") == "all" else 1
        return Calls(
            scores=Range(max(budget, rows), budget - 1 + step if left else rows),
            demos=exactly(0),
            own=Range(0, math.ceil(left / reflected) * updated),
            predictors=predictors,
        )

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        """The program as given on all rows, a candidate and its child on a few, and the child on all."""
        known, rows = self.known_calls(options, counts, predictors), self.full_rows(options, counts)
        scores = 2 * rows + 2 * min(_reflection_rows(options), counts.train)
        return at_least(min(scores, known.scores.least), 0, min(1, known.own.most), predictors)

    def _budget(self, options: Options, counts: SplitCounts, predictors: int) -> int:
        auto = options.init.get("auto")
        if auto is not None:
            run = tables().gepa_auto.get(auto)
            if run is None:
                raise UnknownOption("auto")
            return auto_budget(max(predictors, 1), run.n, self.full_rows(options, counts))
        if options.init.get("max_full_evals") is not None:
            return options.number("max_full_evals") * (counts.train + counts.val)
        return options.number("max_metric_calls")

    def typed_kwargs(self) -> dict[str, Json]:
        return {
            "kwargs": {
                "auto": cel.AUTO,
                "max_full_evals": cel.number("Budget in full evaluations (GEPA)."),
                "max_metric_calls": cel.number("Budget in metric calls (GEPA)."),
            }
        }

    def cel_of_optimizer(self, names: str) -> list[Json]:
        return [
            {
                "rule": f"!(self.name in {names}) || !has(self.kwargs) || {cel.given('self.kwargs', _BUDGETS)} <= 1",
                "message": f"GEPA takes one of {', '.join(_BUDGETS)} in kwargs, not several",
            }
        ]

    def cel_of_spec(self, names: str) -> list[Json]:
        return [
            {
                "rule": f"!(self.optimizer.name in {names}) || has(self.models.reflection)",
                "message": "GEPA needs a reflection model: give models.reflection",
            }
        ]


def _reflection_rows(options: Options) -> int:
    name = "reflection_minibatch_size"
    return _DEFAULT_REFLECTION_ROWS if options.init.get(name) is None else options.number(name)
