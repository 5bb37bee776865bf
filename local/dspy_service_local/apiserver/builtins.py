"""The built-in kinds: what Kubernetes itself sets and checks on them, as far as our code relies on it."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from typing import Any

from dspy_service_core.kube import resources
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver import builtin_columns as columns
from dspy_service_local.apiserver import builtin_schemas as schemas
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.definitions import definition_problems, prepare_definition
from dspy_service_local.apiserver.kinds import Kind
from dspy_service_local.apiserver.refusals import Problem, invalid_value
from dspy_service_local.apiserver.schema import StructuralAdmission

PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)

_DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_TERMINATION_SECONDS = 30
_IMMUTABLE = "field is immutable"

Check = Callable[[Object, Object | None], list[Problem]]
Fill = Callable[[Object], None]


class BuiltinAdmission(StructuralAdmission):
    """The schema, and then what only the kind itself can say."""

    def __init__(self, schema: Mapping[str, Any], check: Check, fill: Fill) -> None:
        super().__init__(schema)
        self._check = check
        self._fill = fill

    def default(self, obj: Object, old: Object | None) -> None:
        super().default(obj, old)
        self._fill(obj)

    def problems(self, obj: Object, old: Object | None) -> list[Problem]:
        return super().problems(obj, old) or self._check(obj, old)


def _nothing_to_check(obj: Object, old: Object | None) -> list[Problem]:
    return []


def _nothing_to_fill(obj: Object) -> None:
    return


def _kind(
    resource: Resource,
    schema: dict[str, Any],
    check: Check = _nothing_to_check,
    fill: Fill = _nothing_to_fill,
    **settings: Any,
) -> Kind:
    admission = BuiltinAdmission(schema, check, fill)
    settings.setdefault("columns", columns.DEFAULT)
    return Kind(resource, resource.kind.lower(), admission, openapi=schema, **settings)


def _prepare_namespace(obj: Object, now: str) -> None:
    metadata = obj["metadata"]
    metadata["labels"] = (metadata.get("labels") or {}) | {"kubernetes.io/metadata.name": metadata["name"]}
    obj["spec"] = {"finalizers": ["kubernetes"]}
    obj["status"] = {"phase": "Active"}


def _prepare_pod(obj: Object, now: str) -> None:
    spec = obj.get("spec")
    if isinstance(spec, dict):
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", _TERMINATION_SECONDS)
    obj["status"] = {"phase": "Pending"}


def _pod_grace(obj: Object, asked: int | None) -> int:
    """A pod that no node has, or that has ended, needs no time to stop."""
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    return asked if asked is not None else int(spec.get("terminationGracePeriodSeconds", _TERMINATION_SECONDS))


def _check_pod(obj: Object, old: Object | None) -> list[Problem]:
    return [] if obj["spec"].get("containers") else [refusals.required("spec.containers")]


def _prepare_job(obj: Object, now: str) -> None:
    spec = obj.get("spec")
    obj.pop("status", None)
    obj["status"] = {}
    if not isinstance(spec, dict) or not isinstance(spec.get("template"), dict):
        return
    spec.setdefault("backoffLimit", 6)
    spec.setdefault("completions", 1)
    spec.setdefault("parallelism", 1)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    spec.setdefault("podReplacementPolicy", "TerminatingOrFailed")
    if not spec.get("manualSelector"):
        _select_own_pods(obj["metadata"], spec)


def _select_own_pods(metadata: dict[str, Any], spec: dict[str, Any]) -> None:
    uid, name = metadata["uid"], metadata["name"]
    template = spec["template"]
    labels = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": name,
        "controller-uid": uid,
        "job-name": name,
    }
    inner = dict(template.get("metadata") or {})
    inner["labels"] = (inner.get("labels") or {}) | labels
    spec["template"] = template | {"metadata": inner}
    spec["selector"] = {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}


def _check_job(obj: Object, old: Object | None) -> list[Problem]:
    spec = obj["spec"]
    pod = spec["template"].get("spec") or {}
    found = []
    if not pod.get("containers"):
        found.append(refusals.required("spec.template.spec.containers"))
    if pod.get("restartPolicy") not in ("Never", "OnFailure"):
        policy = pod.get("restartPolicy", "")
        found.append(refusals.not_supported("spec.template.spec.restartPolicy", policy, ("OnFailure", "Never")))
    for field in ("template", "selector", "completionMode"):
        if old is not None and spec.get(field) != old["spec"].get(field):
            found.append(invalid_value(f"spec.{field}", spec.get(field), _IMMUTABLE))
    return found


def _fill_secret(obj: Object) -> None:
    text = obj.pop("stringData", None)
    if isinstance(text, dict) and text:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in text.items()}
        obj["data"] = (obj.get("data") or {}) | encoded
    obj.setdefault("type", "Opaque")


def _check_secret(obj: Object, old: Object | None) -> list[Problem]:
    for key, value in (obj.get("data") or {}).items():
        try:
            base64.b64decode(value, validate=True)
        except binascii.Error as exc:
            raise refusals.bad_request(
                f'Secret in version "v1" cannot be handled as a Secret: data.{key}: {exc}'
            ) from exc
    found = _check_data(obj, old)
    if old is not None and obj["type"] != old.get("type"):
        found.append(invalid_value("type", obj["type"], _IMMUTABLE))
    return found


def _check_data(obj: Object, old: Object | None) -> list[Problem]:
    why = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'"
    found = [
        invalid_value(f"{section}[{key}]", key, why)
        for section in ("data", "binaryData")
        for key in obj.get(section) or ()
        if not _DATA_KEY.fullmatch(key)
    ]
    if old is None or not old.get("immutable"):
        return found
    return found + [
        refusals.forbidden_field(section, "field is immutable when `immutable` is set")
        for section in ("data", "binaryData", "immutable")
        if obj.get(section) != old.get(section)
    ]


def _check_event(obj: Object, old: Object | None) -> list[Problem]:
    about = (obj.get("involvedObject") or {}).get("namespace", "")
    namespace = obj["metadata"]["namespace"]
    if about and about != namespace:
        return [invalid_value("involvedObject.namespace", about, "does not match event.namespace")]
    return []


def _prepare_claim(obj: Object, now: str) -> None:
    obj["status"] = {"phase": "Pending"}


_ABOUT = ("kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath")
_EVENT_FIELDS = (*(f"involvedObject.{field}" for field in _ABOUT), "reason", "reportingComponent", "source", "type")

BUILTIN: tuple[Kind, ...] = (
    _kind(
        resources.NAMESPACES,
        schemas.NAMESPACE,
        short_names=("ns",),
        subresources=("status",),
        columns=columns.NAMESPACE,
        selectable=("status.phase",),
        label_names=True,
        prepare=_prepare_namespace,
        answers_deleted=True,
    ),
    _kind(
        resources.PODS,
        schemas.POD,
        _check_pod,
        short_names=("po",),
        categories=("all",),
        subresources=("status", "log"),
        columns=columns.POD,
        selectable=("status.phase", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName"),
        prepare=_prepare_pod,
        grace=_pod_grace,
        answers_deleted=True,
    ),
    _kind(resources.CONFIG_MAPS, schemas.CONFIG_MAP, _check_data, short_names=("cm",), columns=columns.CONFIG_MAP),
    _kind(resources.SECRETS, schemas.SECRET, _check_secret, _fill_secret, columns=columns.SECRET, selectable=("type",)),
    _kind(resources.SERVICE_ACCOUNTS, schemas.SERVICE_ACCOUNT, short_names=("sa",), answers_deleted=True),
    _kind(
        resources.PERSISTENT_VOLUME_CLAIMS,
        schemas.CLAIM,
        short_names=("pvc",),
        subresources=("status",),
        columns=columns.CLAIM,
        prepare=_prepare_claim,
        answers_deleted=True,
    ),
    _kind(PERSISTENT_VOLUMES, schemas.VOLUME, short_names=("pv",), subresources=("status",), answers_deleted=True),
    _kind(NODES, schemas.NODE, short_names=("no",), subresources=("status",), columns=columns.NODE),
    _kind(
        resources.EVENTS,
        schemas.EVENT,
        _check_event,
        short_names=("ev",),
        columns=columns.EVENT,
        selectable=_EVENT_FIELDS,
    ),
    _kind(
        resources.JOBS,
        schemas.JOB,
        _check_job,
        categories=("all",),
        subresources=("status",),
        columns=columns.JOB,
        selectable=("status.successful",),
        prepare=_prepare_job,
        counts_generation=True,
        propagation="Orphan",
    ),
    _kind(resources.LEASES, schemas.LEASE, columns=columns.LEASE),
    _kind(
        resources.CUSTOM_RESOURCE_DEFINITIONS,
        schemas.DEFINITION,
        definition_problems,
        short_names=("crd", "crds"),
        categories=("api-extensions",),
        subresources=("status",),
        columns=columns.DEFINITION,
        prepare=prepare_definition,
        counts_generation=True,
    ),
)
