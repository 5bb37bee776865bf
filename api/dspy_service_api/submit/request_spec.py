"""Translates a request of `POST /run` into the resource's spec, and the spec's paths into the request's field names.

Credentials never get into the spec. Its dataset stays empty here: `job_objects` decides whether the rows fit into it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic.alias_generators import to_camel

from dspy_service_core.checks.job_checks import Contents
from dspy_service_core.checks.models import credentials
from dspy_service_core.contract.request import Budget, ColumnMapping, ModelSettings, Prices, RunRequest
from dspy_service_core.resource import sources
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.spec.models import NO_TEMPERATURE
from dspy_service_core.resource.words import words_of

FIELDS: Mapping[str, str] = {
    "spec.module.name": "module_name",
    "spec.module.kwargs": "module_kwargs",
    "spec.program": "program_code",
    "spec.program.name": "module_name",
    "spec.program.kwargs": "module_kwargs",
    "spec.program.files": "program_files",
    "spec.optimizer.name": "optimizer_name",
    "spec.optimizer.kwargs": "optimizer_kwargs",
    "spec.optimizer.compileKwargs": "compile_kwargs",
    "spec.signature": "signature_code",
    "spec.metric": "metric_code",
    "spec.dataset": "dataset",
    "spec.columns": "column_mapping",
    "spec.columns.withoutGold": "column_mapping.outputs",
    "spec.split": "split_fractions",
    "spec.split.column": "split_column",
    "spec.adapter": "adapter",
    "spec.initial": "initial",
    "spec.joined": "optimizer_kwargs.programs",
    "spec.secrets": "secrets",
    "spec.run.require": "run_options.require",
    "spec.run.threads": "run_options.threads",
    **{f"spec.models.{role}": field for role, field in RunRequest.MODEL_FIELDS.items()},
    **{f"spec.models.{role}.baseUrl": f"{field}.base_url" for role, field in RunRequest.MODEL_FIELDS.items()},
    "spec.modelConfigs": "model_configs",
    "spec.budget": "budget",
    **{f"spec.budget.{to_camel(name)}": f"budget.{name}" for name in Budget.model_fields},
}
"""Path in the spec to field of the request, for all paths that messages of the checks can name."""
WORDS = words_of(FIELDS)


@dataclass(frozen=True, slots=True)
class Translated:
    json: dict[str, Any]
    """The spec as it will be written, without the dataset."""
    spec: OptimizationJobSpec
    contents: Contents


def translated(request: RunRequest, run: Mapping[str, Any], draw: Callable[[], int]) -> Translated:
    """`run` is the spec's part of that name; `draw` gives the seed that a request leaves open."""
    parts = {role: credentials.withhold(_secretive(model)) for role, model in request.models.items()}
    models = {name: _model(request.models[name], split.public) for name, split in parts.items()}
    json: dict[str, Any] = {
        **_what(request),
        "optimizer": {
            "name": request.optimizer_name,
            "kwargs": request.optimizer_kwargs,
            "compileKwargs": request.compile_kwargs,
        },
        sources.METRIC: {"code": request.metric_code},
        "split": _split(request, draw),
        "models": {name: model for name, model in models.items() if name in RunRequest.MODEL_FIELDS},
        "run": run,
    }
    if request.budget is not None:
        json["budget"] = _budget(request.budget)
    if request.model_configs:
        json["modelConfigs"] = {name: models[name] for name in request.model_configs}
    withheld = {role: split.withheld for role, split in parts.items() if split.withheld}
    contents = Contents(
        rows=request.dataset,
        code=request.code,
        files=request.program_files,
        secrets=tuple(request.secrets),
        withheld=withheld,
    )
    return Translated(json, OptimizationJobSpec.without_content(json), contents)


def _what(request: RunRequest) -> dict[str, Any]:
    """What is optimized, and how it asks: a module of DSPy's with a signature, or a program of the request's own."""
    wanted: dict[str, Any] = {}
    if request.program_code is None:
        wanted["module"] = {"name": request.module_name, "kwargs": request.module_kwargs}
    else:
        files = [{"path": path, "code": text} for path, text in request.program_files.items()]
        wanted[sources.PROGRAM] = {
            "code": request.program_code,
            "kwargs": request.module_kwargs,
            **({"name": request.module_name} if request.module_name else {}),
            **({"files": files} if files else {}),
        }
    if request.signature_code is not None:
        wanted[sources.SIGNATURE] = {"code": request.signature_code}
    if request.column_mapping is not None:
        wanted["columns"] = _columns(request.column_mapping)
    if request.adapter is not None:
        wanted["adapter"] = request.adapter
    return wanted


def _columns(mapping: ColumnMapping) -> dict[str, Any]:
    given = {"inputs": mapping.inputs, "outputs": mapping.gold}
    return given | ({"withoutGold": mapping.without_gold} if mapping.without_gold else {})


def _split(request: RunRequest, draw: Callable[[], int]) -> dict[str, Any]:
    shares = request.split_fractions
    column = {"column": request.split_column} if request.split_column else {}
    return column | {
        "train": decimal_text(shares.train),
        "val": decimal_text(shares.val),
        "test": decimal_text(shares.test),
        "shuffle": request.shuffle,
        "seed": draw() if request.seed is None else request.seed,
    }


def _secretive(model: ModelSettings) -> dict[str, Any]:
    return {"base_url": model.base_url, "extra": model.extra}


def _model(model: ModelSettings, public: Mapping[str, Any]) -> dict[str, Any]:
    given = {
        "name": model.name,
        "baseUrl": public["base_url"],
        "modelType": model.model_type,
        "temperature": NO_TEMPERATURE if model.sends_no_temperature else decimal_text(model.temperature),
        "maxTokens": model.max_tokens,
        "topP": decimal_text(model.top_p),
        "extra": _public_extra(public["extra"]),
        "prices": None if model.prices is None else _prices(model.prices),
    }
    return {name: value for name, value in given.items() if value is not None}


def _prices(prices: Prices) -> dict[str, str]:
    given = {name: decimal_text(value) for name, value in prices.model_dump().items()}
    return {name: value for name, value in given.items() if value is not None}


def _budget(budget: Budget) -> dict[str, Any]:
    given = budget.model_dump() | {"cost_usd": decimal_text(budget.cost_usd)}
    return {to_camel(name): value for name, value in given.items() if value is not None}


def _public_extra(extra: Any) -> dict[str, Any] | None:
    """None, and so absent from the spec, where nothing is left of it."""
    return extra if isinstance(extra, dict) and extra else None


def decimal_text(value: float | None) -> str | None:
    """A string, as the Kubernetes API conventions ask of decimals."""
    return None if value is None else repr(float(value))
