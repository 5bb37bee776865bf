"""A ready answer as a response, and how answers and errors are declared in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from dspy_service_api import wire
from dspy_service_api.record import Json
from dspy_service_api.routes import examples

Declared = dict[int | str, dict[str, Any]]


class Ready(Response):
    media_type = "application/json"


def ready(answer: Json, headers: Mapping[str, str] | None = None, status: int = 200) -> Response:
    return Ready(answer, status, headers)


def declared(model: type[BaseModel] | Any, example: Any, description: str, status: int = 200) -> Declared:
    return {status: {"model": model, "description": description, "content": _content({"answer": example})}}


def errors(*codes: int) -> Declared:
    """Those of the endpoint, and the guard's, which any request may meet."""
    return {code: _ERRORS[code] for code in sorted({*codes, 401, 403, 500})}


def _content(by_name: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"examples": {name: {"value": value} for name, value in by_name.items()}}}


def _error(description: str, by_name: Mapping[str, Any], model: type[BaseModel] = wire.Detail) -> dict[str, Any]:
    return {"model": model, "description": description, "content": _content(by_name)}


def _again(error: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1}
    return {**error, "headers": {"Retry-After": {"description": "Seconds to wait.", "schema": schema}}}


_ERRORS: dict[int, dict[str, Any]] = {
    400: _error("The request is well-formed, and what it names cannot be used.", examples.UNUSABLE),
    401: _error("A token is asked for.", examples.NO_TOKEN),
    403: _error("The request comes from a web page, or for another host.", examples.FOREIGN),
    404: _error("There is no such job, or it made no artifact.", examples.NOT_FOUND),
    409: _error("The job is not at that point, or the key has another body.", examples.CONFLICT),
    413: _error("The body is over the limit.", examples.TOO_LARGE),
    415: _error("The body is not JSON by its Content-Type.", examples.NOT_JSON),
    422: _error("The request is malformed.", examples.INVALID, wire.InvalidRequest),
    500: _error("A fault of the service itself.", examples.FAULT),
    503: _again(_error("The cluster or the store is out of reach.", examples.UNAVAILABLE)),
}
