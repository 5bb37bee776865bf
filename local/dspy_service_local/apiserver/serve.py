"""Serves a cluster over TLS on a port of its own, and writes the kubeconfig for it."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from dspy_service_api.serve.descriptors import room_for
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.server import LimitedServer
from dspy_service_local.apiserver.auth import kubeconfig
from dspy_service_local.apiserver.cluster import Cluster
from dspy_service_local.supervision import keep_running

_SHUTDOWN_SECONDS = 1
_CONNECTIONS = 2048
"""More than all jobs, watches and people of one machine; no limit for one peer, as all have this machine's address."""


class _Quiet(LimitedServer):
    """Says when it has started; signals are the whole process's business, not this server's."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config, ConnectionLimits(connections=room_for(_CONNECTIONS)))
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()


class ApiServer:
    """`server = await ApiServer.start(cluster)`; `server.url`, `server.kubeconfig`; `await server.stop()`."""

    def __init__(self, cluster: Cluster, url: str, path: Path, listening: socket.socket) -> None:
        self.url = url
        self.kubeconfig = path
        self._cluster = cluster
        self._listening = listening
        self.running = _Quiet(_config(cluster))
        self._task = asyncio.create_task(_serve(self.running, listening), name="apiserver")
        self._keeper: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls, cluster: Cluster, *, host: str = "127.0.0.1", port: int = 0, kubeconfig_path: Path | None = None
    ) -> "ApiServer":
        """Port 0: any that is free. Returns once requests are answered; from then on they always are."""
        listening = socket.create_server((host, port), backlog=512)
        # Accepted sockets inherit it. asyncio sets it on sockets of protocol TCP alone, and these say 0: an answer's
        # second part would wait 40 ms for the first one's acknowledgement.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        url = f"https://{host}:{listening.getsockname()[1]}"
        path = kubeconfig_path or cluster.folder / "kubeconfig"
        kubeconfig.write(path, server=url, authority=cluster.pki.authority, token=cluster.pki.admin_token)
        server = cls(cluster, url, path, listening)
        await server._listens()
        server._keeper = asyncio.create_task(keep_running("the cluster's HTTP server", server._keep), name="apiserver")
        return server

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
        self._cluster.end_watches()
        self.running.should_exit = True
        await asyncio.wait([self._task])
        self._listening.close()

    async def _listens(self) -> None:
        ready = asyncio.ensure_future(self.running.listening.wait())
        await asyncio.wait({ready, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if self._task.done():
            ready.cancel()
            self._task.result()

    async def _keep(self) -> None:
        if self._task.done():
            self.running = _Quiet(_config(self._cluster))
            self._task = asyncio.create_task(_serve(self.running, self._listening), name="apiserver")
        await asyncio.shield(self._task)


async def _serve(server: uvicorn.Server, listening: socket.socket) -> None:
    """On a copy of the socket: uvicorn closes its own, and clients know this address."""
    sockets = [listening.dup()]
    try:
        await server.serve(sockets=sockets)
    except Exception:  # whatever it was, connections are closed before it goes on its way
        if server.started:
            await server.shutdown(sockets=sockets)
        raise


def _config(cluster: Cluster) -> uvicorn.Config:
    return uvicorn.Config(
        cluster.asgi,
        ws="none",
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
