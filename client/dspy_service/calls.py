"""Every endpoint as a value: what to send, and how to read what comes back. No I/O: both clients send these."""

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from . import answers
from .errors import (
    DspyServiceError,
    FieldProblem,
    IdempotencyConflict,
    InvalidPayload,
    NoArtifact,
    NotAllowed,
    NotFinished,
    PayloadTooLarge,
    ServiceUnavailable,
    UnexpectedAnswer,
    UnknownJob,
    UnusablePayload,
)
from .local_services import found_token

T = TypeVar("T")
Headers = Mapping[str, str]
Stream = Literal["logs", "events"]

URL_VARIABLE = "DSPY_SERVICE_URL"
TOKEN_VARIABLE = "DSPY_SERVICE_TOKEN"
DEFAULT_URL = "http://127.0.0.1:8000"
RETRIED_STATUSES = frozenset({502, 503, 504})


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    method: str
    path: str
    read: Callable[[Any, Headers], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None
    headers: Headers = field(default_factory=dict)


def service_url(given: str | None) -> str:
    return (given or os.environ.get(URL_VARIABLE) or DEFAULT_URL).rstrip("/")


@dataclass(frozen=True, slots=True)
class Access:
    """What a client sends with every request, and whether the environment's proxies may see it."""

    headers: Headers
    trust_env: bool = True


def access(url: str, token: str | None) -> Access:
    """A given token first; one that was found is for the service that made it, on this machine, and nobody between."""
    if given := token or os.environ.get(TOKEN_VARIABLE):
        return Access(_bearer(given))
    found = found_token(url)
    return Access(_bearer(found), trust_env=False) if found else Access({})


def _bearer(token: str) -> Headers:
    return {"Authorization": f"Bearer {token}"}


def submit(payload: Mapping[str, Any], idempotency_key: str | None = None) -> Call[answers.Accepted]:
    """A key of its own by default: the client may then send it again without making a second job."""

    def read_accepted(data: Any, headers: Headers) -> answers.Accepted:
        accepted = answers.read(answers.Accepted, data)
        return replace(accepted, warning=headers.get("warning"))

    key = idempotency_key or str(uuid.uuid4())
    return Call("POST", "/run", read_accepted, json=payload, headers={"Idempotency-Key": key})


def job(job_id: str) -> Call[answers.Job]:
    return Call("GET", _job_path(job_id), _one(answers.Job))


def summary(job_id: str) -> Call[answers.Summary]:
    return Call("GET", _job_path(job_id, "summary"), _one(answers.Summary))


def log_page(job_id: str, after: int, limit: int) -> Call[tuple[answers.LogEntry, ...]]:
    params = {"after": after, "limit": limit}
    return Call("GET", _job_path(job_id, "logs"), _many(answers.LogEntry), params)


def event_page(job_id: str, after: int, limit: int) -> Call[tuple[answers.Event, ...]]:
    params = {"after": after, "limit": limit}
    return Call("GET", _job_path(job_id, "events"), _many(answers.Event), params)


def artifact(job_id: str) -> Call[answers.Artifact]:
    def read_artifact(data: Any, _headers: Headers) -> answers.Artifact:
        found = data.get("program_artifact") if isinstance(data, dict) else None
        named = {"path": data.get("program_artifact_path"), **found} if isinstance(found, dict) else None
        return answers.read(answers.Artifact, named)

    return Call("GET", _job_path(job_id, "artifact"), read_artifact)


def delete(job_id: str) -> Call[answers.RecordKept | None]:
    def read_kept(data: Any, _headers: Headers) -> answers.RecordKept | None:
        return None if data is None else answers.read(answers.RecordKept, data)

    return Call("DELETE", _job_path(job_id), read_kept)


def jobs(
    status: str | None = None,
    optimizer: str | None = None,
    label: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.JobPage]:
    asked = {"status": status, "optimizer": optimizer, "label": label, "limit": limit, "cursor": cursor}
    params = {name: value for name, value in asked.items() if value is not None}
    return Call("GET", "/jobs", _one(answers.JobPage), params)


def health() -> Call[answers.Health]:
    return Call("GET", "/health", _one(answers.Health))


def _job_path(job_id: str, *below: str) -> str:
    return "/".join(["/jobs", quote(job_id, safe=""), *below])


def _one(kind: type[T]) -> Callable[[Any, Headers], T]:
    return lambda data, _headers: answers.read(kind, data)


def _many(kind: type[T]) -> Callable[[Any, Headers], tuple[T, ...]]:
    return lambda data, _headers: tuple(answers.entry(kind, item) for item in _list(data))


def _list(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise UnexpectedAnswer("The service's answer is no list.")
    return data


def error_of(call: Call[Any], status: int, data: Any, headers: Headers) -> DspyServiceError:
    """The error that an answer other than 2xx means. The contract's table, read backwards."""
    detail = data.get("detail") if isinstance(data, dict) else None
    message = detail if isinstance(detail, str) else f"{call.method} {call.path} answered {status}"
    match status:
        case 422 if isinstance(detail, list):
            return InvalidPayload(tuple(_problem(item) for item in detail))
        case 400 | 422:
            return UnusablePayload(message)
        case 401 | 403:
            return NotAllowed(message)
        case 404:
            return NoArtifact(message) if "artifact" in message.lower() else UnknownJob(message)
        case 409:
            return IdempotencyConflict(message) if call.method == "POST" else NotFinished(message)
        case 413:
            return PayloadTooLarge(message)
        case 503:
            return ServiceUnavailable(message, retry_after(headers))
    return UnexpectedAnswer(message)


def _problem(item: Any) -> FieldProblem:
    said = item if isinstance(item, dict) else {"message": item}
    return FieldProblem(str(said.get("field", "")), str(said.get("message", "")), str(said.get("type", "")))


def retry_after(headers: Headers) -> float | None:
    try:
        return float(headers["retry-after"])
    except (KeyError, ValueError):
        return None
