"""The built-in kinds: each row of the table is one, with its schema, its columns and its own behaviour."""

from collections.abc import Callable, Mapping
from typing import Any

from dspy_service_core.kube import resources
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver.admission.schema import StructuralAdmission
from dspy_service_local.apiserver.kinds import (
    builtin_behaviour as behaviour,
    builtin_columns as columns,
    builtin_schemas as schemas,
)
from dspy_service_local.apiserver.kinds.definitions import definition_problems, prepare_definition
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.refusals import Problem

PERSISTENT_VOLUMES = Resource("", "v1", "persistentvolumes", "PersistentVolume", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)


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
        prepare=behaviour.prepare_namespace,
        answers_deleted=True,
    ),
    _kind(
        resources.PODS,
        schemas.POD,
        behaviour.check_pod,
        short_names=("po",),
        categories=("all",),
        subresources=("status", "log"),
        columns=columns.POD,
        selectable=("status.phase", "spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName"),
        prepare=behaviour.prepare_pod,
        grace=behaviour.pod_grace,
        answers_deleted=True,
    ),
    _kind(
        resources.CONFIG_MAPS, schemas.CONFIG_MAP, behaviour.check_data, short_names=("cm",), columns=columns.CONFIG_MAP
    ),
    _kind(
        resources.SECRETS,
        schemas.SECRET,
        behaviour.check_secret,
        behaviour.fill_secret,
        columns=columns.SECRET,
        selectable=("type",),
    ),
    _kind(
        resources.SERVICE_ACCOUNTS,
        schemas.SERVICE_ACCOUNT,
        short_names=("sa",),
        subresources=("token",),
        answers_deleted=True,
    ),
    _kind(resources.ROLES, schemas.ROLE),
    _kind(resources.CLUSTER_ROLES, schemas.ROLE),
    _kind(resources.ROLE_BINDINGS, schemas.ROLE_BINDING),
    _kind(resources.CLUSTER_ROLE_BINDINGS, schemas.ROLE_BINDING),
    _kind(
        resources.PERSISTENT_VOLUME_CLAIMS,
        schemas.CLAIM,
        short_names=("pvc",),
        subresources=("status",),
        columns=columns.CLAIM,
        prepare=behaviour.prepare_claim,
        answers_deleted=True,
    ),
    _kind(PERSISTENT_VOLUMES, schemas.VOLUME, short_names=("pv",), subresources=("status",), answers_deleted=True),
    _kind(NODES, schemas.NODE, short_names=("no",), subresources=("status",), columns=columns.NODE),
    _kind(
        resources.EVENTS,
        schemas.EVENT,
        behaviour.check_event,
        short_names=("ev",),
        columns=columns.EVENT,
        selectable=_EVENT_FIELDS,
    ),
    _kind(
        resources.JOBS,
        schemas.JOB,
        behaviour.check_job,
        categories=("all",),
        subresources=("status",),
        columns=columns.JOB,
        selectable=("status.successful",),
        prepare=behaviour.prepare_job,
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
