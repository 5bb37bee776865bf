"""A small HTTP server for probes and metrics, beside a process' real work.

It is aiohttp's, because all parts that need one have loaded aiohttp for the Kubernetes client already.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web


@dataclass(frozen=True, slots=True)
class SideAnswer:
    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


@asynccontextmanager
async def side_server(host: str, port: int, pages: Mapping[str, Callable[[], SideAnswer]]) -> AsyncIterator[None]:
    """An empty `host` means every address of the machine."""
    app = web.Application()
    for path, page in pages.items():
        app.router.add_get(path, _handler(page))
    runner = web.AppRunner(app, access_log=None, handle_signals=False)
    await runner.setup()
    try:
        await web.TCPSite(runner, host or None, port).start()
        yield
    finally:
        await runner.cleanup()


def _handler(page: Callable[[], SideAnswer]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        made = page()
        return web.Response(body=made.body, status=made.status, headers={"Content-Type": made.content_type})

    return handle
