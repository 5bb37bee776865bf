"""DSPy's own objects by the arguments that made them, read back from what they keep.

Each module of DSPy keeps its arguments in a way of its own; what `_READ` does not know is told by its attributes.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

_REASONING = "reasoning"
_EMPTY = inspect.Parameter.empty


def is_of_dspy(value: Any, name: str = "") -> bool:
    kind = value if isinstance(value, type) else type(value)
    return kind.__module__.partition(".")[0] == "dspy" and (not name or kind.__name__ == name)


def is_module(value: Any) -> bool:
    """A program of DSPy: of a class derived from `dspy.Module`, or such a class."""
    kind = value if isinstance(value, type) else type(value)
    return any(base.__name__ == "Module" and base.__module__ == "dspy.primitives.module" for base in kind.__mro__)


def arguments_of(value: Any) -> dict[str, Any] | None:
    """Those that are not the constructor's defaults; None where they cannot be known."""
    read = _READ.get(type(value).__name__)
    if read:
        return read(value)
    return _from_attributes(value)


def _from_attributes(value: Any) -> dict[str, Any] | None:
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(constructor(type(value))).parameters.items():
        if name == "self" or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        if hasattr(value, name):
            if not _is_default(getattr(value, name), parameter.default):
                given[name] = getattr(value, name)
        elif parameter.default is _EMPTY:
            return None
    return given


def constructor(kind: type) -> Any:
    """As a function: the class itself has a metaclass that takes anything."""
    return next(vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base))


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (type(value) is type(default) and bool(value == default)) or (not value and not default)


def _predict(value: Any) -> dict[str, Any]:
    return {"signature": value.signature, **value.config}


def _chain_of_thought(value: Any) -> dict[str, Any]:
    """Its predictor's signature begins its outputs with the reasoning, which the constructor adds."""
    signature = value.predict.signature
    reasoning = signature.fields[_REASONING]
    own = signature.delete(_REASONING)
    usual = type(value)(own).predict.signature.fields[_REASONING]
    field = {} if repr(usual) == repr(reasoning) else {"rationale_field": reasoning}
    return {"signature": own, **field, **value.predict.config}


def _with_tools(value: Any) -> dict[str, Any]:
    tools = value.tools.values() if isinstance(value.tools, Mapping) else value.tools
    own = [tool for tool in tools if tool.name not in ("finish", "submit") or not _is_local(tool.func)]
    return _with(value, signature=value.signature, tools=own)


def _is_local(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).partition(".")[0] == "dspy"


def _with(value: Any, **known: Any) -> dict[str, Any]:
    return known | {name: item for name, item in (_from_attributes(value) or {}).items() if name not in known}


def _with_reward(value: Any) -> dict[str, Any]:
    """The reward is kept inside of a lambda."""
    (reward,) = [cell.cell_contents for cell in value.reward_fn.__closure__ or ()][:1] or [None]
    kept = {"module": value.module, "N": value.N, "reward_fn": reward, "threshold": value.threshold}
    return kept | ({"fail_count": value.fail_count} if value.fail_count != value.N else {})


def _comparison(value: Any) -> dict[str, Any]:
    """The constructor adds the attempts before, and the rationale."""
    signature = value.predict.signature
    for added in ("rationale", *(f"reasoning_attempt_{n + 1}" for n in range(value.M))):
        signature = signature.delete(added)
    return {"signature": signature, "M": value.M, **value.predict.config}


def _semantic(value: Any) -> dict[str, Any]:
    predictor = value.module.predict.signature.output_fields
    return {"threshold": value.threshold, "decompositional": "ground_truth_key_ideas" in predictor}


def _embedder(value: Any) -> dict[str, Any]:
    return {"model": value.model, "batch_size": value.batch_size, "caching": value.caching, **value.default_kwargs}


def _program_of_thought(value: Any) -> dict[str, Any]:
    return {"signature": value.signature, "max_iters": value.max_iters}


def _code_act(value: Any) -> dict[str, Any]:
    return {"signature": value.signature, "tools": list(value.tools.values()), "max_iters": value.max_iters}


_READ: Mapping[str, Callable[[Any], dict[str, Any] | None]] = {
    "Predict": _predict,
    "ChainOfThought": _chain_of_thought,
    "ReAct": _with_tools,
    "ReActV2": _with_tools,
    "BestOfN": _with_reward,
    "Refine": _with_reward,
    "MultiChainComparison": _comparison,
    "ProgramOfThought": _program_of_thought,
    "CodeAct": _code_act,
    "SemanticF1": _semantic,
    "Embedder": _embedder,
}


def settings_lm() -> Any:
    """The model that `dspy.configure` set, where DSPy is imported."""
    return getattr(getattr(sys.modules.get("dspy"), "settings", None), "lm", None)
