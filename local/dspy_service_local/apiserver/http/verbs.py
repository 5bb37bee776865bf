"""The writing verbs over HTTP: request in, operation called, bytes out."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import orjson

from dspy_service_core.kube import errors
from dspy_service_core.kube.protocol import Object
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.http.requests import Request, parsed_body
from dspy_service_local.apiserver.objects.deletion import DeleteOptions, delete
from dspy_service_local.apiserver.objects.listing import first_page
from dspy_service_local.apiserver.objects.operations import Operations, Options, Written
from dspy_service_local.apiserver.objects.patching import patch
from dspy_service_local.apiserver.routes import Target
from dspy_service_local.apiserver.storage.selectors import select

Verb = Callable[[Operations, Request, Target, Options], Written]


def _create(operations: Operations, request: Request, target: Target, options: Options) -> Written:
    if target.name:
        raise refusals.method_not_allowed()
    target.require_namespace()
    return operations.create(target.kind, target.namespace, parsed_body(request), options)


def _replace(operations: Operations, request: Request, target: Target, options: Options) -> Written:
    _require_object(target)
    body = parsed_body(request)
    return operations.update(target.kind, target.namespace, target.name, lambda old: _replacing(target, body), options)


def _replacing(target: Target, body: object) -> object:
    """A custom resource is never replaced blindly."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if target.kind.custom and not (isinstance(metadata, dict) and metadata.get("resourceVersion")):
        problem = refusals.Problem(
            "metadata.resourceVersion", "FieldValueInvalid", "Invalid value: 0x0: must be specified for an update"
        )
        raise refusals.invalid(target.kind.resource, target.name, [problem])
    return body


def _patch(operations: Operations, request: Request, target: Target, options: Options) -> Written:
    _require_object(target)
    force = request.query.get("force") in ("true", "1")
    if not request.query.get("fieldManager") and request.media_type == "application/apply-patch+yaml":
        options = replace(options, field_manager="")  # an apply must name its manager, the user agent does not do
    return patch(
        operations,
        target.kind,
        target.namespace,
        target.name,
        request.media_type,
        parsed_body(request),
        options,
        force=force,
    )


def _delete(operations: Operations, request: Request, target: Target, options: Options) -> Written:
    if target.subresource:
        raise refusals.method_not_allowed()
    given = DeleteOptions.of(parsed_body(request) if request.body else None, request.query)
    if not target.name:
        return _delete_collection(operations, request, target, given)
    _require_object(target)
    return Written(delete(operations, target.kind, target.namespace, target.name, given))


def _delete_collection(operations: Operations, request: Request, target: Target, options: DeleteOptions) -> Written:
    target.require_namespace()
    kind, query = target.kind, request.query
    fields = frozenset(kind.selectable)
    selection = select(target.namespace or None, query.get("labelSelector", ""), query.get("fieldSelector", ""), fields)
    page = first_page(operations.storage, kind, selection, 0)
    for row in page.rows:
        try:
            delete(operations, kind, row.key.namespace, row.key.name, options)
        except errors.NotFound:
            continue  # went with an object deleted just before
    items: list[Object] = [orjson.loads(row.body) for row in page.rows]
    return Written(
        orjson.dumps(
            {
                "kind": kind.kind_of_list,
                "apiVersion": kind.resource.api_version,
                "metadata": {"resourceVersion": str(page.revision)},
                "items": items,
            }
        )
    )


def _require_object(target: Target) -> None:
    if not target.name:
        raise refusals.method_not_allowed()
    target.require_namespace()


WRITES: Mapping[str, Verb] = {"POST": _create, "PUT": _replace, "PATCH": _patch, "DELETE": _delete}
