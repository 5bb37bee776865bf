"""Every refusal in Kubernetes' own words, as the exceptions of `kube.errors` with the whole `Status` inside.

All other modules raise what is made here; `http` and `inprocess` answer with the `Status` as it is, so that every
client sees one truth.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_core.kube import errors
from dspy_service_core.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Problem:
    """One cause of a 422: `reason` is a Kubernetes CauseType, `message` goes without the field."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def invalid_value(field: str, value: object, why: str) -> Problem:
    return Problem(field, "FieldValueInvalid", f"Invalid value: {quoted(value)}: {why}")


def required(field: str, why: str = "") -> Problem:
    return Problem(field, "FieldValueRequired", f"Required value: {why}" if why else "Required value")


def not_supported(field: str, value: object, supported: Sequence[object]) -> Problem:
    values = ", ".join(quoted(option) for option in supported)
    return Problem(field, "FieldValueNotSupported", f"Unsupported value: {quoted(value)}: supported values: {values}")


def forbidden_field(field: str, why: str) -> Problem:
    return Problem(field, "FieldValueForbidden", f"Forbidden: {why}")


def duplicate(field: str, value: object) -> Problem:
    return Problem(field, "FieldValueDuplicate", f"Duplicate value: {quoted(value)}")


def quoted(value: object) -> str:
    """A value as Go prints it in field errors: JSON, without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def qualified(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def _details(resource: Resource, name: str) -> dict[str, Any]:
    details = {"name": name, "group": resource.group, "kind": resource.plural}
    return {key: value for key, value in details.items() if value}


def failure(code: int, reason: str, message: str, details: dict[str, Any] | None = None) -> errors.KubeError:
    status: dict[str, Any] = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
    }
    if details:
        status["details"] = details
    return errors.from_status(code, status | {"code": code})


def not_found(resource: Resource, name: str) -> errors.KubeError:
    return failure(404, "NotFound", f'{qualified(resource)} "{name}" not found', _details(resource, name))


def no_such_resource() -> errors.KubeError:
    return failure(404, "NotFound", "the server could not find the requested resource", {})


def already_exists(resource: Resource, name: str) -> errors.KubeError:
    message = f'{qualified(resource)} "{name}" already exists'
    return failure(409, "AlreadyExists", message, _details(resource, name))


def conflict(resource: Resource, name: str, why: str) -> errors.KubeError:
    message = f'Operation cannot be fulfilled on {qualified(resource)} "{name}": {why}'
    return failure(409, "Conflict", message, _details(resource, name))


def modified(resource: Resource, name: str) -> errors.KubeError:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def apply_conflict(causes: list[dict[str, Any]]) -> errors.KubeError:
    """Server-side apply: each cause names the manager and the field it owns."""
    plural = "s" if len(causes) != 1 else ""
    listed = "\n".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    separator = "\n" if len(causes) > 1 else " "
    message = f"Apply failed with {len(causes)} conflict{plural}:{separator}{listed}"
    return failure(409, "Conflict", message, {"causes": causes})


def invalid(resource: Resource, name: str, problems: Sequence[Problem]) -> errors.KubeError:
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    listed = str(problems[0]) if len(problems) == 1 else f"[{', '.join(map(str, problems))}]"
    causes = [{"reason": p.reason, "message": p.message, "field": p.field} for p in problems]
    details = _details(resource, name) | {"kind": resource.kind, "causes": causes}
    return failure(422, "Invalid", f'{kind} "{name}" is invalid: {listed}', details)


def bad_request(message: str) -> errors.KubeError:
    return failure(400, "BadRequest", message)


def unauthorized() -> errors.KubeError:
    return failure(401, "Unauthorized", "Unauthorized")


def forbidden(resource: Resource, name: str, why: str) -> errors.KubeError:
    message = f'{qualified(resource)} "{name}" is forbidden: {why}'
    return failure(403, "Forbidden", message, _details(resource, name))


def method_not_allowed() -> errors.KubeError:
    return failure(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")


def unsupported_media_type(known: Sequence[str]) -> errors.KubeError:
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(known)}"
    return failure(415, "UnsupportedMediaType", message)


def expired(message: str) -> errors.KubeError:
    return failure(410, "Expired", message)


def too_large(message: str) -> errors.KubeError:
    return failure(413, "RequestEntityTooLarge", message)


def too_new(requested: int, current: int) -> errors.KubeError:
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    message = f"Timeout: Too large resource version: {requested}, current: {current}"
    return failure(504, "Timeout", message, {"causes": [cause], "retryAfterSeconds": 1})


def unavailable(message: str) -> errors.KubeError:
    return failure(503, "ServiceUnavailable", message)
