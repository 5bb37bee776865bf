"""Answers of the API server for kopf, which reads its lists and its watches with the standard parser.

That one gives up at a depth of about 1,000, and its error ends the operator: what is nested too deeply is cut before
kopf sees it. kopf takes lists by `json()`, and watches by the chunks of `content`.
"""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
from aiohttp.connector import Connection

from dspy_service_core import nesting
from dspy_service_core.kube.lines import lines


class BoundedResponse(aiohttp.ClientResponse):
    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        await super().start(connection)
        self.content = cast(aiohttp.StreamReader, _Lines(self.content))
        return self

    async def json(self, **given: Any) -> Any:
        return await super().json(**{**given, "loads": _loads})


class _Lines:
    """A stream that is read line by line where it is read in chunks; all else is the stream's own."""

    def __init__(self, stream: aiohttp.StreamReader) -> None:
        self._stream = stream

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        async for line in lines(self._stream.iter_any()):
            yield nesting.bounded(line) + b"\n"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _loads(text: str) -> Any:
    return json.loads(nesting.bounded(text.encode()))
