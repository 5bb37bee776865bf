"""Holds every answer that a test's HTTP client gets from the API to the OpenAPI document: status, body and `code`.

httpx.Client(base_url=..., event_hooks=HELD)         httpx.AsyncClient(..., event_hooks=HELD_ASYNC)
dspy_service.Client(..., transport=HeldTransport())

What the document says nothing of (a page, a path that does not exist) may answer what it likes, but errors in JSON are
errors of the table there too.
"""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import jsonschema_rs
import orjson

from dspy_service_api.answers.error_codes import ALL
from dspy_service_local.reference_api import document

_ERROR = {"$ref": "#/components/schemas/Error"}
_STATUSES = {error.code: error.status for error in ALL}


class Undeclared(AssertionError):
    """The API answered what its OpenAPI document does not declare."""


def hold(method: str, path: str, answer: httpx.Response) -> None:
    """Raises `Undeclared`. The answer must have been read; that to a HEAD has no body to look at."""
    place = f"{method} {path} answered {answer.status_code}"
    responses = _responses(method, path)
    if method == "HEAD":
        return
    if responses is None:
        if answer.is_error and _is_json(answer):
            _hold_body(place, _validator(orjson.dumps(_ERROR)), orjson.loads(answer.content))
    elif (declared := responses.get(str(answer.status_code))) is None:
        raise Undeclared(f"{place}, which is not declared: {answer.text[:500]}")
    elif "content" not in declared:
        if answer.content:
            raise Undeclared(f"{place} with a body, which is not declared: {answer.text[:500]}")
    elif not _is_json(answer):
        raise Undeclared(f"{place} as {answer.headers.get('content-type')}, which is not declared")
    else:
        schema = declared["content"]["application/json"]["schema"]
        _hold_body(place, _validator(orjson.dumps(schema)), orjson.loads(answer.content))
    if answer.is_error and _is_json(answer):
        _hold_code(place, answer)


def held_to(schema: str, value: Any) -> Any:
    """The value, if it is as that schema of the document says; `JobDetail[]` is a list of them."""
    one = {"$ref": f"#/components/schemas/{schema.removesuffix('[]')}"}
    wanted = {"type": "array", "items": one} if schema.endswith("[]") else one
    _hold_body(schema, _validator(orjson.dumps(wanted)), value)
    return value


def _hold_body(place: str, validator: Any, body: Any) -> None:
    try:
        validator.validate(body)
    except jsonschema_rs.ValidationError as exc:
        where = ".".join(map(str, exc.instance_path)) or "the body"
        raise Undeclared(f"{place}, and {where} is not as declared: {exc.message[:1000]}") from None


def _hold_code(place: str, answer: httpx.Response) -> None:
    code = orjson.loads(answer.content)["code"]
    if _STATUSES.get(code) != answer.status_code:
        raise Undeclared(f"{place} with the code '{code}', which is declared for {_STATUSES.get(code)}")


def _is_json(answer: httpx.Response) -> bool:
    return answer.headers.get("content-type") == "application/json"


def _responses(method: str, path: str) -> Mapping[str, Any] | None:
    for pattern, operations in _operations():
        if pattern.fullmatch(path):
            operation = operations.get(method.lower())
            return operation and operation["responses"]
    return None


@cache
def _operations() -> list[tuple[re.Pattern[str], Mapping[str, Any]]]:
    return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path)), found) for path, found in document()["paths"].items()]


@cache
def _validator(schema: bytes) -> Any:
    return jsonschema_rs.validator_for(orjson.loads(schema) | {"components": document()["components"]})


def _hook(answer: httpx.Response) -> None:
    answer.read()
    hold(answer.request.method, answer.request.url.path, answer)


async def _async_hook(answer: httpx.Response) -> None:
    await answer.aread()
    hold(answer.request.method, answer.request.url.path, answer)


HELD: dict[str, list[Any]] = {"response": [_hook]}
HELD_ASYNC: dict[str, list[Any]] = {"response": [_async_hook]}


class HeldTransport(httpx.HTTPTransport):
    """For clients that take no hooks."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        answer.read()
        hold(request.method, request.url.path, answer)
        return answer
