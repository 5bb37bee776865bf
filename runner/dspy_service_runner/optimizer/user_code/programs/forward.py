"""What a program takes and gives: the parameters of its `forward`, and the outputs of its predictors."""

import inspect
from collections.abc import Mapping
from typing import Any, get_type_hints

import dspy

from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.user_code.programs.program_class import REASON, forward_of
from dspy_service_runner.optimizer.values.fields import Fields

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def fields_of(module: dspy.Module) -> Fields:
    """An input has the type that `forward` names for it, else that of the predictors' input of the same name. With
    `**kwargs`, what the predictors take and none of them gives is an input as well."""
    forward = forward_of(module)
    parameters = _parameters(module, forward)
    hints, inner = _hints(forward), Fields.of_predictors(module.predictors())
    named = {name: hints.get(name, Any) for name, p in parameters.items() if p.kind in _NAMED}
    passed_on = {
        name: its
        for name, its in inner.inputs.items()
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) and name not in _given(inner)
    }
    inferred = {name: its for name, its in inner.inputs.items() if name not in hints and its not in (Any, str)}
    if not named and not passed_on:
        raise JobFailed(REASON, f"The forward of '{type(module).__name__}' takes no inputs, so no row can reach it.")
    return Fields(
        inputs={name: inferred.get(name, its) for name, its in (passed_on | named).items()},
        outputs=inner.outputs,
        optional=frozenset(passed_on.keys() - named.keys())
        | {name for name in named if parameters[name].default is not inspect.Parameter.empty},
        inferred=frozenset(inferred),
        undecided=inner.undecided,
    )


def takes_any_name(module: dspy.Module) -> bool:
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(forward_of(module)).parameters.values())


def _given(inner: Fields) -> frozenset[str]:
    return frozenset(inner.outputs) | inner.undecided


def _parameters(module: dspy.Module, forward: Any) -> Mapping[str, inspect.Parameter]:
    """Rows arrive as keyword arguments, so those that take none are refused."""
    found = dict(inspect.signature(forward).parameters)
    if not inspect.ismethod(forward):
        found.pop(next(iter(found), ""), None)  # self
    unnamed = [p for p in found.values() if p.kind is p.POSITIONAL_ONLY and p.default is p.empty]
    takes_any = [p for p in found.values() if p.kind is p.VAR_POSITIONAL]
    if unnamed or (takes_any and len(found) == len(takes_any)):
        what = f"*{takes_any[0].name}" if not unnamed else f"'{unnamed[0].name}' by its position alone"
        raise JobFailed(
            REASON,
            f"The forward of '{type(module).__name__}' takes {what}, and rows arrive as keyword arguments: name each "
            "input as a parameter, such as forward(self, question).",
        )
    return {name: p for name, p in found.items() if p.kind not in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL)}


def _hints(forward: Any) -> dict[str, Any]:
    try:
        return get_type_hints(forward, include_extras=True)
    except Exception:  # a name in an annotation that is defined nowhere, which Python itself never looks at
        return {}
