"""A request of `POST /run` as the resource's spec, and the spec's fields as the request calls them.

Credentials never come into the spec. Its dataset stays empty: where the rows will be is known when all of it is weighed
(`layout`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core import credentials
from dspy_service_core.checks import Contents
from dspy_service_core.job import (
    CodeSource,
    Columns,
    Dataset,
    Model,
    Models,
    Module,
    OptimizationJobSpec,
    Optimizer,
    Run,
    Split,
)
from dspy_service_core.payload import ModelSettings, RunRequest
from dspy_service_core.words import words_of

FIELDS: Mapping[str, str] = {
    "spec.module.name": "module_name",
    "spec.module.kwargs": "module_kwargs",
    "spec.optimizer.name": "optimizer_name",
    "spec.optimizer.kwargs": "optimizer_kwargs",
    "spec.optimizer.compileKwargs": "compile_kwargs",
    "spec.signature": "signature_code",
    "spec.metric": "metric_code",
    "spec.dataset": "dataset",
    "spec.columns": "column_mapping",
    "spec.split": "split_fractions",
    **{f"spec.models.{role}": field for role, field in RunRequest.MODEL_FIELDS.items()},
    **{f"spec.models.{role}.baseUrl": f"{field}.base_url" for role, field in RunRequest.MODEL_FIELDS.items()},
}
"""Path in the spec to field of the request, as far as checks speak of it."""
WORDS = words_of(FIELDS)


@dataclass(frozen=True, slots=True)
class Translated:
    spec: OptimizationJobSpec
    contents: Contents


def translated(request: RunRequest, run: Run, draw: Callable[[], int]) -> Translated:
    """`draw` gives the seed that the request leaves open."""
    parts = {role: _parts(model) for role, model in request.models.items()}
    code = {name: CodeSource.model_construct(code=text) for name, text in request.code.items()}  # of any length
    optimizer = Optimizer(
        name=request.optimizer_name, kwargs=request.optimizer_kwargs, compile_kwargs=request.compile_kwargs
    )
    spec = OptimizationJobSpec(
        module=Module(name=request.module_name, kwargs=request.module_kwargs),
        optimizer=optimizer,
        dataset=Dataset(),
        columns=Columns(inputs=request.column_mapping.inputs, outputs=request.column_mapping.outputs),
        split=_split(request, draw),
        models=Models(**{role: _model(request.models[role], split.public) for role, split in parts.items()}),
        run=run,
        **code,
    )
    withheld = {role: split.withheld for role, split in parts.items() if split.withheld}
    return Translated(spec, Contents(rows=request.dataset, withheld=withheld))


def _split(request: RunRequest, draw: Callable[[], int]) -> Split:
    shares = request.split_fractions
    return Split(
        train=repr(float(shares.train)),
        val=repr(float(shares.val)),
        test=repr(float(shares.test)),
        shuffle=request.shuffle,
        seed=draw() if request.seed is None else request.seed,
    )


def _parts(model: ModelSettings) -> credentials.Split:
    return credentials.withhold({"base_url": model.base_url, "extra": model.extra})


def _model(model: ModelSettings, public: Mapping[str, Any]) -> Model:
    given = {
        "name": model.name,
        "base_url": public["base_url"],
        "model_type": model.model_type,
        "temperature": _decimal(model.temperature),
        "max_tokens": model.max_tokens,
        "top_p": _decimal(model.top_p),
        "extra": _public_extra(public["extra"]),
    }
    return Model.model_validate({name: value for name, value in given.items() if value is not None})


def _public_extra(extra: Any) -> dict[str, Any] | None:
    """None, so absent, where nothing is left of it."""
    return extra if isinstance(extra, dict) and extra else None


def _decimal(value: float | None) -> str | None:
    """Kubernetes' conventions ask for strings."""
    return None if value is None else repr(float(value))
