"""kopf's connection to the API server: our rotating token, answers that its parser can read, an ear for its watches.

kopf reads JSON with the standard parser, which gives up at a depth of about 1,000, and an error of its parser ends the
operator. So what is nested too deeply is cut before kopf sees it (the job is then known, and refused for its depth),
and a line of a watch that is no JSON even then is dropped: its object comes with the next resync, if it can be read.

kopf tells nobody when it lists anew or how long a watch has been silent. Both are seen here, in its requests.
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
    """Of each path that kopf lists and watches: `heard` is when the API server last said something (monotonic seconds).

    `listed` is called when kopf is through with a list, at the start or because its watch had missed something: what
    was deleted before is told to nobody.
    """

    def __init__(self, paths: Iterable[str], listed: Callable[[], None]) -> None:
        self.heard = dict.fromkeys(paths, time.monotonic())
        self._listed = listed
        self._listing: set[str] = set()

    def asked(self, path: str, *, watch: bool) -> None:
        """A watch that follows a list says that the list is whole."""
        if not watch:
            self._listing.add(path)
        elif path in self._listing:
            self._listing.discard(path)
            self._listed()

    def answered(self, path: str) -> None:
        self.heard[path] = time.monotonic()

    def known(self, path: str) -> str:
        """As it was given at the start: a server's address may have a path of its own; empty for other requests."""
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
    """kopf takes lists by `json()`, and watches by the chunks of `content`."""

    async def json(self, **given: Any) -> Any:
        return await super().json(**{**given, "loads": _loads})


class _Lines:
    """A stream that is read line by line where it is read in chunks; all else is the stream's own."""

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
    """For kopf's parser, which is asked only about what the faster one refuses (integers of more than 64 bits)."""
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
