"""PATCH: which format it is, and the operation it comes down to."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.kinds.kinds import Kind
from dspy_service_local.apiserver.objects import apply, objects, patches
from dspy_service_local.apiserver.objects.operations import Operations, Options, Written
from dspy_service_local.apiserver.storage.rows import Key

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
MEDIA_TYPES = (JSON, MERGE, STRATEGIC, APPLY)

_PATCHED: Mapping[str, Callable[[Object, Any], Any]] = {
    MERGE: patches.merge,
    JSON: patches.json_patch,
    STRATEGIC: patches.strategic,
}


def patch(
    operations: Operations,
    kind: Kind,
    namespace: str,
    name: str,
    media_type: str,
    body: Any,
    options: Options,
    *,
    force: bool = False,
) -> Written:
    options = replace(options, patches=True)
    if media_type == APPLY:
        return _apply(operations, kind, namespace, name, body, options, force=force)
    if media_type not in _PATCHED or (kind.custom and media_type == STRATEGIC):
        known = [known for known in MEDIA_TYPES if not (kind.custom and known == STRATEGIC)]
        raise refusals.unsupported_media_type(known)
    if media_type != JSON and not isinstance(body, dict):
        raise refusals.bad_request("the patch must be a JSON object")
    patched = _PATCHED[media_type]
    return operations.update(kind, namespace, name, lambda old: patched(old, body), options)


def _apply(
    operations: Operations, kind: Kind, namespace: str, name: str, body: Any, options: Options, *, force: bool
) -> Written:
    if not isinstance(body, dict) or "apiVersion" not in body or "kind" not in body:
        raise refusals.bad_request("an apply patch must be an object with apiVersion and kind")
    if (body["apiVersion"], body["kind"]) != (kind.resource.api_version, kind.resource.kind):
        raise refusals.bad_request(f"invalid object type: {body['apiVersion']}, Kind={body['kind']}")
    config = objects.checked_body(kind, body)
    objects.place(config["metadata"], kind.resource.namespaced, namespace, name)
    options = replace(options, applies=True)
    now, manager = operations.now(), options.field_manager

    def change(old: Object | None) -> Object:
        return apply.applied(kind, old, config, manager, options.subresource, force, now)

    if operations.storage.get(Key(kind.id, namespace, name)) is not None:
        return operations.update(kind, namespace, name, change, options)
    if options.subresource:
        raise refusals.not_found(kind.resource, name)
    return operations.create(kind, namespace, change(None), options)
