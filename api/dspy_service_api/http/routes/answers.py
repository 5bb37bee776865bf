"""Responses made of encoded answers, and how a route declares its answers and errors for the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

from dspy_service_api.answers import error_codes
from dspy_service_api.answers.error_codes import ErrorCode
from dspy_service_api.answers.schemas.components import reference
from dspy_service_api.answers.schemas.errors import Error, InvalidRequest
from dspy_service_api.http.routes import examples
from dspy_service_api.jobs.record import Json

Declared = dict[int | str, dict[str, Any]]


class Ready(Response):
    media_type = "application/json"


def ready(answer: Json, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    return Ready(answer, status, headers)


def declared(answer: Any, example: Json | Mapping[str, Json], description: str, status: int = 200) -> Declared:
    """`answer` is one of those in `schemas`; several examples have names."""
    named = example if isinstance(example, Mapping) else {"answer": example}
    shown = {name: orjson.loads(encoded) for name, encoded in named.items()}
    content = _content(reference(answer), shown)
    return {status: {"description": description, "content": content}}


_ANY_REQUEST = (error_codes.FOREIGN_HOST, error_codes.FOREIGN_ORIGIN, error_codes.INTERNAL_ERROR)
_WHO_IS_ASKED = (
    error_codes.NO_TOKEN,
    error_codes.FORBIDDEN,
    error_codes.CLUSTER_UNAVAILABLE,
    error_codes.CLUSTER_REFUSED,
)


def errors(*codes: ErrorCode, open_to_all: bool = False) -> Declared:
    """The errors of the endpoint itself, and those of the middleware, some of which a route that is open to all cannot
    give."""
    wanted = {*codes, *_ANY_REQUEST, *(() if open_to_all else _WHO_IS_ASKED)}
    by_status: dict[int | str, list[ErrorCode]] = {}
    for code in error_codes.ALL:
        if code in wanted:
            by_status.setdefault(code.status, []).append(code)
    return {status: _error(found) for status, found in sorted(by_status.items())}


def _error(codes: Sequence[ErrorCode]) -> dict[str, Any]:
    """The declaration of one status; `codes` are all that have it."""
    shown = {name: problem.body for name, problem in examples.PROBLEMS.items() if problem.code in codes}
    error: dict[str, Any] = {
        "description": " ".join(code.meaning for code in codes),
        "content": _content(_error_schema(codes), shown),
    }
    if any(code.again for code in codes):
        seconds = {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
        error["headers"] = {"Retry-After": seconds}
    return error


def _error_schema(codes: Sequence[ErrorCode]) -> dict[str, Any]:
    if error_codes.INVALID_REQUEST in codes:
        return reference(InvalidRequest)
    one_of_these = {"properties": {"code": {"enum": [code.code for code in codes]}}}
    return {"allOf": [reference(Error), one_of_these]}


def _content(schema: Mapping[str, Any], by_name: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: {"value": value} for name, value in by_name.items()}
    return {"application/json": {"schema": schema, "examples": shown}}
