"""Makes of a job the body of `POST /run` that submits it again: what `request_spec` does, the other way round. Pure.

Credentials are not in it, since they are not in the resource: models are without them, and each of the job's secrets is
an empty text, which a submit refuses by name until its value is filled in. The seed is the one that was used, and
settings that a request may leave out are those that the job has.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core.contract.request import RunRequest
from dspy_service_core.errors import NoPayload
from dspy_service_core.resource import names, sources
from dspy_service_core.resource.spec import budget
from dspy_service_core.resource.spec.models import NO_TEMPERATURE

Json = Mapping[str, Any]
BLANK = ""


@dataclass(frozen=True, slots=True)
class RequestAgain:
    body: dict[str, Any]
    blanked: tuple[str, ...]
    """Fields whose credentials are to be filled in."""


def request_again(job: Json, document: Json, seed: int) -> RequestAgain:
    """`document` is the job's payload in the store; empty where it has none. Raises `NoPayload` for a resource whose
    content lies where the API does not read."""
    spec = job["spec"]
    body = {
        **_what(spec),
        **_code(spec, document),
        **_optimizer(spec["optimizer"]),
        "dataset": _rows(spec["dataset"], document),
        **_columns(spec.get("columns")),
        **_split(spec.get("split") or {}, seed),
        **({"adapter": spec["adapter"]} if spec.get("adapter") else {}),
        **({"secrets": dict.fromkeys(spec["secrets"], BLANK)} if spec.get("secrets") else {}),
        **({"budget": caps} if (caps := budget.told(spec.get("budget"))) else {}),
        "run_options": _run_options(spec.get("run") or {}, job["metadata"].get("labels") or {}),
        **_models(spec),
    }
    return RequestAgain(body, tuple(_blanked(spec)))


def document_digests(spec: Json) -> set[str]:
    """Of the payload document, as all that lies in it names it."""
    found = {source.payload_digest for source in sources.sources_of(spec)}
    found.add((spec["dataset"].get("payload") or {}).get("digest"))
    return {digest for digest in found if digest is not None}


def _what(spec: Json) -> dict[str, Any]:
    chosen = spec.get(sources.PROGRAM) or spec["module"]
    named = {"module_name": chosen["name"]} if chosen.get("name") else {}
    return {**named, "module_kwargs": chosen.get("kwargs") or {}}


_FIELDS = {
    sources.SIGNATURE: "signature_code",
    sources.METRIC: "metric_code",
    sources.PROGRAM: "program_code",
}


def _code(spec: Json, document: Json) -> dict[str, Any]:
    """All sources; files, and a state to begin with, are in the order of the spec."""
    found: dict[str, Any] = {}
    for source in sources.sources_of(spec):
        if source.config_map_key is not None:
            raise elsewhere(source.path)
        if source.file is not None:
            text = document[sources.FILES][source.file] if source.code is None else source.code
            found.setdefault(sources.FILES, {})[source.file] = text
        elif source.name == sources.JOINED:
            continue  # a copy of the programs that the optimizer's kwargs name by their jobs
        elif source.name == sources.INITIAL:
            found["initial"] = {"program_state": document[source.name]}
        else:
            found[_FIELDS[source.name]] = document[source.name] if source.code is None else source.code
    return found


def _optimizer(optimizer: Json) -> dict[str, Any]:
    return {
        "optimizer_name": optimizer["name"],
        "optimizer_kwargs": optimizer.get("kwargs") or {},
        "compile_kwargs": optimizer.get("compileKwargs") or {},
    }


def _rows(dataset: Json, document: Json) -> Any:
    if dataset.get("rows"):
        return dataset["rows"]
    if not dataset.get("payload"):
        raise elsewhere("spec.dataset")
    return document["rows"]


def _columns(columns: Json | None) -> dict[str, Any]:
    if columns is None:
        return {}
    outputs = {**(columns.get("outputs") or {}), **dict.fromkeys(columns.get("withoutGold") or ())}
    return {"column_mapping": {"inputs": columns["inputs"], "outputs": outputs}}


def _split(split: Json, seed: int) -> dict[str, Any]:
    column = {"split_column": split["column"]} if split.get("column") else {}
    shares = {name: float(split[name]) for name in ("train", "val", "test") if name in split}
    return {"split_fractions": shares, "shuffle": split.get("shuffle", True), "seed": seed, **column}


def elsewhere(path: str) -> NoPayload:
    return NoPayload(
        f"The job was made as a resource, whose {path} lies in a ConfigMap or at a URI, which this API does not read: "
        "kubectl get optimizationjob shows it."
    )


_RUN = {
    "name": "name",
    "note": "note",
    "priority": "priority",
    "deadlineSeconds": "deadline_seconds",
    "retries": "retries",
    "ttlSeconds": "ttl_seconds",
    "require": "require",
    "threads": "threads",
    "hedge": "hedge",
}


def _run_options(run: Json, labels: Mapping[str, str]) -> dict[str, Any]:
    own = f"{names.GROUP}/"
    options: dict[str, Any] = {"labels": {key: value for key, value in labels.items() if not key.startswith(own)}}
    options |= {option: run[name] for name, option in _RUN.items() if run.get(name) is not None}
    if run.get("maxFailedRows") is not None:
        options["max_failed_rows"] = float(run["maxFailedRows"])
    return options


def _models(spec: Json) -> dict[str, Any]:
    roles = {RunRequest.model_field(role): _model(model) for role, model in spec["models"].items()}
    further = {name: _model(model) for name, model in (spec.get("modelConfigs") or {}).items()}
    return roles | ({"model_configs": further} if further else {})


_MODEL = {"name": "name", "baseUrl": "base_url", "modelType": "model_type", "maxTokens": "max_tokens", "extra": "extra"}


def _model(model: Json) -> dict[str, Any]:
    config: dict[str, Any] = {field: model[name] for name, field in _MODEL.items() if model.get(name)}
    if "temperature" in model:
        none = model["temperature"] == NO_TEMPERATURE
        config["temperature"] = None if none else float(model["temperature"])
    if model.get("topP") is not None:
        config["top_p"] = float(model["topP"])
    if model.get("prices"):
        config["prices"] = {name: float(price) for name, price in model["prices"].items()}
    return config


def _blanked(spec: Json) -> Iterator[str]:
    for name, model in [*spec["models"].items(), *(spec.get("modelConfigs") or {}).items()]:
        if model.get("credentialsFrom") or model.get("keyFrom"):
            yield RunRequest.model_field(name)
    yield from (f"secrets.{name}" for name in spec.get("secrets") or ())
