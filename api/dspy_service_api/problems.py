"""Errors become HTTP here and nowhere else: one table from the errors of the domain and the cluster to answers.

Every error body has `detail`; a 422 names fields besides. What a client cannot mend never shows it our insides: an
unforeseen error is a 500 with the request's id, under which the log has the traceback.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from dspy_service_api.memory import Busy
from dspy_service_core import errors
from dspy_service_core.kube import errors as kube

log = logging.getLogger(__name__)

JSON = "application/json"


class BodyTooLarge(Exception):
    """Raised while the body is read, and answered by the guard alone, which must let the rest of it run out."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than this service's limit of {limit} bytes.")


@dataclass(frozen=True, slots=True)
class Problem:
    """`again`: trying again later may help, so the answer says when."""

    status: int
    body: Mapping[str, Any]
    again: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


Rule = Callable[[Any], Problem]


def _says(status: int, *, again: bool = False) -> Rule:
    return lambda exc: Problem(status, {"detail": str(exc)}, again)


def _invalid(exc: errors.InvalidRequest) -> Problem:
    fields = [{"field": p.field, "message": p.message, "type": p.type} for p in exc.problems]
    return Problem(422, {"error": "invalid_request", "detail": fields})


def _invalid_query(exc: RequestValidationError) -> Problem:
    """Query and path parameters, the only things that FastAPI validates here."""
    fields = [{"field": ".".join(map(str, e["loc"][1:])), "message": e["msg"], "type": e["type"]} for e in exc.errors()]
    return Problem(422, {"error": "invalid_request", "detail": fields})


def _store(exc: errors.StoreError) -> Problem:
    return Problem(503, {"detail": f"The store cannot serve this: {exc}."}, again=True)


def _cluster(exc: errors.ClusterUnavailable) -> Problem:
    return Problem(503, {"detail": str(exc)}, again=True)


def _kube_unavailable(exc: kube.KubeError) -> Problem:
    return Problem(503, {"detail": f"The cluster cannot serve this: {exc}."}, again=True)


def _kube_refused(exc: kube.KubeError) -> Problem:
    """Quotas, policies and missing rights: nothing that the request itself could mend."""
    return Problem(503, {"detail": f"The cluster refuses this: {exc}."}, again=True)


def _kube_invalid(exc: kube.KubeError) -> Problem:
    return Problem(400, {"detail": f"The cluster takes no such job: {exc}."})


def _http(exc: HTTPException) -> Problem:
    return Problem(exc.status_code, {"detail": exc.detail}, headers=exc.headers or {})


RULES: dict[type[Exception], Rule] = {
    errors.InvalidRequest: _invalid,
    RequestValidationError: _invalid_query,
    errors.UnusableRequest: _says(400),
    errors.JobNotFound: _says(404),
    errors.JobNotFinished: _says(409),
    errors.NoArtifact: _says(404),
    errors.IdempotencyConflict: _says(409),
    BodyTooLarge: _says(413),
    Busy: _says(503, again=True),
    errors.StoreError: _store,
    errors.ClusterUnavailable: _cluster,
    kube.Invalid: _kube_invalid,
    kube.BadRequest: _kube_invalid,
    kube.TooLarge: _kube_invalid,
    kube.Forbidden: _kube_refused,
    kube.Unauthorized: _kube_refused,
    kube.KubeError: _kube_unavailable,
    HTTPException: _http,
}


def problem_of(exc: Exception) -> Problem:
    """The rule of the nearest class; an error without one is our own fault."""
    for kind in type(exc).__mro__:
        if issubclass(kind, Exception) and (rule := RULES.get(kind)):
            return rule(exc)
    return Problem(
        500, {"detail": "Something went wrong inside the service; its log tells more under this request's id."}
    )


def answer(problem: Problem, retry_after: int) -> Response:
    headers = {**problem.headers, "Retry-After": str(retry_after)} if problem.again else dict(problem.headers)
    return Response(orjson.dumps(problem.body), problem.status, headers, JSON)


def install(app: FastAPI, retry_after: int) -> None:
    async def handle(request: Request, exc: Exception) -> Response:
        problem = problem_of(exc)
        if problem.status >= 500:
            told = {"request_id": request.state.request_id}
            log.warning("%s %s: %s", request.method, request.url.path, exc, extra=told)
        return answer(problem, retry_after)

    for kind in RULES.keys() - {BodyTooLarge, Busy} | {errors.ServiceError}:
        app.add_exception_handler(kind, handle)
