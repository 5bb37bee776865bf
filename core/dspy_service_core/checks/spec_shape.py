"""Checks a spec for everything that a request would be refused for with 422, because the resource's schema and CEL
rules cannot express all of it.

It validates with the request's own models, so that the same rules hold for both.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from dspy_service_core.checks.models.credentials import config_paths
from dspy_service_core.contract import program_files
from dspy_service_core.contract.request import (
    Budget,
    ColumnMapping,
    ModelSettings,
    NamedModelSettings,
    RunOptions,
    SplitFractions,
)
from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.models import Model


def problems(spec: OptimizationJobSpec) -> Iterator[str]:
    yield from _what(spec)
    if (columns := spec.columns) is not None:
        yield from _problem(ColumnMapping, "spec.columns", {"inputs": columns.inputs, "outputs": columns.outputs})
    shares = {name: float(getattr(spec.split, name)) for name in SplitFractions.model_fields}
    yield from _problem(SplitFractions, "spec.split", shares)
    if spec.run.max_failed_rows is not None:
        yield from _problem(RunOptions, "spec.run", {"max_failed_rows": float(spec.run.max_failed_rows)})
    if spec.budget is not None:
        yield from _problem(Budget, "spec.budget", {str(cap): most for cap, most in spec.budget.numbers().items()})
    for path, name, model in spec.all_models():
        yield from _model(path, model, ModelSettings if name in names.MODEL_ROLES else NamedModelSettings)
    for name in spec.model_configs:
        if name in names.MODEL_ROLES or not re.fullmatch(names.MODEL_NAME_PATTERN, name):
            yield f"spec.modelConfigs.{name}: names are {names.MODEL_NAME_PATTERN[1:-1]}, and no role's."
    for name in spec.secrets:
        if not re.fullmatch(names.SECRET_NAME_PATTERN, name) or re.search(names.SYSTEM_NAME_PATTERN, name):
            allowed = names.SECRET_NAME_PATTERN[1:-1]
            yield f"spec.secrets.{name}: names are {allowed}, and none is a variable of the system or the service."


def _what(spec: OptimizationJobSpec) -> Iterator[str]:
    if (spec.program is None) == (spec.module is None):
        yield "spec: exactly one of program and module is needed."
    if spec.module is not None and (spec.signature is None or spec.columns is None):
        yield "spec: signature and columns are needed with module."
    files = spec.program.files if spec.program else ()
    for problem in program_files.path_problems([file.path for file in files]):
        yield f"spec.program.files[{problem.place}].path: {problem.message}."


def _model(path: str, model: Model, shape: type[ModelSettings]) -> Iterator[str]:
    for found in config_paths({"base_url": model.base_url, "extra": model.extra}, path):
        field = f"{path}.baseUrl" if found == f"{path}.base_url" else found
        yield f"{field} holds a credential: put it into a Secret and name that in {path}.keyFrom."
    given = {
        "name": model.name,
        "base_url": model.base_url or None,
        "model_type": model.model_type,
        "temperature": model.given_temperature,
        "max_tokens": model.max_tokens,
        "top_p": None if model.top_p is None else float(model.top_p),
        "extra": model.extra,
        "prices": None if model.prices is None else model.prices.numbers(),
    }
    yield from _problem(shape, path, given)


def _problem(shape: type[BaseModel], path: str, given: Mapping[str, Any]) -> Iterator[str]:
    try:
        shape.model_validate(given)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join([path, *(str(part) for part in problem["loc"] if part != "[key]")])
        yield f"{where}: {problem['msg']}."
