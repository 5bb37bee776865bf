"""How many model calls a program makes for one row, as far as that can be read without running it."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core.code.source_text import parse
from dspy_service_core.estimate.bounds import Bounds, just
from dspy_service_core.optimizers.options import whole
from dspy_service_core.programs.program_names import module_assets
from dspy_service_core.programs.program_source import ProgramSource
from dspy_service_core.registry.catalogue import ModuleAsset

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RowCalls:
    calls: Bounds
    rule: str
    """In a sentence."""


def _once(_given: Arguments) -> Bounds:
    return just(1)


def _turns_and_answer(given: Arguments) -> Bounds:
    """At least one turn, and then the answer."""
    return _up_to(2, given, "max_iters")


def _turns_or_answer(given: Arguments) -> Bounds:
    """A turn may be the answer; after the last one it is demanded."""
    return _up_to(1, given, "max_iters")


def _turns_and_inner_calls(given: Arguments) -> Bounds:
    return _up_to(1, given, "max_iters", "max_llm_calls")


_BY_MODULE: Mapping[str, Callable[[Arguments], Bounds]] = {
    "dspy.Predict": _once,
    "dspy.ChainOfThought": _once,
    "dspy.MultiChainComparison": _once,
    "dspy.ProgramOfThought": _turns_and_answer,
    "dspy.CodeAct": _turns_and_answer,
    "dspy.ReAct": _turns_and_answer,
    "dspy.ReActV2": _turns_or_answer,
    "dspy.RLM": _turns_and_inner_calls,
}
"""By the shortest path. Of other modules nobody knows it: what Flex calls, its optimizer writes."""


def of_module(name: str, asset: ModuleAsset | None, given: Arguments) -> RowCalls:
    """`given` are the module's arguments as the job has them; they count where they are other than the defaults."""
    rule = _BY_MODULE.get(asset.path) if asset else None
    if asset is None or rule is None:
        return RowCalls(Bounds(0, None), f"How often module '{name}' calls a model for a row, only running it tells.")
    calls = _answers(rule(_defaults(asset) | dict(given)), given)
    return RowCalls(calls, f"Module '{name}' makes {_said(calls)} for a row.")


def of_program(program: ProgramSource | None) -> RowCalls:
    """It holds if `forward` calls each predictor once, and no model by itself: what it does beyond is not read."""
    count = program.predictor_count if program else None
    if program is None or count is None:
        return RowCalls(Bounds(1, None), "How many predictors the program has, only running its code tells.")
    calls = _of_predictors(program, count)
    seen = f"its {count} predictors" if count > 1 else "its predictor"
    taken = f"The program is taken to run {seen} once for a row, and no model besides"
    return RowCalls(calls, f"{taken}: {_said(calls)}.")


def _of_predictors(program: ProgramSource, count: int) -> Bounds:
    """The calls that make predictors are found by another reader than their number. They have to agree: a class may be
    built twice."""
    found = [module_assets()[each.module] for each in program.predictors]
    if sum(asset.predictors or 0 for asset in found) != count:
        return Bounds(count, None)
    return sum((_of_asset(asset) for asset in found), just(0))


def _of_asset(asset: ModuleAsset) -> Bounds:
    """Without its arguments, whose values are code: modules that take turns may be given any number of them."""
    rule = _BY_MODULE.get(asset.path)
    if rule is None:
        return Bounds(0, None)
    return just(1) if rule is _once else Bounds(rule(_defaults(asset)).least, None)


def _said(calls: Bounds) -> str:
    return f"{calls} model call{'s' if calls.most != 1 else ''}"


def _up_to(least: int, given: Arguments, *names: str) -> Bounds:
    limits = [whole(given.get(name)) for name in names]
    known = [limit for limit in limits if limit is not None]
    return Bounds(least, max(sum(known) + 1, least) if len(known) == len(limits) else None)


def _answers(calls: Bounds, given: Arguments) -> Bounds:
    """A call for n answers counts as one or as n, depending on the provider."""
    several = whole(given.get("n")) or 1
    return calls * Bounds(1, max(several, 1))


def _defaults(asset: ModuleAsset) -> dict[str, Any]:
    return {parameter.name: parameter.default for parameter in asset.init.parameters}


_ASKING = frozenset({"LM", "Embedder"})


def may_ask_models(code: str) -> bool:
    """Whether a metric may call models itself: it names the job's `models`, or one of DSPy's modules."""
    nodes = list(ast.walk(parse(code, "metric_code")))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    named = names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    named |= {node.name for node in nodes if isinstance(node, ast.alias)}
    asking = _ASKING | {path.rpartition(".")[2] for path in module_assets()}
    return "models" in names or not asking.isdisjoint(named)
