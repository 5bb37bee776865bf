"""Conditional requests: a client that sends the entity tag of its last answer gets 304 while that answer still holds.

RFC 9110, sections 8.8.3 and 13.1.2. `Cache-Control: private, no-cache` lets clients keep answers if they ask each time.
"""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dspy_service_api.answers.answer_cache import Answer
from dspy_service_api.http.routes.answers import Declared, ready

_TAGS = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
"""A list of tags cannot be split at commas, because a tag may hold some between its quotes."""

_ETAG = {"ETag": {"description": "Of this very answer; changes with it.", "schema": {"type": "string"}}}
_NOT_MODIFIED: Declared = {304: {"description": "The answer is the one that If-None-Match names.", "headers": _ETAG}}
_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "Entity tags (ETag) of earlier answers: where one of them still holds, the answer is 304.",
    "schema": {"type": "string"},
}
PARAMETERS: dict[str, Any] = {"parameters": [_IF_NONE_MATCH]}
"""For a route's `openapi_extra`; not a parameter of the function, whose parsing would cost every request."""


def conditional(responses: Declared) -> Declared:
    """The same declarations for a route whose answers have entity tags."""
    return {code: _tagged(code, response) for code, response in responses.items()} | _NOT_MODIFIED


def respond(request: Request, answer: Answer) -> Response:
    headers = {"ETag": answer.etag}
    if _named(request.scope["headers"], answer.etag.encode()):
        return Response(status_code=304, headers=headers)
    return ready(answer.body, headers)


def _tagged(code: int | str, response: dict[str, Any]) -> dict[str, Any]:
    return {**response, "headers": {**response.get("headers", {}), **_ETAG}} if code == 200 else response


def _named(headers: list[tuple[bytes, bytes]], etag: bytes) -> bool:
    """Weak comparison, as RFC 9110 prescribes for If-None-Match: a `W/` before a tag makes no difference."""
    given = [value.strip() for name, value in headers if name == b"if-none-match"]
    return any(value == b"*" or etag in _TAGS.findall(value) for value in given)
