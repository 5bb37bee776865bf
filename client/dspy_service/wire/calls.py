"""Every endpoint as a value: what to send, and how to read what comes back. No I/O: both clients send these."""

import os
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

from dspy_service import answers, reading
from dspy_service.errors import UnexpectedAnswer
from dspy_service.files.local_services import found_token
from dspy_service.payload.json_values import json_value

T = TypeVar("T")
Headers = Mapping[str, str]
Stream = Literal["logs", "events"]
Verb = Literal["cancel", "stop", "pause", "resume"]

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
        accepted = reading.read(answers.Accepted, data)
        return replace(accepted, warning=headers.get("warning"))

    key = idempotency_key or str(uuid.uuid4())
    return Call("POST", "/run", read_accepted, json=json_value(payload), headers={"Idempotency-Key": key})


def estimate(payload: Mapping[str, Any]) -> Call[answers.DryRun]:
    return Call("POST", "/run", _one(answers.DryRun), {"dry_run": "true"}, json=json_value(payload))


def payload(job_id: str) -> Call[dict[str, Any]]:
    def read_payload(data: Any, _headers: Headers) -> dict[str, Any]:
        if not isinstance(data, dict):
            raise UnexpectedAnswer("The service's answer is no payload.")
        return data

    return Call("GET", job_path(job_id, "payload"), read_payload)


def job(job_id: str) -> Call[answers.Job]:
    return Call("GET", job_path(job_id), _one(answers.Job))


def summary(job_id: str) -> Call[answers.Summary]:
    return Call("GET", job_path(job_id, "summary"), _one(answers.Summary))


def log_page(job_id: str, after: int, limit: int) -> Call[tuple[answers.LogEntry, ...]]:
    params = {"after": after, "limit": limit}
    return Call("GET", job_path(job_id, "logs"), _many(answers.LogEntry), params)


def event_page(job_id: str, after: int, limit: int) -> Call[tuple[answers.Event, ...]]:
    params = {"after": after, "limit": limit}
    return Call("GET", job_path(job_id, "events"), _many(answers.Event), params)


def candidate_page(job_id: str, after: int, limit: int) -> Call[tuple[answers.Candidate, ...]]:
    params = {"after": after, "limit": limit}
    return Call("GET", job_path(job_id, "candidates"), _many(answers.Candidate), params)


def row_page(job_id: str, which: str, after: int | None, limit: int) -> Call[tuple[answers.Row, ...]]:
    params = {"which": which, "limit": limit} | ({} if after is None else {"after": after})
    return Call("GET", job_path(job_id, "rows"), _many(answers.Row), params)


def artifact(job_id: str, best: bool = False) -> Call[answers.Artifact]:
    def read_artifact(data: Any, _headers: Headers) -> answers.Artifact:
        found = data.get("program_artifact") if isinstance(data, dict) else None
        named = {"path": data.get("program_artifact_path"), **found} if isinstance(found, dict) else None
        return reading.read(answers.Artifact, named)

    return Call("GET", job_path(job_id, "artifact"), read_artifact, {"best": "true"} if best else {})


def delete(job_id: str) -> Call[answers.RecordKept | None]:
    def read_kept(data: Any, _headers: Headers) -> answers.RecordKept | None:
        return None if data is None else reading.read(answers.RecordKept, data)

    return Call("DELETE", job_path(job_id), read_kept)


def control(job_id: str, verb: Verb) -> Call[answers.Summary]:
    return Call("POST", job_path(job_id, verb), _one(answers.Summary))


def jobs(
    status: str | None = None,
    optimizer: str | None = None,
    label: str | None = None,
    verdict: str | None = None,
    name: str | None = None,
    words: str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[answers.JobPage]:
    asked = {
        "status": status,
        "optimizer": optimizer,
        "label": label,
        "verdict": verdict,
        "name": name,
        "words": words,
        "limit": limit,
        "cursor": cursor,
    }
    params = {name: value for name, value in asked.items() if value is not None}
    return Call("GET", "/jobs", _one(answers.JobPage), params)


def health() -> Call[answers.Health]:
    return Call("GET", "/health", _one(answers.Health))


def catalogue() -> Call[answers.Catalogue]:
    return Call("GET", "/catalogue", _one(answers.Catalogue))


def packages() -> Call[tuple[str, ...] | None]:
    def read_packages(data: Any, _headers: Headers) -> tuple[str, ...] | None:
        found = data.get("packages") if isinstance(data, Mapping) else None
        return tuple(map(str, found)) if isinstance(found, Mapping) else None

    return Call("GET", "/catalogue", read_packages)


def job_path(job_id: str, *below: str) -> str:
    return "/".join(["/jobs", quote(job_id, safe=""), *below])


def _one(kind: type[T]) -> Callable[[Any, Headers], T]:
    return lambda data, _headers: reading.read(kind, data)


def _many(kind: type[T]) -> Callable[[Any, Headers], tuple[T, ...]]:
    return lambda data, _headers: tuple(reading.entry(kind, item) for item in _list(data))


def _list(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise UnexpectedAnswer("The service's answer is no list.")
    return data
