"""What an update may change and what it means, decided from the old object and the new one. Pure."""

from typing import Any

import orjson

from dspy_service_core import nesting
from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.objects import objects

_MOST_BYTES = 1536 * 1024
"""etcd's default limit of a request, which bounds every object."""


def require_known(kind: Kind, metadata: dict[str, Any], old: dict[str, Any], *, patches: bool) -> None:
    """The client's idea of which object this is, and of its state, must be true where it has one.

    An update that means another object comes too late (a conflict); a patch that says so asks for a change of it.
    """
    name = old["name"]
    uid = metadata.get("uid")
    if uid and uid != old["uid"] and not patches:
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['uid']}"
        raise refusals.conflict(kind.resource, name, why)
    if (version := metadata.get("resourceVersion")) and version != old["resourceVersion"]:
        raise refusals.modified(kind.resource, name)
    if uid and uid != old["uid"]:
        problem = refusals.invalid_value("metadata.uid", uid, "field is immutable")
        raise refusals.invalid(kind.resource, name, [problem])


def within_subresource(kind: Kind, new: Object, old: Object, subresource: str, applies: bool) -> Object:
    """A write reaches either the status or everything else."""
    if subresource == "status":
        kept = old | {"metadata": dict(old["metadata"])}
        if applies:
            kept["metadata"]["managedFields"] = new["metadata"]["managedFields"]
        return _with_status(kept, new)
    new["metadata"] = objects.carried_over(new["metadata"], old["metadata"], applies=applies)
    return _with_status(new, old) if kind.has_status else new


def _with_status(obj: Object, source: Object) -> Object:
    obj.pop("status", None)
    if source.get("status") is not None:
        obj["status"] = source["status"]
    return obj


def spec_differs(new: Object, old: Object) -> bool:
    ignored = ("metadata", "status")
    keys = (new.keys() | old.keys()) - set(ignored)
    return any(new.get(key) != old.get(key) for key in keys)


def is_done(obj: Object) -> bool:
    metadata = obj["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    holds_contents = obj["kind"] == "Namespace" and (obj.get("spec") or {}).get("finalizers")
    return not holds_contents and not metadata.get("deletionGracePeriodSeconds")


def dumped(kind: Kind, obj: Object) -> bytes:
    """A copy, because orjson's own bytes keep a buffer of four times their size, and watches keep bodies."""
    try:
        body = bytes(memoryview(orjson.dumps(obj)))
    except TypeError as exc:
        raise refusals.bad_request(f"the object cannot be stored: {exc}") from exc
    if nesting.may_be_deep(body) and nesting.deeper_than(obj, nesting.CUT_DEPTH):
        raise refusals.bad_request(f"the object cannot be stored: it has more than {nesting.CUT_DEPTH} levels")
    if len(body) > _MOST_BYTES:
        raise refusals.too_large(f"{kind.resource.kind} is too large: {len(body)} bytes, the limit is {_MOST_BYTES}")
    return body
