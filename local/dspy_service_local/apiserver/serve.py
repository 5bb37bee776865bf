"""Serves a cluster over TLS on a port of its own, and writes the kubeconfig for it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from dspy_service_local.apiserver import kubeconfig
from dspy_service_local.apiserver.cluster import Cluster

_SHUTDOWN_SECONDS = 1


class _Quiet(uvicorn.Server):
    """Says when it has started; signals are the whole process's business, not this server's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class ApiServer:
    """`server = await ApiServer.start(cluster)`; `server.url`, `server.kubeconfig`; `await server.stop()`."""

    def __init__(
        self, cluster: Cluster, url: str, path: Path, server: uvicorn.Server, task: asyncio.Task[None]
    ) -> None:
        self.url = url
        self.kubeconfig = path
        self._cluster = cluster
        self._server = server
        self._task = task

    @classmethod
    async def start(
        cls, cluster: Cluster, *, host: str = "127.0.0.1", port: int = 0, kubeconfig_path: Path | None = None
    ) -> "ApiServer":
        """Port 0: any that is free. Returns once requests are answered."""
        listening = socket.create_server((host, port), backlog=512)
        # Accepted sockets inherit it. asyncio sets it on sockets of protocol TCP alone, and these say 0: an answer's
        # second part would wait 40 ms for the first one's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        url = f"https://{host}:{listening.getsockname()[1]}"
        path = kubeconfig_path or cluster.folder / "kubeconfig"
        kubeconfig.write(path, server=url, authority=cluster.pki.authority, token=cluster.pki.admin_token)
        server = _Quiet(_config(cluster))
        task = asyncio.create_task(server.serve(sockets=[listening]), name="apiserver")
        ready = asyncio.ensure_future(server.listening.wait())
        await asyncio.wait({ready, task}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            task.result()
        return cls(cluster, url, path, server, task)

    async def stop(self) -> None:
        self._cluster.end_watches()
        self._server.should_exit = True
        await self._task


def _config(cluster: Cluster) -> uvicorn.Config:
    return uvicorn.Config(
        cluster.asgi,
        http="httptools",
        loop="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        ssl_certfile=str(cluster.pki.certificate),
        ssl_keyfile=str(cluster.pki.certificate),
        timeout_graceful_shutdown=_SHUTDOWN_SECONDS,
        timeout_keep_alive=75,
    )
