"""The one place that turns errors into HTTP: a table from the errors of the domain and the cluster to answers.

Every error body has `detail` and one of the codes of `error_codes.py`; a 422 names the fields as well. An unforeseen
error shows clients nothing of our internals: it is a 500 with the request's id, under which the log has the traceback.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dspy_service_api.answers import error_codes
from dspy_service_api.answers.error_codes import ErrorCode
from dspy_service_api.answers.schemas.errors import Error, FieldProblem, InvalidRequest
from dspy_service_api.http.media import NotJson
from dspy_service_api.serve.memory import Busy
from dspy_service_api.serve.streams import TooManyStreams
from dspy_service_api.submit.earlier_jobs import NotPermitted
from dspy_service_core import errors
from dspy_service_core.kube import errors as kube
from dspy_service_core.resource.status import StatusWord

log = logging.getLogger(__name__)

JSON = "application/json"
UNFORESEEN = "Something went wrong inside the service; its log tells more under this request's id."


class BodyTooLarge(Exception):
    """Raised while the body is read. Only `middleware/body_limit.py` answers it, because it also reads the rest."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than this service's limit of {limit} bytes.")


@dataclass(frozen=True, slots=True)
class Problem:
    """`detail` is a sentence, or, for a malformed request, the list of everything that is wrong with it."""

    code: ErrorCode
    detail: str | list[FieldProblem]
    headers: Mapping[str, str] = field(default_factory=dict)
    status: StatusWord | None = None
    """The job's, where that is why the request is refused."""

    @property
    def body(self) -> Error | InvalidRequest:
        if isinstance(self.detail, str):
            body: Error = {"detail": self.detail, "code": self.code.code}
            return body if self.status is None else {**body, "status": self.status}
        return {"error": "invalid_request", "detail": self.detail, "code": "invalid_request"}


SLOW_READER = Problem(
    error_codes.SLOW_READER, "The stream was read too slowly. Go on from the last id that came, by Last-Event-ID."
)


Rule = Callable[[Any], Problem]


def _says(code: ErrorCode, sentence: str = "{}") -> Rule:
    return lambda exc: Problem(code, sentence.format(exc))


def _invalid(exc: errors.InvalidRequest) -> Problem:
    fields: list[FieldProblem] = [{"field": p.field, "message": p.message, "type": p.type} for p in exc.problems]
    return Problem(error_codes.INVALID_REQUEST, fields)


def _invalid_query(exc: RequestValidationError) -> Problem:
    """For query and path parameters, which are all that FastAPI validates here."""
    fields: list[FieldProblem] = [
        {"field": ".".join(map(str, e["loc"][1:])), "message": e["msg"], "type": e["type"]} for e in exc.errors()
    ]
    return Problem(error_codes.INVALID_REQUEST, fields)


def _ended(exc: errors.JobEnded) -> Problem:
    return Problem(error_codes.JOB_ENDED, str(exc), status=cast(StatusWord, exc.status))


_OF_THE_FRAMEWORK = {code.status: code for code in (error_codes.UNKNOWN_PATH, error_codes.WRONG_METHOD)}


def _http(exc: HTTPException) -> Problem:
    """Raised by the router, and by our own routes for a path under which there is nothing."""
    code = _OF_THE_FRAMEWORK.get(exc.status_code, error_codes.INTERNAL_ERROR)
    return Problem(code, exc.detail, exc.headers or {})


_INVALID_FOR_CLUSTER = _says(error_codes.RESOURCE_REFUSED, "The cluster takes no such job: {}.")
_REFUSED_BY_CLUSTER = _says(error_codes.CLUSTER_REFUSED, "The cluster refuses this: {}.")
"""Quotas, policies and missing rights: changing the request would not help."""

RULES: dict[type[Exception], Rule] = {
    errors.InvalidRequest: _invalid,
    RequestValidationError: _invalid_query,
    errors.UnusableRequest: _says(error_codes.UNUSABLE_REQUEST),
    errors.JobNotFound: _says(error_codes.UNKNOWN_JOB),
    NotPermitted: _says(error_codes.FORBIDDEN),
    errors.JobNotFinished: _says(error_codes.NOT_FINISHED),
    errors.NoBestYet: _says(error_codes.NO_BEST_YET),
    errors.JobEnded: _ended,
    errors.NoArtifact: _says(error_codes.NO_ARTIFACT),
    errors.NoPayload: _says(error_codes.NO_PAYLOAD),
    errors.IdempotencyConflict: _says(error_codes.IDEMPOTENCY_CONFLICT),
    errors.NameTaken: _says(error_codes.NAME_TAKEN),
    BodyTooLarge: _says(error_codes.BODY_TOO_LARGE),
    NotJson: _says(error_codes.NOT_JSON),
    Busy: _says(error_codes.BUSY),
    TooManyStreams: _says(error_codes.TOO_MANY_STREAMS),
    errors.StoreError: _says(error_codes.STORE_UNAVAILABLE, "The store cannot serve this: {}."),
    errors.ClusterUnavailable: _says(error_codes.CLUSTER_UNAVAILABLE),
    kube.Invalid: _INVALID_FOR_CLUSTER,
    kube.BadRequest: _INVALID_FOR_CLUSTER,
    kube.TooLarge: _INVALID_FOR_CLUSTER,
    kube.Forbidden: _REFUSED_BY_CLUSTER,
    kube.Unauthorized: _REFUSED_BY_CLUSTER,
    kube.KubeError: _says(error_codes.CLUSTER_UNAVAILABLE, "The cluster cannot serve this: {}."),
    HTTPException: _http,
}


def problem_of(exc: Exception) -> Problem:
    """By the rule of the nearest base class; an error without a rule is our own fault."""
    for kind in type(exc).__mro__:
        if issubclass(kind, Exception) and (rule := RULES.get(kind)):
            return rule(exc)
    return Problem(error_codes.INTERNAL_ERROR, UNFORESEEN)


def answer(problem: Problem, retry_after: int) -> Response:
    headers = {**problem.headers, "Retry-After": str(retry_after)} if problem.code.again else dict(problem.headers)
    return Response(orjson.dumps(problem.body), problem.code.status, headers, JSON)


def install(app: FastAPI, retry_after: int) -> None:
    async def handle(request: Request, exc: Exception) -> Response:
        problem = problem_of(exc)
        if problem.code.status >= 500:
            told = {"request_id": request.state.request_id}
            log.warning("%s %s: %s", request.method, request.url.path, exc, extra=told)
        return answer(problem, retry_after)

    for kind in RULES.keys() - {BodyTooLarge, Busy} | {errors.ServiceError}:
        app.add_exception_handler(kind, handle)
