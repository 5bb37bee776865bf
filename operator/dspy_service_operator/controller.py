"""The operator without kopf: connects view, queue, reconciler and housekeeping, and runs them as background tasks."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Protocol

from dspy_service_core.errors import ServiceError
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.protocol import Object
from dspy_service_core.registry.registry import Registry
from dspy_service_core.storage.store import Store
from dspy_service_operator.housekeeping.expiry import Expiry
from dspy_service_operator.housekeeping.leftover_jobs import Lingering
from dspy_service_operator.housekeeping.sweep import Sweep
from dspy_service_operator.monitoring.events import EventRecorder
from dspy_service_operator.monitoring.telemetry import Telemetry
from dspy_service_operator.queue.queue import Key, Queue
from dspy_service_operator.queue.queue_reports import TICK_SECONDS, QueueReports
from dspy_service_operator.reconcile.apply import Applier
from dspy_service_operator.reconcile.observe import Observer
from dspy_service_operator.reconcile.prerequisites import Check, PrerequisiteCheck
from dspy_service_operator.reconcile.reconciler import Reconciler
from dspy_service_operator.reconcile.work_queue import WorkQueue
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.resync import resync
from dspy_service_operator.watch.view import ClusterView

log = logging.getLogger(__name__)

EVERY_NAMESPACE = "*"
_RETRY_SECONDS = 2.0
_SETTLE_SECONDS = 1.0
"""kopf lists several kinds one after the other; after this pause, one resync serves all of them."""
_FIRST_SWEEP_SECONDS = 30.0
_DRAIN_SECONDS = 3.0


class Children(Protocol):
    def upsert(self, raw: Object) -> Key | None: ...
    def remove(self, raw: Object) -> Key | None: ...


class Controller:
    """The watches call `job_event`, `child_event` and `listed_anew`; everything else happens inside `running()`."""

    def __init__(
        self,
        client: KubeClient,
        settings: OperatorSettings,
        check: Check,
        registry: Registry,
        store: Store | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self._telemetry = telemetry or Telemetry()
        self.view = ClusterView()
        self.queue = Queue(settings.concurrency, settings.namespace_concurrency)
        self._telemetry.watch(self.queue)
        self.recorder = EventRecorder(client, clock)
        self.expiry = Expiry(client, settings, clock)
        self.sweep = Sweep(client, store, self.expiry, settings, clock)
        self.synced = asyncio.Event()
        self.last_resync = time.monotonic()
        self._listed_anew = asyncio.Event()
        self._client = client
        self._reconciler = Reconciler(
            self.view,
            self.queue,
            Observer(client, self.view),
            PrerequisiteCheck(client, check, settings),
            Applier(client, self.view, self.recorder, self.expiry, registry, settings, self._telemetry),
            Lingering(client, self.view, time.monotonic),
            settings,
            clock,
        )
        self.work: WorkQueue[Key] = WorkQueue(self.reconcile)
        self._reconciler.enqueue = self.work.add
        self._reports = QueueReports(self.queue, self._report, settings)

    @property
    def namespaces(self) -> tuple[str | None, ...]:
        return (None,) if EVERY_NAMESPACE in self.settings.namespaces else self.settings.namespaces

    def job_event(self, kind: str | None, raw: Object) -> None:
        """`kind` is None for objects of kopf's first list."""
        key = self.view.remove(raw) if kind == "DELETED" else self.view.upsert(raw, keep_raw=kind == "ADDED")
        if key is not None:
            self.work.add(key)
        if kind == "DELETED":
            self.recorder.forget(raw["metadata"].get("uid", ""))

    def child_event(self, children: Children, kind: str | None, raw: Object) -> None:
        key = children.remove(raw) if kind == "DELETED" else children.upsert(raw)
        if key is not None:
            self.work.add(key)

    def listed_anew(self) -> None:
        """A watch started again with a list, so deletions before that may have been missed: asks for a resync."""
        self._listed_anew.set()

    async def resync(self) -> None:
        keys = await resync(self._client, self.view, self.namespaces)
        self._reconciler.take_places()
        for key in keys:
            self.work.add(key)
        self.last_resync = time.monotonic()
        self.synced.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Runs all background tasks; at the end, Events that are still waiting are sent."""
        self.last_resync = time.monotonic()
        async with asyncio.TaskGroup() as group:
            work = [
                self._resyncs(),
                self.work.run(self.settings.workers),
                self._queue_reports(),
                self.expiry.run(),
                self._sweeps(),
            ]
            tasks = [group.create_task(coroutine) for coroutine in work]
            sender = group.create_task(self.recorder.run())
            try:
                yield
                await self.recorder.drain(_DRAIN_SECONDS)
            finally:
                for task in (*tasks, sender):
                    task.cancel()

    async def reconcile(self, key: Key) -> float | None:
        """Waits for the first resync: no attempt is started before all running ones are known."""
        await self.synced.wait()
        with self._telemetry.reconciling():
            return await self._reconciler.reconcile(key)

    async def _resyncs(self) -> None:
        while True:
            self._listed_anew.clear()
            done = await self._try("resync", self.resync)
            if not done:
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._listed_anew.wait(), self.settings.resync_seconds)
                await asyncio.sleep(_SETTLE_SECONDS)

    async def _sweeps(self) -> None:
        await self.synced.wait()
        await asyncio.sleep(min(_FIRST_SWEEP_SECONDS, self.settings.sweep_seconds))
        while True:
            await self._try("sweep", lambda: self.sweep.run_once(self.namespaces))
            await asyncio.sleep(self.settings.sweep_seconds)

    async def _queue_reports(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._reports.tick(time.monotonic())

    async def _try(self, what: str, act: Callable[[], Awaitable[None]]) -> bool:
        try:
            await act()
        except (KubeError, ServiceError) as exc:
            log.warning("%s: %s", what, exc)
            return False
        except Exception:  # one bad object must not end the operator; if no resync succeeds, the liveness probe fails
            log.exception("%s failed", what)
            return False
        return True

    def _report(self, key: Key, position: int) -> None:
        self._reconciler.due_reports[key] = position
        self.work.add(key)
