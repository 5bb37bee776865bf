"""Finds the metric function in a source and checks its arguments, without running the source."""

import ast
from dataclasses import dataclass

from dspy_service_core.code.source_names import outside_functions
from dspy_service_core.code.source_text import listed, parse
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.resource.sources import METRIC_FUNCTION

FEWEST, MOST = 2, 5
"""How many arguments DSPy's optimizers pass: from (gold, pred) to (gold, pred, trace, pred_name, pred_trace)."""

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class MetricSource:
    name: str


def read_metric(code: str, field: str = "metric_code") -> MetricSource:
    module = parse(code, field)
    functions = {node.name: node for node in module.body if isinstance(node, _Function)}
    if METRIC_FUNCTION not in functions and _bound_otherwise(module):
        return MetricSource(METRIC_FUNCTION)  # imported, assigned or under a condition: the pod finds out what it is
    found = _chosen(functions, field)
    _check(found, field)
    return MetricSource(found.name)


def _chosen(functions: dict[str, _Function], field: str) -> _Function:
    if METRIC_FUNCTION in functions:
        return functions[METRIC_FUNCTION]
    if len(functions) == 1:
        return next(iter(functions.values()))
    if not functions:
        raise UnusableRequest(f"{field} defines no function; define `def metric(gold, pred, trace=None): ...`.")
    named = listed(list(functions))
    raise UnusableRequest(f"{field} defines several functions, {named}; name the one that scores 'metric'.")


def _bound_otherwise(module: ast.Module) -> bool:
    return any(_binds(node) for node in outside_functions(module))


def _binds(node: ast.AST) -> bool:
    if isinstance(node, ast.alias):
        return (node.asname or node.name) == METRIC_FUNCTION
    if isinstance(node, ast.Name):
        return node.id == METRIC_FUNCTION and isinstance(node.ctx, ast.Store)
    return isinstance(node, _Function | ast.ClassDef) and node.name == METRIC_FUNCTION


def _check(function: _Function, field: str) -> None:
    where = f"{field}: function '{function.name[:80]}' (line {function.lineno})"
    if isinstance(function, ast.AsyncFunctionDef):
        raise UnusableRequest(f"{where} is async; DSPy calls metrics as plain functions.")
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for line in function.body for node in outside_functions(line)):
        raise UnusableRequest(f"{where} is a generator; it must return its score.")
    if function.decorator_list:
        return  # the decorator decides which arguments it takes
    _check_arguments(function.args, where)


def _check_arguments(arguments: ast.arguments, where: str) -> None:
    positional = len(arguments.posonlyargs) + len(arguments.args)
    required = positional - len(arguments.defaults)
    needed = [a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is None]
    if needed:
        raise UnusableRequest(f"{where} needs keyword argument '{needed[0]}', which no optimizer passes.")
    if required > MOST or (positional < FEWEST and not arguments.vararg):
        raise UnusableRequest(
            f"{where} takes {positional} arguments; it must take {FEWEST} to {MOST}: "
            "gold, pred, and optionally trace, pred_name, pred_trace."
        )
