"""An answer other than 2xx, as the error that it means: by its `code`, and by its status where no known one came.

Older services send no code, newer ones may send some that are not known here.
"""

from collections.abc import Mapping
from typing import Any

from dspy_service.errors import (
    DspyServiceError,
    FieldProblem,
    IdempotencyConflict,
    InvalidPayload,
    JobEnded,
    NameTaken,
    NoArtifact,
    NoPayload,
    NotAllowed,
    NotFinished,
    PayloadTooLarge,
    ServiceUnavailable,
    UnexpectedAnswer,
    UnknownJob,
    UnusablePayload,
)

BY_CODE: Mapping[str, type[DspyServiceError]] = {
    "malformed_http": UnexpectedAnswer,
    "unusable_request": UnusablePayload,
    "resource_refused": UnusablePayload,
    "not_authenticated": NotAllowed,
    "forbidden": NotAllowed,
    "foreign_host": NotAllowed,
    "foreign_origin": NotAllowed,
    "closed_route": NotAllowed,
    "unknown_job": UnknownJob,
    "no_artifact": NoArtifact,
    "no_payload": NoPayload,
    "unknown_path": UnexpectedAnswer,
    "wrong_method": UnexpectedAnswer,
    "request_timeout": UnexpectedAnswer,
    "not_finished": NotFinished,
    "no_best_yet": NotFinished,
    "job_ended": JobEnded,
    "name_taken": NameTaken,
    "idempotency_conflict": IdempotencyConflict,
    "body_too_large": PayloadTooLarge,
    "not_json": UnexpectedAnswer,
    "invalid_request": InvalidPayload,
    "headers_too_large": UnexpectedAnswer,
    "internal_error": UnexpectedAnswer,
    "busy": ServiceUnavailable,
    "cluster_unavailable": ServiceUnavailable,
    "cluster_refused": ServiceUnavailable,
    "store_unavailable": ServiceUnavailable,
    "too_many_streams": ServiceUnavailable,
    "slow_reader": ServiceUnavailable,
    "too_many_connections": ServiceUnavailable,
    "too_many_ahead": ServiceUnavailable,
}
_BY_STATUS: Mapping[int, type[DspyServiceError]] = {
    400: UnusablePayload,
    401: NotAllowed,
    403: NotAllowed,
    404: UnknownJob,
    409: NotFinished,
    413: PayloadTooLarge,
    422: InvalidPayload,
    503: ServiceUnavailable,
}


def error_of(request: str, status: int, data: Any, headers: Mapping[str, str]) -> DspyServiceError:
    """`request`: its method and path."""
    said = data if isinstance(data, Mapping) else {}
    code, detail = said.get("code"), said.get("detail")
    code = code if isinstance(code, str) else ""
    kind = BY_CODE.get(code) or _of_status(status, request)
    error = _made(kind, detail, f"{request} answered {status}", headers)
    error.code = code
    return error


def _of_status(status: int, request: str) -> type[DspyServiceError]:
    if status == 409 and request.startswith("POST "):
        return IdempotencyConflict
    return _BY_STATUS.get(status, UnexpectedAnswer)


def _made(kind: type[DspyServiceError], detail: Any, otherwise: str, headers: Mapping[str, str]) -> DspyServiceError:
    message = detail if isinstance(detail, str) else otherwise
    if kind is InvalidPayload:
        return InvalidPayload(tuple(map(_problem, detail))) if isinstance(detail, list) else UnusablePayload(message)
    if kind is ServiceUnavailable:
        return ServiceUnavailable(message, retry_after(headers))
    return kind(f"{otherwise}: {detail}" if kind is UnexpectedAnswer and isinstance(detail, str) else message)


def _problem(item: Any) -> FieldProblem:
    said = item if isinstance(item, dict) else {"message": item}
    return FieldProblem(str(said.get("field", "")), str(said.get("message", "")), str(said.get("type", "")))


def retry_after(headers: Mapping[str, str]) -> float | None:
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
