"""One neutral shape for what `checks` looks at, whether it came by `POST /run` or as a resource."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError

from dspy_service_core.credentials import config_paths
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.job import Model, Models, OptimizationJobSpec
from dspy_service_core.payload import ColumnMapping, ModelSettings, RunRequest, SplitFractions
from dspy_service_core.splits import Fractions

Shape = TypeVar("Shape", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class FieldNames:
    """What the sender calls the parts, so that messages speak of what was written."""

    module_name: str
    module_kwargs: str
    optimizer_name: str
    optimizer_kwargs: str
    compile_kwargs: str
    signature: str
    metric: str
    dataset: str
    inputs: str
    outputs: str
    split: str
    models: Mapping[str, str]
    base_url: str


REQUEST_FIELDS = FieldNames(
    module_name="module_name",
    module_kwargs="module_kwargs",
    optimizer_name="optimizer_name",
    optimizer_kwargs="optimizer_kwargs",
    compile_kwargs="compile_kwargs",
    signature="signature_code",
    metric="metric_code",
    dataset="dataset",
    inputs="column_mapping.inputs",
    outputs="column_mapping.outputs",
    split="split_fractions",
    models=RunRequest.MODEL_FIELDS,
    base_url="base_url",
)
RESOURCE_FIELDS = FieldNames(
    module_name="spec.module.name",
    module_kwargs="spec.module.kwargs",
    optimizer_name="spec.optimizer.name",
    optimizer_kwargs="spec.optimizer.kwargs",
    compile_kwargs="spec.optimizer.compileKwargs",
    signature="spec.signature",
    metric="spec.metric",
    dataset="spec.dataset",
    inputs="spec.columns.inputs",
    outputs="spec.columns.outputs",
    split="spec.split",
    models={role: f"spec.models.{role}" for role in Models.model_fields},
    base_url="baseUrl",
)


@dataclass(frozen=True, slots=True)
class CheckInput:
    """What is None is not at hand (rows behind a URI, code in a ConfigMap): its checks are left to the pod."""

    fields: FieldNames
    module_name: str
    module_kwargs: Mapping[str, JsonValue]
    optimizer_name: str
    optimizer_kwargs: Mapping[str, JsonValue]
    compile_kwargs: Mapping[str, JsonValue]
    signature_code: str | None
    metric_code: str | None
    rows: Sequence[Mapping[str, Any]] | None
    row_count: int | None
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    fractions: Fractions
    models: Mapping[str, ModelSettings]


def request_input(request: RunRequest) -> CheckInput:
    split = request.split_fractions
    return CheckInput(
        fields=REQUEST_FIELDS,
        module_name=request.module_name,
        module_kwargs=request.module_kwargs,
        optimizer_name=request.optimizer_name,
        optimizer_kwargs=request.optimizer_kwargs,
        compile_kwargs=request.compile_kwargs,
        signature_code=request.signature_code,
        metric_code=request.metric_code,
        rows=request.dataset,
        row_count=len(request.dataset),
        inputs=request.column_mapping.inputs,
        outputs=request.column_mapping.outputs,
        fractions=Fractions(split.train, split.val, split.test),
        models=request.models,
    )


def spec_input(
    spec: OptimizationJobSpec,
    rows: Sequence[Mapping[str, Any]] | None = None,
    signature_code: str | None = None,
    metric_code: str | None = None,
) -> CheckInput:
    """What is inline in the spec need not be passed. A resource's shape is checked here as a request's was by 422."""
    given = rows if rows is not None else spec.dataset.rows
    counted = spec.dataset.payload.rows if spec.dataset.payload else None
    mapping = _columns(spec)
    return CheckInput(
        fields=RESOURCE_FIELDS,
        module_name=spec.module.name,
        module_kwargs=spec.module.kwargs,
        optimizer_name=spec.optimizer.name,
        optimizer_kwargs=spec.optimizer.kwargs,
        compile_kwargs=spec.optimizer.compile_kwargs,
        signature_code=spec.signature.code if signature_code is None else signature_code,
        metric_code=spec.metric.code if metric_code is None else metric_code,
        rows=given,
        row_count=counted if given is None else len(given),
        inputs=mapping.inputs,
        outputs=mapping.outputs,
        fractions=_fractions(spec),
        models={role: _model(role, model) for role in Models.model_fields if (model := getattr(spec.models, role))},
    )


def _columns(spec: OptimizationJobSpec) -> ColumnMapping:
    return _valid(ColumnMapping, "spec.columns", {"inputs": spec.columns.inputs, "outputs": spec.columns.outputs})


def _fractions(spec: OptimizationJobSpec) -> Fractions:
    given = {name: float(getattr(spec.split, name)) for name in ("train", "val", "test")}
    split = _valid(SplitFractions, "spec.split", given)
    return Fractions(split.train, split.val, split.test)


def _model(role: str, model: Model) -> ModelSettings:
    path = RESOURCE_FIELDS.models[role]
    given = {
        "name": model.name,
        "base_url": model.base_url or None,
        "model_type": model.model_type,
        "temperature": None if model.temperature is None else float(model.temperature),
        "max_tokens": model.max_tokens,
        "top_p": None if model.top_p is None else float(model.top_p),
        "extra": model.extra,
    }
    for secret in config_paths(given, path):
        field = secret.replace("base_url", RESOURCE_FIELDS.base_url)
        raise UnusableRequest(f"{field} holds a credential: put it into a Secret and name that in {path}.keyFrom.")
    return _valid(ModelSettings, path, given)


def _valid(shape: type[Shape], path: str, given: Mapping[str, Any]) -> Shape:
    try:
        return shape.model_validate(given)
    except ValidationError as exc:
        problem = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join([path, *(str(part) for part in problem["loc"] if part != "[key]")])
        raise UnusableRequest(f"{where}: {problem['msg']}.") from None
