"""GEPA: reflects on feedback and keeps a Pareto front of candidates, until a budget of metric calls is spent."""

import math
from collections.abc import Iterator

from dspy_service_core.optimizers import cel
from dspy_service_core.optimizers.calls import Calls, Range, at_least, exactly
from dspy_service_core.optimizers.families.gepa_objects import (
    MOST_PROPOSALS,
    PLACES,
    PLAIN,
    Place,
    problems,
    proposals_a_step,
)
from dspy_service_core.optimizers.family import Family, Json, Setup
from dspy_service_core.optimizers.options import Options, UnknownOption, whole
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import OptimizerAsset, Parameter, Word, tables

_BUDGETS = ("auto", "max_full_evals", "max_metric_calls")
FURTHER = "gepa_kwargs"
_OWN = ("run_dir", "callbacks", "seed_candidate", "adapter", "trainset", "valset", "logger", "reflection_lm")
_UNUSED = (
    "reflection_prompt_template",
    "max_reflection_cost",
    "reflection_strategy",
    "reflection_lm_kwargs",
    "custom_candidate_proposer",
    "task_lm",
    "evaluator",
)
"""Arguments of gepa that have no effect in dspy.GEPA, or make it fail."""
_BATCH = "reflection_minibatch_size"
_BATCH_ROWS = 3
"""Its default; gepa's own too, if it is null."""
_MERGE_ROWS = 5
_ALL = ("all", {"type": "AllReflectionComponentSelector"}, {"type": "AllReflectionComponentSelector", "args": {}})


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
    if "reflection" not in setup.models:
        yield f"{setup.name} needs a reflection model: give {setup.words('spec.models.reflection')}."


def _statistics(setup: Setup) -> Iterator[str]:
    path, init = setup.kwargs, setup.options.init
    if init.get("track_best_outputs") and not init.get("track_stats"):
        yield f"{path}.track_best_outputs needs {path}.track_stats to be true."


def _merges(setup: Setup) -> Iterator[str]:
    """gepa compares with it, after the first candidates are paid for."""
    init = setup.options.init
    if init.get("use_merge") and init.get("max_merge_invocations", 0) is None:
        yield f"{setup.kwargs}.max_merge_invocations must be a number where {setup.kwargs}.use_merge is true."


def _objects(setup: Setup) -> Iterator[str]:
    for name, place in _places("kwargs").items():
        yield from problems(place, setup.options.init.get(name), f"{setup.kwargs}.{name}")


def _further(setup: Setup) -> Iterator[str]:
    path, given = f"{setup.kwargs}.{FURTHER}", further_of(setup.options)
    for name, value in given.items():
        if name in PLACES and PLACES[name].within == FURTHER:
            yield from problems(PLACES[name], value, f"{path}.{name}")
        elif name in PLAIN:
            if value is not None and not PLAIN[name].takes(value):
                yield f"{path}.{name} must be {PLAIN[name].expected}."
        elif name in _OWN:
            yield f"{path}.{name} cannot be set: the service sets it."
        elif name in _UNUSED:
            yield f"{path}.{name} is not supported by dspy.GEPA."
        elif name in setup.options.init or name == "module_selector":
            own = "component_selector" if name == "module_selector" else name
            yield f"{path}.{name} is an argument of dspy.GEPA itself: give {setup.kwargs}.{own}."
        else:
            yield f"{path}.{name}: gepa has no such argument. Supported: {', '.join([*_places(FURTHER), *PLAIN])}."


def _contradictions(setup: Setup) -> Iterator[str]:
    given, path = further_of(setup.options), f"{setup.kwargs}.{FURTHER}"
    if isinstance(given.get("batch_sampler"), dict) and setup.options.init.get(_BATCH) not in (None, _BATCH_ROWS):
        yield f"{setup.kwargs}.{_BATCH} contradicts {path}.batch_sampler, which has its own minibatch_size: give one."
    proposed = proposals_a_step(given.get("sampling_strategy"))
    if proposed > MOST_PROPOSALS:
        yield f"{path}.sampling_strategy proposes {proposed} candidates a step: at most {MOST_PROPOSALS} are allowed."
    kept = given.get("selection_strategy")
    arguments = kept.get("args") if isinstance(kept, dict) else None
    most = whole(arguments.get("k")) if isinstance(arguments, dict) else None
    if most is not None and most > proposed:
        yield (
            f"{path}.selection_strategy keeps {most} candidates of a step, and {path}.sampling_strategy proposes "
            f"{proposed}: give k of at most {proposed}."
        )


def further_of(options: Options) -> Json:
    found = options.init.get(FURTHER)
    return found if isinstance(found, dict) else {}


def _places(within: str) -> dict[str, Place]:
    return {name: place for name, place in PLACES.items() if place.within == within}


def auto_budget(components: int, candidates: int, rows: int) -> int:
    """Metric calls by dspy's own formula. The formula is outdated (dspy #10245: GEPA has no batches of 35 rows, no
    bootstrapping and no full evaluation every five steps), but gepa really spends this many calls."""
    known = tables()
    trials = int(max(2 * (components * 2) * math.log2(candidates), 1.5 * candidates))
    steps = known.gepa_full_eval_steps
    full = (trials + 1) // steps + 1 + (1 if trials < steps else 0)
    return rows + candidates * 5 + trials * known.gepa_minibatch_size + full * rows


class Gepa(Family):
    rules = (_budget, _reflection, _first_proposal, _statistics, _merges, _objects, _further, _contradictions)

    def arguments(self, asset: OptimizerAsset) -> OptimizerAsset:
        """Those that are Python objects have a form in JSON."""
        places = _places("kwargs")
        init = asset.init.model_copy(
            update={"parameters": tuple(_as_json(p, places.get(p.name)) for p in asset.init.parameters)}
        )
        return asset.model_copy(update={"init": init})

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        """The budget is checked before each step. So the given program is scored in any case, and the last step may
        exceed the budget. A step scores a candidate and its child, or a merge of two candidates, on a few rows, and
        then a better one on all rows; with a sampling strategy of several proposals, so many at once. Proposals may
        share their parent's scores. A stop condition may end the search at any step."""
        rows, budget = self.full_rows(options, counts), self._budget(options, counts, predictors)
        given, batch = further_of(options), _reflection_rows(options)
        proposed = proposals_a_step(given.get("sampling_strategy"))
        step = max(2 * batch * proposed, _MERGE_ROWS if options.init.get("use_merge") else 0) + rows * proposed
        left = max(budget - rows, 0)
        updated = predictors if options.init.get("component_selector") in _ALL else 1
        least = rows if given.get("stop_callbacks") or given.get("cache_evaluation") else max(budget, rows)
        return Calls(
            scores=Range(least, budget - 1 + step if left else rows),
            demos=exactly(0),
            own=Range(0, math.ceil(left / (batch * (proposed + 1))) * proposed * updated),
            predictors=predictors,
            budget=max(budget, rows),
        )

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        """The program as given on all rows, a candidate and its child on a few, and the child on all. A stop condition
        may end the search before its first proposal."""
        known, rows = self.known_calls(options, counts, predictors), self.full_rows(options, counts)
        scores = 2 * rows + 2 * min(_reflection_rows(options), counts.train)
        proposals = 0 if further_of(options).get("stop_callbacks") else min(1, known.own.most)
        return at_least(min(scores, known.scores.least), 0, proposals, predictors)

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
    sampler = further_of(options).get("batch_sampler")
    if isinstance(sampler, dict):
        arguments = sampler.get("args")
        rows = whole(arguments.get("minibatch_size")) if isinstance(arguments, dict) else None
        if not rows or rows < 1:
            raise UnknownOption("batch_sampler")
        return rows
    return _BATCH_ROWS if options.init.get(_BATCH) is None else options.number(_BATCH)


def _as_json(parameter: Parameter, place: Place | None) -> Parameter:
    """What may be given is checked by the place's own rules."""
    if place is None:
        return parameter
    null: tuple[Word, ...] = ("null",) if "null" in parameter.types else ()
    words: tuple[Word, ...] = ("str",) if place.words else ()
    types: tuple[Word, ...] = (*words, "dict", *null)
    return parameter.model_copy(update={"types": types, "choices": place.words})
