"""kopf's connection to the API server. It adds our rotating token, keeps unreadable answers from kopf, and notes what
each watch has heard.

kopf reads JSON with the standard parser, which fails at a depth of about 1,000, and that failure ends the operator. So
JSON that is nested too deeply is cut before kopf sees it (the job is still known, and refused for its depth), and a
line of a watch that is no JSON even then is dropped: the next resync reads its object, if that is possible.

kopf does not say when it lists again or how long a watch has been silent, so both are derived from its requests here.
"""

import json
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any, cast

import aiohttp
import orjson

from dspy_service_core import nesting
from dspy_service_core.kube.config import ClusterConfig
from dspy_service_core.kube.lines import lines

log = logging.getLogger(__name__)


class Watches:
    """For each path that kopf lists and watches, `heard` is the time of the API server's last word (monotonic seconds).

    `listed` is called when kopf has finished a list, at the start or after its watch had missed something: deletions
    before that list are announced to nobody.
    """

    def __init__(self, paths: Iterable[str], listed: Callable[[], None]) -> None:
        self.heard = dict.fromkeys(paths, time.monotonic())
        self._listed = listed
        self._listing: set[str] = set()

    def asked(self, path: str, *, watch: bool) -> None:
        """When kopf starts a watch after a list, the list is complete."""
        if not watch:
            self._listing.add(path)
        elif path in self._listing:
            self._listing.discard(path)
            self._listed()

    def answered(self, path: str) -> None:
        self.heard[path] = time.monotonic()

    def known(self, path: str) -> str:
        """The path without a prefix that the server's address may have; empty for requests of other paths."""
        return next((known for known in self.heard if path.endswith(known)), "")


def open_session(cluster: ClusterConfig, watches: Watches) -> aiohttp.ClientSession:
    async def send(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        request.headers.update(cluster.tokens.header())
        path = watches.known(request.url.path)
        if not path:
            return await handler(request)
        watch = request.url.query.get("watch") == "true"
        watches.asked(path, watch=watch)
        response = await handler(request)
        if response.status < 400:
            watches.answered(path)
        if watch:
            stream = _Lines(response.content, lambda: watches.answered(path))
            response.content = cast(aiohttp.StreamReader, stream)
        return response

    connector = aiohttp.TCPConnector(ssl=cluster.ssl_context or True, limit=0)
    return aiohttp.ClientSession(connector=connector, middlewares=(send,), response_class=_Response)


class _Response(aiohttp.ClientResponse):
    """kopf reads lists with `json()`, and watches from the chunks of `content`."""

    async def json(self, **given: Any) -> Any:
        return await super().json(**{**given, "loads": _loads})


class _Lines:
    """The same stream, except that every chunk is one whole line, checked to be JSON."""

    def __init__(self, stream: aiohttp.StreamReader, heard: Callable[[], None]) -> None:
        self._stream = stream
        self._heard = heard

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        async for line in lines(self._stream.iter_any()):
            self._heard()
            if (bounded := nesting.bounded(line)) and _is_json(bounded):
                yield bounded + b"\n"

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _loads(text: str) -> Any:
    return json.loads(nesting.bounded(text.encode()))


def _is_json(line: bytes) -> bool:
    """Whether kopf's parser can read the line. orjson is faster and is tried first; it refuses integers above 64
    bits."""
    try:
        orjson.loads(line)
        return True
    except orjson.JSONDecodeError:
        pass
    try:
        json.loads(line.decode())
        return True
    except ValueError as exc:
        log.error("a line of a watch is left out: %s in %.200r", exc, line)
        return False
