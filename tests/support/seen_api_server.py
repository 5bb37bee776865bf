"""The embedded API server behind an ear: which lists and watches there were, and watches that miss what is told."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from dspy_service_core.kube.resources import Resource
from dspy_service_local.apiserver import ApiServer, Cluster
from embedded_cluster import RunningCluster, apply_crds

_GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n'


class Ear:
    """An ASGI application around another."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._deaf = ""
        self.refused: set[str] = set()
        """Paths that are answered 404."""
        self.lists: Counter[tuple[str, str]] = Counter()
        self.watches: Counter[tuple[str, str]] = Counter()
        """Both by path and label selector; of watches those that are open."""

    def miss(self, resource: Resource, namespace: str) -> None:
        """The watches of that kind break at the next event, which nobody sees, and then start anew with a list."""
        self._deaf = resource.path(namespace)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        path, query = scope["path"], parse_qs(scope["query_string"].decode())
        key = (path, "".join(query.get("labelSelector", [])))
        if path in self.refused:
            await _answer(send, 404, b'{"kind":"Status","code":404,"reason":"NotFound"}')
        elif "watch" not in query:
            if path == self._deaf:
                self._deaf = ""
            self.lists[key] += scope["method"] == "GET"
            await self._application(scope, receive, send)
        elif path == self._deaf:
            await _answer(send, 200, _GONE)
        else:
            await self._watch(key, scope, receive, send)

    async def _watch(self, key: tuple[str, str], scope: Any, receive: Any, send: Any) -> None:
        async def hear(message: Any) -> None:
            if message.get("body") and key[0] == self._deaf:
                raise ConnectionError("as if the connection had broken")
            await send(message)

        self.watches[key] += 1
        try:
            await self._application(scope, receive, hear)
        finally:
            self.watches[key] -= 1


async def _answer(send: Any, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def seen_api_server(folder: Path) -> AsyncIterator[tuple[RunningCluster, Ear]]:
    cluster = await Cluster.open(folder)
    try:
        await apply_crds(cluster)
        ear = cluster.asgi = Ear(cluster.asgi)
        server = await ApiServer.start(cluster)
        try:
            yield RunningCluster(cluster, server.kubeconfig, server.url), ear
        finally:
            await server.stop()
    finally:
        await cluster.close()
