"""Checks keyword arguments against what the catalogue knows about the module or optimizer that takes them."""

import json
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from dspy_service_core.checks.models.credentials import paths
from dspy_service_core.checks.models.model_names import EMBEDDER_ARGUMENTS
from dspy_service_core.optimizers.options import MINIMUM
from dspy_service_core.registry.catalogue import Callee, Parameter
from dspy_service_core.resource.words import Words


def reserved(words: Words) -> Mapping[str, str]:
    """The keyword arguments that the service sets, each with the words that say from where, for messages."""
    data = f"from {words('spec.dataset')} and {words('spec.split')}"
    module, signature = words("spec.module.name"), words("spec.signature")
    return {
        "metric": f"from {words('spec.metric')}",
        "trainset": data,
        "valset": data,
        "student": f"from {module} and {signature}",
        "teacher": f"to the program of {module} itself",
        "log_dir": "to the job's own folder",
        "reflection_lm": f"from {words('spec.models.reflection')}",
        "prompt_model": f"from {words('spec.models.prompt')}",
        "task_model": f"from {words('spec.models.task')}",
        "signature": f"from {signature}",
    }


def problems(
    callee: Callee | None, what: str, field: str, given: Mapping[str, JsonValue], kept: Mapping[str, str]
) -> Iterator[str]:
    """`what` names the callee in messages, `field` is the path of its kwargs, and `kept` is the result of `reserved`. A
    callee of None is one about which nothing is known.
    """
    callee = callee or Callee(parameters=(), further=True)
    for name, value in given.items():
        if name in kept:
            yield f"{field}.{name} cannot be set: the service sets it {kept[name]}."
        parameter = callee.find(name)
        if parameter is None and not callee.further:
            yield f"{what} has no keyword argument '{name}' ({field}). Supported: {_supported(callee, kept)}."
        elif parameter is not None and name not in EMBEDDER_ARGUMENTS:  # a name stands for the object
            yield from _value_problems(parameter, what, f"{field}.{name}", value)
    for found in paths(given, field):
        yield f"{found} holds a credential, and kwargs are stored readable: credentials go into a model's settings."
    yield from _missing(callee, what, field, given, kept)


def _value_problems(parameter: Parameter, what: str, path: str, value: JsonValue) -> Iterator[str]:
    if not parameter.from_json and value is not None:
        yield f"{path}: {what} takes a Python object there, which a job cannot hold; leave it out."
    elif not parameter.takes(value):
        yield f"{path}: {what} takes {parameter.expected}, not {_shown(value)}."
    least = MINIMUM.get(parameter.name)
    if least is not None and isinstance(value, int | float) and value < least:
        yield f"{path} must be at least {least}, not {_shown(value)}."


def _missing(
    callee: Callee, what: str, field: str, given: Mapping[str, JsonValue], kept: Mapping[str, str]
) -> Iterator[str]:
    for parameter in callee.parameters:
        if not parameter.required or parameter.name in given or parameter.name in kept:
            continue
        if can_be_given(parameter):
            yield f"{what} needs the keyword argument '{parameter.name}': give it in {field}."
        else:
            yield f"{what} cannot be used here: it needs '{parameter.name}', a Python object, which a job cannot hold."


def _supported(callee: Callee, kept: Mapping[str, str]) -> str:
    return ", ".join(p.name for p in callee.parameters if p.name not in kept and can_be_given(p)) or "none"


def can_be_given(parameter: Parameter) -> bool:
    return parameter.from_json or parameter.name in EMBEDDER_ARGUMENTS


def _shown(value: JsonValue) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return json.dumps(value, ensure_ascii=False)[:80]
