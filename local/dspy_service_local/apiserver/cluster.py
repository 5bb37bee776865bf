"""The embedded cluster's API server, put together: storage, kinds, its ways in and background work."""

import asyncio
import fcntl
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import orjson

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.resources import CUSTOM_RESOURCE_DEFINITIONS, NAMESPACES
from dspy_service_local.apiserver import refusals
from dspy_service_local.apiserver.app import App
from dspy_service_local.apiserver.auth import pki
from dspy_service_local.apiserver.auth.tokens import TokenStore
from dspy_service_local.apiserver.inprocess import InProcessTransport
from dspy_service_local.apiserver.kinds.builtins import BUILTIN
from dspy_service_local.apiserver.kinds.definitions import kind_of
from dspy_service_local.apiserver.kinds.kinds import Kinds
from dspy_service_local.apiserver.logs import NoLogs, PodLogs
from dspy_service_local.apiserver.object_api import ObjectApi
from dspy_service_local.apiserver.objects.cleanup import Cleanup
from dspy_service_local.apiserver.objects.garbage import Garbage
from dspy_service_local.apiserver.objects.operations import Operations
from dspy_service_local.apiserver.storage.rows import Key
from dspy_service_local.apiserver.storage.selectors import Selection
from dspy_service_local.apiserver.storage.storage import Storage
from dspy_service_local.apiserver.storage.watch import Hub
from dspy_service_local.supervision import keep_running

_FIRST_NAMESPACES = ("default", "kube-system")


class ClusterInUse(Exception):
    """Another process serves this data folder."""


class Cluster:
    """`cluster = await Cluster.open(folder)`; then `cluster.client` in process, `cluster.asgi` for HTTP (`serve`),
    `cluster.tokens` for pods' tokens, `cluster.set_logs(source)` once a node runs, and `await cluster.close()`."""

    def __init__(self, folder: Path, lock: IO[str], clock: Callable[[], datetime]) -> None:
        self.folder = folder
        self._lock = lock
        self._hub = Hub()
        self.pki = pki.ensure(folder / "pki")
        storage = Storage(folder / "cluster.db", self._hub.publish)
        self._hub.start_at(storage.revision)
        self.kinds = Kinds(BUILTIN)
        self.operations = Operations(storage, self.kinds, clock, time.monotonic)
        self.tokens = TokenStore(self.pki.admin_token)
        self._logs: PodLogs = NoLogs()
        objects = ObjectApi(self.operations, self._hub, lambda: self._logs)
        self.transport = InProcessTransport(self.kinds, objects)
        self.client = KubeClient(self.transport)
        self.asgi = App(self.operations, self.tokens, objects)
        cleanup = Cleanup(self.operations, self.pki.authority.read_text())
        self._garbage = Garbage(storage, self._hub, cleanup)
        self._work: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, folder: Path, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> "Cluster":
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        cluster = cls(folder, _locked(folder), clock)
        cluster._serve_definitions()
        cluster._ensure_namespaces()
        await cluster.operations.storage.committed()
        cluster._work = asyncio.create_task(keep_running("garbage collection", cluster._garbage.run), name="garbage")
        return cluster

    def set_logs(self, source: PodLogs) -> None:
        self._logs = source

    def end_watches(self) -> None:
        """So that an HTTP server can stop: watches would otherwise keep it for half an hour."""
        self._hub.close()

    async def close(self) -> None:
        if self._work is not None:
            self._work.cancel()
            with suppress(asyncio.CancelledError):
                await self._work
        self._hub.close()
        await self.operations.storage.close()
        self._lock.close()

    def _serve_definitions(self) -> None:
        reader = self.operations.storage.reader()
        definitions = refusals.qualified(CUSTOM_RESOURCE_DEFINITIONS)
        for row in reader.page(definitions, Selection(), ("", ""), -1):
            self.kinds.add(kind_of(orjson.loads(row.body)))

    def _ensure_namespaces(self) -> None:
        kind = self.kinds.of(NAMESPACES)
        assert kind is not None
        for name in _FIRST_NAMESPACES:
            if self.operations.storage.get(Key(kind.id, "", name)) is None:
                self.operations.create(kind, "", {"metadata": {"name": name}})


def _locked(folder: Path) -> IO[str]:
    """Held for as long as the file is open, so a killed process leaves nothing behind."""
    lock = (folder / "cluster.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        lock.close()
        raise ClusterInUse(f"{folder} is in use by another process") from exc
    return lock
