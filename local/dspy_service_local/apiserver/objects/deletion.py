"""DELETE: at once, or marked and left to whoever holds the object (finalizers, a pod's node, a namespace's contents).

`garbage` does the rest: dependents, contents and what a kill left half-done.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from dspy_service_core import nesting
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import NAMESPACES
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.kinds.kinds import Kind, Propagation
from dspy_service_local.apiserver.objects.operations import Operations
from dspy_service_local.apiserver.storage.rows import Row

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    propagation: Propagation | None = None
    grace_period_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False

    @classmethod
    def of(cls, body: object, query: dict[str, str]) -> "DeleteOptions":
        """From the body or the query, as both are allowed."""
        given: dict[str, Any] = body if isinstance(body, dict) else {}
        preconditions = given.get("preconditions") or {}
        grace = given.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
        propagation: Any = given.get("propagationPolicy") or query.get("propagationPolicy")
        if propagation is None and str(given.get("orphanDependents", query.get("orphanDependents"))).lower() == "true":
            propagation = "Orphan"
        if propagation not in (None, "Background", "Foreground", "Orphan"):
            raise refusals.bad_request(f"propagationPolicy: Unsupported value: {refusals.quoted(propagation)}")
        return cls(
            propagation,
            _seconds(grace) if grace is not None else None,
            str(preconditions.get("uid") or ""),
            str(preconditions.get("resourceVersion") or ""),
            bool(given.get("dryRun") or query.get("dryRun")),
        )


def _seconds(given: object) -> int:
    if not str(given).isdecimal():
        raise refusals.bad_request(
            f"gracePeriodSeconds: Invalid value: {refusals.quoted(given)}: must be a whole number"
        )
    return int(str(given))


def delete(operations: Operations, kind: Kind, namespace: str, name: str, options: DeleteOptions) -> bytes:
    """The answer's body: the object while it lives on (or where the kind says so), else a Status."""
    row = operations.read(kind, namespace, name)
    obj = nesting.loads(row.body)
    _check_preconditions(kind, obj["metadata"], options)
    finalizers = _finalizers(kind, obj, options)
    grace = kind.grace(obj, options.grace_period_seconds)
    if options.dry_run:
        return row.body if kind.answers_deleted else success(kind, obj)
    if finalizers or grace or _holds_contents(kind, obj):
        return _mark(operations, kind, row, obj, grace, finalizers)
    last = operations.remove(kind, row, obj)
    return last if kind.answers_deleted else success(kind, obj)


def _mark(operations: Operations, kind: Kind, row: Row, obj: Object, grace: int, finalizers: list[str]) -> bytes:
    """A second DELETE may shorten the grace period and nothing else."""
    metadata = obj["metadata"]
    if "deletionTimestamp" in metadata and grace >= metadata.get("deletionGracePeriodSeconds", 0):
        grace = metadata.get("deletionGracePeriodSeconds", 0)
    return operations.mark_deleted(kind, row, obj, grace, finalizers)


def _finalizers(kind: Kind, obj: Object, options: DeleteOptions) -> list[str]:
    """The propagation policy is carried out by finalizers of its own; background needs none."""
    held = [item for item in obj["metadata"].get("finalizers") or () if item not in (FOREGROUND, ORPHAN)]
    if options.propagation is None:
        kept = [item for item in obj["metadata"].get("finalizers") or () if item in (FOREGROUND, ORPHAN)]
        return held + (kept or ([ORPHAN] if kind.propagation == "Orphan" else []))
    return held + {"Foreground": [FOREGROUND], "Orphan": [ORPHAN], "Background": []}[options.propagation]


def _holds_contents(kind: Kind, obj: Object) -> bool:
    return kind.resource == NAMESPACES and bool((obj.get("spec") or {}).get("finalizers"))


def _check_preconditions(kind: Kind, metadata: dict[str, Any], options: DeleteOptions) -> None:
    if options.uid and options.uid != metadata["uid"]:
        why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {metadata['uid']}"
        raise refusals.conflict(kind.resource, metadata["name"], why)
    if options.resource_version and options.resource_version != metadata["resourceVersion"]:
        why = (
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version},"
            f" ResourceVersion in object meta: {metadata['resourceVersion']}"
        )
        raise refusals.conflict(kind.resource, metadata["name"], why)


def success(kind: Kind, obj: Object) -> bytes:
    metadata = obj["metadata"]
    details = {"name": metadata["name"], "group": kind.resource.group, "kind": kind.plural, "uid": metadata["uid"]}
    return orjson.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Success",
            "details": {key: value for key, value in details.items() if value},
        }
    )
