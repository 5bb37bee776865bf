"""Runs the source of the signature and of the metric, and picks from each what the contract says is meant.

Each source becomes a real module, registered before it runs: with a bare dict, postponed annotations would not
resolve, and pickling by value needs a module. Tracebacks show the user's lines through `linecache`.
"""

import inspect
import linecache
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import dspy

from dspy_service_core.resource.sources import METRIC_FUNCTION
from dspy_service_runner.optimizer.failures import JobFailed, first_line

_MODULE = "user_"
"""Prefix of these modules' names, so that none of them hides another module."""
_DYNAMIC = "dspy.signatures.signature"
"""The `__module__` of signatures that dspy makes from strings."""


def run_source(name: str, code: str, reason: str, models: Mapping[str, Any] | None = None) -> types.ModuleType:
    """`name` is what the spec calls the source; `models` becomes the global `models` of its code."""
    module = types.ModuleType(f"{_MODULE}{name}")
    module.__file__ = f"<{module.__name__}>"
    module.__dict__.update(dspy=dspy, models=models or {})
    sys.modules[module.__name__] = module
    linecache.cache[module.__file__] = (len(code), None, code.splitlines(keepends=True), module.__file__)
    try:
        exec(compile(code, module.__file__, "exec"), module.__dict__)
    except (Exception, SystemExit) as error:
        raise JobFailed(reason, f"The {name}'s code failed{user_line(error)}: {_say(error)}") from error
    return module


def pick_signature(module: types.ModuleType) -> type[dspy.Signature]:
    """The only class derived from `dspy.Signature` that no other class there derives from."""
    classes = {value: None for value in vars(module).values() if _is_own_signature(value, module)}
    leaves = [c for c in classes if not any(other is not c and issubclass(other, c) for other in classes)]
    if len(leaves) == 1:
        picked: type[dspy.Signature] = leaves[0]
        return picked
    if not leaves:
        raise JobFailed("InvalidSignature", "The signature's code defines no class derived from dspy.Signature.")
    raise JobFailed(
        "InvalidSignature",
        f"The signature's code defines several signatures, and must define one: {_names(module, leaves)}.",
    )


def pick_metric(module: types.ModuleType) -> Callable[..., Any]:
    """The function named `metric`, else the only one defined at top level."""
    named = vars(module).get(METRIC_FUNCTION)
    if callable(named) and not inspect.isclass(named):
        return _checked(named)
    own = [f for f in vars(module).values() if inspect.isfunction(f) and f.__module__ == module.__name__]
    if len(own) == 1:
        return _checked(own[0])
    found = f"defines {_names(module, own)}" if own else "defines none"
    raise JobFailed(
        "InvalidMetric",
        f"The metric's code must define a function named 'metric' or exactly one function at top level; it {found}.",
    )


def positional_arguments(metric: Callable[..., Any]) -> int:
    """How many of (gold, pred, trace, pred_name, pred_trace) the metric takes."""
    parameters = list(inspect.signature(metric).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return 5
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return min(len(positional), 5)


def _checked(metric: Callable[..., Any]) -> Callable[..., Any]:
    name = getattr(metric, "__name__", "metric")
    if inspect.iscoroutinefunction(metric) or inspect.isgeneratorfunction(metric):
        raise JobFailed("InvalidMetric", f"The metric {name!r} is async or a generator; it must return its score.")
    given = [None] * positional_arguments(metric)
    try:
        inspect.signature(metric).bind(*given)
    except TypeError as error:
        raise JobFailed(
            "InvalidMetric", f"The metric {name!r} cannot be called with {len(given)} arguments: {error}."
        ) from None
    if len(given) < 2:
        raise JobFailed("InvalidMetric", f"The metric {name!r} takes {len(given)} arguments; it gets gold and pred.")
    return metric


def _is_own_signature(value: object, module: types.ModuleType) -> bool:
    if not (inspect.isclass(value) and issubclass(value, dspy.Signature)) or value is dspy.Signature:
        return False
    return value.__module__ == module.__name__ or value.__module__ == _DYNAMIC


def _names(module: types.ModuleType, values: Iterable[object]) -> str:
    wanted = list(values)
    return ", ".join(name for name, value in vars(module).items() if any(value is other for other in wanted))


def _say(error: BaseException) -> str:
    return "it calls sys.exit" if isinstance(error, SystemExit) else first_line(error)


def user_line(error: BaseException) -> str:
    """The line of the user's code where the error happened, for messages; empty if it happened elsewhere."""
    if isinstance(error, SyntaxError) and error.lineno:
        return f" at line {error.lineno}"
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename.startswith(f"<{_MODULE}")]
    return f" at line {lines[-1]}" if lines else ""
