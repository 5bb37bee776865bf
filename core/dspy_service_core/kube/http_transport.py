"""Sends requests over HTTP to a real API server, with one connection pool."""

import asyncio
from collections.abc import AsyncGenerator

import aiohttp

from dspy_service_core.kube import errors
from dspy_service_core.kube.config import ClusterConfig
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Transport

_SENT = (asyncio.TimeoutError, aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError, aiohttp.ClientOSError)
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
_WATCH_INACTIVITY_SECONDS = 70.0
"""A healthy server sends a bookmark about every minute; a silent connection may be dead (kopf waits as long)."""


class HttpTransport(Transport):
    """`request_timeout` limits every request except watches, in seconds."""

    def __init__(self, config: ClusterConfig, *, request_timeout: float = 30.0, connections: int = 100) -> None:
        self._config = config
        self._request_timeout = aiohttp.ClientTimeout(total=request_timeout)
        self._watch_timeout = aiohttp.ClientTimeout(total=None, sock_read=_WATCH_INACTIVITY_SECONDS)
        self._connections = connections
        self._open: aiohttp.ClientSession | None = None

    async def send(self, request: KubeRequest) -> KubeResponse:
        watches, headers = request.verb == "watch", self._headers(request)
        try:
            response = await self._session().request(
                request.method,
                self._config.server + request.path,
                data=request.body,
                params=request.query,
                headers=headers,
                timeout=self._watch_timeout if watches else self._request_timeout,
            )
            date = response.headers.get("Date")
            if watches and response.ok:
                return KubeResponse(response.status, _pieces(request, response), date)
            async with response:
                return KubeResponse(response.status, await response.read(), date)
        except _BROKEN as exc:
            sent = isinstance(exc, _SENT) and not isinstance(exc, aiohttp.ClientConnectorError)
            raise errors.Unavailable(f"the API server does not answer: {_reason(exc)}", sent=sent) from exc

    async def close(self) -> None:
        if self._open is not None:
            await self._open.close()

    def _headers(self, request: KubeRequest) -> dict[str, str]:
        headers = self._config.tokens.header()
        return headers if request.body is None else headers | {"Content-Type": request.content_type}

    def _session(self) -> aiohttp.ClientSession:
        """Made at its first use, because a session needs a running event loop."""
        if self._open is None:
            connector = aiohttp.TCPConnector(ssl=self._config.ssl_context or True, limit=self._connections)
            self._open = aiohttp.ClientSession(connector=connector, headers={"Accept": "application/json"})
        return self._open


async def _pieces(request: KubeRequest, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes, None]:
    try:
        async with response:
            async for piece in response.content.iter_any():
                yield piece
    except _BROKEN as exc:
        raise errors.Unavailable(f"the {request.verb} of {request.about} broke: {_reason(exc)}") from exc


def _reason(exc: BaseException) -> str:
    return str(exc) or type(exc).__name__
