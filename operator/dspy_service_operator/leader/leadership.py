"""Holds the Lease: waits for it, renews it, and ends the process when it may no longer act as the leader.

Three things keep a former leader from acting. `fence` is called before every request. A thread, which a busy event loop
cannot delay, ends the process when its time is over, and with it all requests on their way. A request that was
paused between `fence` and sending is refused by the cluster: status patches name a version, deletions a uid, and the
new leader's Job of an attempt has the same name.

It uses our own client, because the official election needs a client of 40 MB and does not end requests on their way.
"""

import asyncio
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import LEASES
from dspy_service_operator.leader.election import (
    Sighting,
    Step,
    Timing,
    decide,
    next_spec,
    read_hold,
    released_spec,
    seen,
)

log = logging.getLogger(__name__)

LOST = 75
"""Exit code of a process that may no longer act (EX_TEMPFAIL); the cluster starts it again."""


def elapsed() -> float:
    """A clock that also runs while the machine sleeps, where the system has one."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def end_process(why: str) -> None:
    """At once, without any cleanup, so that no request on its way arrives."""
    log.critical("this process ends: %s", why)
    os._exit(LOST)


def own_identity() -> str:
    return f"{socket.gethostname()}_{uuid.uuid4()}"


@dataclass(frozen=True, slots=True)
class LeaseName:
    namespace: str
    name: str


class Leadership:
    """`end` ends the process; tests pass another function."""

    def __init__(
        self,
        client: KubeClient,
        lease: LeaseName,
        timing: Timing,
        identity: str,
        end: Callable[[str], None] = end_process,
        clock: Callable[[], float] = elapsed,
    ) -> None:
        self.identity = identity
        self._client = client
        self._lease = lease
        self._timing = timing
        self._end = end
        self._clock = clock
        self._sighting: Sighting | None = None
        self._missing = False
        self._version = ""
        self._until = float("-inf")
        self._over = threading.Event()

    def fence(self) -> None:
        """Called before every request of the operator; ends the process if it no longer leads."""
        if self._clock() >= self._until:
            self._end("its time as the leader is over")
            raise RuntimeError("no longer the leader")

    async def acquire(self, stop: asyncio.Event) -> bool:
        """Waits for the Lease; returns False if it is asked to stop before."""
        while not stop.is_set():
            if await self._try(("create", "take")):
                log.info("%s leads", self.identity)
                return True
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), self._timing.look_seconds)
        return False

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keeps renewing the Lease, and gives it back at the end."""
        threading.Thread(target=self._watch, name="lease", daemon=True).start()
        renewing = asyncio.create_task(self._renew(), name="lease")
        try:
            yield
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            await self._release()
            self._over.set()

    async def _renew(self) -> None:
        """A renewal that failed is tried again sooner, because the time for acting goes on running."""
        while True:
            await asyncio.sleep(self._timing.renew_seconds)
            while not await self._try(("renew",)):
                if self._missing or self._holder != self.identity:
                    self._end(f"'{self._holder}' holds the Lease" if not self._missing else "the Lease was deleted")
                await asyncio.sleep(self._timing.look_seconds)

    @property
    def _holder(self) -> str:
        return self._sighting.hold.holder if self._sighting else ""

    async def _try(self, allowed: tuple[Step, ...]) -> bool:
        """Reads the Lease and takes the step that follows from it; returns whether it is held afterwards."""
        try:
            await self._look()
            step = decide(self.identity, self._sighting, self._clock(), missing=self._missing)
            return step in allowed and await self._write(create=step == "create")
        except (Conflict, AlreadyExists, NotFound):
            return False  # another was faster; the next look tells who
        except KubeError as exc:
            log.warning("lease %s/%s: %s", self._lease.namespace, self._lease.name, exc)
            return False

    async def _look(self) -> None:
        try:
            self._saw(await self._client.get(LEASES, self._lease.name, self._lease.namespace))
        except NotFound:
            self._missing = True

    async def _write(self, *, create: bool) -> bool:
        """Time is counted from before the request, since nobody can have seen the renewal earlier."""
        sent = self._clock()
        hold = None if create or self._sighting is None else self._sighting.hold
        raw = await self._put(next_spec(self.identity, hold, self._timing, _stamp()), create=create)
        self._saw(raw)
        self._until = sent + self._timing.acting_seconds
        return True

    async def _put(self, spec: Object, *, create: bool) -> Object:
        name, namespace = self._lease.name, self._lease.namespace
        metadata: Object = {"name": name, "namespace": namespace}
        body: Object = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata, "spec": spec}
        if create:
            return await self._client.create(LEASES, body, namespace)
        metadata["resourceVersion"] = self._version
        return await self._client.replace(LEASES, name, body, namespace)

    def _saw(self, raw: Object) -> None:
        self._version, self._missing = raw["metadata"]["resourceVersion"], False
        self._sighting = seen(self._sighting, read_hold(raw), self._clock())

    async def _release(self) -> None:
        if self._sighting is None or self._holder != self.identity:
            return
        try:
            await self._put(released_spec(self._sighting.hold, _stamp()), create=False)
        except KubeError as exc:
            log.warning("the Lease is left to run out: %s", exc)

    def _watch(self) -> None:
        while not self._over.wait(max(0.0, self._until - self._clock())):
            if self._clock() >= self._until:
                self._end(f"the Lease could not be renewed within {self._timing.acting_seconds:g} s")
                return


def _stamp() -> str:
    """Kubernetes' MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
