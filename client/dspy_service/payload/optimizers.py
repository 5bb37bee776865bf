"""An optimizer's name and arguments, from a name, a class or an instance whose arguments are read back.

What the request has a field for (metric, models) goes there; a default is left to the service; what can be carried
nowhere is refused by name. DSPy's optimizers keep each argument under its own name, but for those of `_KEPT_AS`.
"""

import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dspy_service.errors import UnusableObject, UnusableValue
from dspy_service.payload.gepa_objects import form_of, is_gepa_object
from dspy_service.payload.json_values import json_value
from dspy_service.payload.models import is_model

_PLACE = "optimizer"
_KEPT_AS: Mapping[tuple[str, str], str] = {
    ("GEPA", "metric"): "metric_fn",
    ("GEPA", "instruction_proposer"): "custom_instruction_proposer",
    ("GEPA", "code_proposer"): "custom_code_proposer",
    ("BootstrapFewShotWithRandomSearch", "num_candidate_programs"): "num_candidate_sets",
    ("BootstrapFewShotWithRandomSearch", "max_bootstrapped_demos"): "max_num_samples",
    ("BootstrapFewShotWithOptuna", "num_candidate_programs"): "num_candidate_sets",
    ("BootstrapFewShotWithOptuna", "max_bootstrapped_demos"): "max_num_samples",
    ("KNNFewShot", "k"): "KNN.k",
    ("KNNFewShot", "trainset"): "KNN.trainset",
    ("KNNFewShot", "vectorizer"): "KNN.embedding",
}
_FURTHER_AS: Mapping[str, str] = {"KNNFewShot": "few_shot_bootstrap_args", "BetterTogether": "optimizers"}
"""Where `**kwargs` are kept whole."""
_ROLES = {"reflection_lm": "reflection", "prompt_model": "prompt", "task_model": "task"}
_EMPTY = inspect.Parameter.empty
_UNKNOWN = object()


@dataclass(frozen=True)
class Optimizer:
    name: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    metric: Any = None
    models: dict[str, Any] = field(default_factory=dict)
    """By role, or by a name of their own that `kwargs` speak of."""
    trainset: Any = None


def read_optimizer(given: Any) -> Optimizer:
    if isinstance(given, str):
        return Optimizer(given)
    kind = given if isinstance(given, type) else type(given)
    if not callable(getattr(kind, "compile", None)):
        raise UnusableObject(_PLACE, f"is a {kind.__name__}: give a name, or one of DSPy's optimizers")
    name = _public_name(kind)
    return Optimizer(name) if given is kind else _read_back(name, given)


def _public_name(kind: type) -> str:
    """The path that the service knows it by."""
    top = kind.__module__.partition(".")[0]
    for path in ("dspy", "dspy.teleprompt"):
        if top == "dspy" and getattr(sys.modules.get(path), kind.__name__, None) is kind:
            return f"{path}.{kind.__name__}"
    if top == "__main__" or not _is_installed(top):
        raise UnusableObject(
            _PLACE, f"is {kind.__name__} of your own, which a job does not have: give one of DSPy's (docs/registry.md)"
        )
    return f"{kind.__module__}.{kind.__qualname__}"


def _is_installed(top: str) -> bool:
    file = getattr(sys.modules.get(top), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _read_back(name: str, optimizer: Any) -> Optimizer:
    kwargs: dict[str, Any] = {}
    models: dict[str, Any] = {}
    metric = trainset = None
    for argument, value in _arguments(optimizer):
        if argument == "metric":
            metric = value
        elif argument == "trainset":
            trainset = value
        elif argument in _ROLES:
            models[_ROLES[argument]] = value
        elif callable(getattr(value, "compile", None)):
            kwargs[argument] = _step(argument, value, metric, models)
        else:
            kwargs[argument] = _carried(argument, value, models)
    return Optimizer(name, kwargs, metric, models, trainset)


def _step(argument: str, optimizer: Any, metric: Any, models: dict[str, Any]) -> dict[str, Any]:
    """An optimizer of a chain, by its name and arguments; metric and models are the job's."""
    found, place = read_optimizer(optimizer), f"{_PLACE}.{argument}"
    if found.metric is not None and found.metric is not metric:
        raise UnusableObject(place, "has another metric than the chain, and a job has one: give both the same")
    for name, model in found.models.items():
        if models.setdefault(name, model) is not model:
            raise UnusableObject(place, f"has another {name} model than an optimizer before it: give both the same")
    return {"name": found.name, "kwargs": found.kwargs}


def _arguments(optimizer: Any) -> Iterator[tuple[str, Any]]:
    """Those that are not what they would be by default."""
    for argument, default in _parameters(type(optimizer)):
        value = _kept(optimizer, _KEPT_AS.get((type(optimizer).__name__, argument), argument))
        if value is _UNKNOWN:
            if default is _EMPTY:
                raise UnusableObject(_PLACE, f"does not keep its argument {argument}: give its name, and its kwargs")
        elif not (value is default or _is_default(argument, value, default)):
            yield argument, value
    further = _FURTHER_AS.get(type(optimizer).__name__)
    yield from dict(getattr(optimizer, further)).items() if further else ()


def _parameters(kind: type) -> Iterator[tuple[str, Any]]:
    """Of all constructors that `**kwargs` hand them on to."""
    seen = {"self"}
    for base in kind.__mro__:
        parameters = inspect.signature(vars(base)["__init__"]).parameters if "__init__" in vars(base) else {}
        for name, parameter in parameters.items():
            if name not in seen and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                seen.add(name)
                yield name, parameter.default
        if parameters and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return


def _kept(optimizer: Any, path: str) -> Any:
    value = optimizer
    for name in path.split("."):
        value = getattr(value, name, _UNKNOWN)
    return value


def _is_default(argument: str, value: Any, default: Any) -> bool:
    if argument in _ROLES or argument == "metric":
        return value is None or value is getattr(getattr(sys.modules.get("dspy"), "settings", None), "lm", None)
    if default is None and isinstance(value, dict) and not value:
        return True  # what DSPy makes of None
    return type(value) is type(default) and bool(value == default)


def _carried(argument: str, value: Any, models: dict[str, Any]) -> Any:
    """As JSON, and models by a name under which the request brings them."""
    if is_model(value):
        name = next((known for known, model in models.items() if model is value), f"optimizer_{argument}"[:31])
        models[name] = value
        return name
    if value is getattr(sys.modules.get("dspy"), "majority", _UNKNOWN):
        return "majority"  # by which name the service takes it for an ensemble
    if is_gepa_object(value):
        return form_of(
            value, f"{_PLACE}.{argument}", lambda each, place: _carried(place[len(_PLACE) + 1 :], each, models)
        )
    if isinstance(value, list | tuple) and any(map(is_gepa_object, value)):
        return [_carried(f"{argument}[{n}]", each, models) for n, each in enumerate(value)]
    if isinstance(value, Mapping):
        return {str(key): _carried(f"{argument}_{key}", item, models) for key, item in value.items()}
    try:
        return json_value(value, f"{_PLACE}.{argument}")
    except UnusableValue:
        shown = f"{_PLACE}.{argument}"
        raise UnusableObject(shown, f"is a {type(value).__name__}, which cannot be sent: make it without") from None
