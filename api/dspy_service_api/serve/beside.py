"""Serves a few pages on a port of their own, also with bounds: too many connections there must not use up the
process's open files."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from uvicorn import Config
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope
from uvicorn.server import ServerState

from dspy_service_api.serve.crowd import Crowd, Seat
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.listener import Listener, bound
from dspy_service_api.serve.protocol import LimitedProtocol
from dspy_service_core.side_server import SideAnswer

_LIMITS = ConnectionLimits(connections=64)
"""These connections come out of the reserve of `descriptors.py`."""
_KEEP_ALIVE_SECONDS = 75
_NOTHING = SideAnswer(b"not found\n", 404)


@asynccontextmanager
async def pages_beside(host: str, port: int, pages: Mapping[str, Callable[[], SideAnswer]]) -> AsyncIterator[None]:
    """An empty `host` means every address of the machine."""
    config = Config(_application(pages), ws="none", log_config=None, timeout_keep_alive=_KEEP_ALIVE_SECONDS)
    config.load()
    state = ServerState()

    def protocol(crowd: Crowd, seat: Seat) -> asyncio.Protocol:
        return LimitedProtocol(config, state, {}, _LIMITS, crowd, seat)

    listener = Listener(await bound(host, port, config.backlog), None, _LIMITS, protocol)
    try:
        yield
    finally:
        listener.close()
        for connection in tuple(state.connections):
            connection.shutdown()


def _application(pages: Mapping[str, Callable[[], SideAnswer]]) -> Callable[..., object]:
    async def application(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        made = pages.get(scope["path"]) if scope["method"] in ("GET", "HEAD") else None
        page = made() if made else _NOTHING
        headers = [
            (b"content-type", page.content_type.encode()),
            (b"content-length", str(len(page.body)).encode()),
            (b"x-content-type-options", b"nosniff"),
        ]
        await send({"type": "http.response.start", "status": page.status, "headers": headers, "trailers": False})
        await send({"type": "http.response.body", "body": page.body, "more_body": False})

    return application
