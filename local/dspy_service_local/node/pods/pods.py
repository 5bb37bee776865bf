"""One pod from its first volume to its last status: init containers in order, sidecars, main containers, the drain.

The node makes a `PodRun` for each pod that it sees and awaits `run`; everything that ends a pod early (deletion, its
deadline, an eviction, the node's own stop) comes in through `stop`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from dspy_service_local.node.pods.containers import ContainerRun
from dspy_service_local.node.pods.content.environment import Unresolved
from dspy_service_local.node.pods.context import NodeContext
from dspy_service_local.node.pods.model import Container, Object, read_pod
from dspy_service_local.node.pods.pod_setup import PodSetup
from dspy_service_local.node.pods.pod_usage import watched
from dspy_service_local.node.pods.probes import until_started
from dspy_service_local.node.pods.publish import Publisher
from dspy_service_local.node.pods.status import ContainerStatus, NodeEnding, Terminated, pod_status

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_EVICTION_SECONDS, _EVICTION_MAIN_SECONDS = 10.0, 1.0
_LEAST_SIDECAR_GRACE = 2.0
"""Sidecars have so long in any case: processes that used very much take a while to die."""
_DRAIN_TRIES = 3
_FIRST_DELAY, _LONGEST_DELAY, _STEADY_SECONDS = 1.0, 60.0, 600.0
"""Shorter than a kubelet's 10 s to 5 min: somebody sits in front of this machine."""
LOST_REASON, LOST_EXIT_CODE = "ContainerStatusUnknown", 137
LOST_MESSAGE = "The container could not be located when the pod was terminated"


@dataclass(frozen=True, slots=True)
class Stop:
    """Main containers have `main_grace` seconds, all together have `grace`."""

    grace: float
    main_grace: float
    verdict: NodeEnding | None = None


class PodRun:
    def __init__(self, obj: Object, context: NodeContext) -> None:
        self.pod = read_pod(obj)
        self._context = context
        self._previous: Object = obj.get("status") or {}
        self._setup = PodSetup(self.pod, context)
        self._statuses = {c.name: ContainerStatus() for c in self.pod.containers}
        self._publisher = Publisher(context.client, self.pod, self._status)
        self._started: set[str] = set()
        self._runs = {c.name: self._container_run(c) for c in self.pod.containers}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stop: Stop | None = None
        self._stop_changed = asyncio.Event()
        self._stop_at = 0.0
        self._draining_since = 0.0
        self.gone = False
        """Nobody is left to read this pod's status: its object was removed."""
        self.deleted = False
        """Its object waits for this node to remove it."""

    # -- what others ask of a pod --

    def stop(self, stop: Stop) -> None:
        """The first verdict stays, a later stop only shortens the time; a pod that drains has ended by itself."""
        now = asyncio.get_running_loop().time()
        if all(isinstance(self._statuses[c.name].state, Terminated) for c in self.pod.main):
            stop = replace(stop, verdict=None)
        if self._stop is None:
            self._stop, self._stop_at = stop, now
        else:
            left = self._stop_at + self._stop.grace - now
            if stop.grace < left:
                shorter = replace(stop, verdict=self._stop.verdict or stop.verdict)
                self._stop, self._stop_at = shorter, now
        self._stop_changed.set()

    def evict(self, message: str) -> None:
        """For what the pod itself used too much of: no disruption, so nobody tries it again."""
        if self._stop is None:
            log.info("pod %s/%s is evicted: %s", self.pod.namespace, self.pod.name, message)
            self.stop(Stop(_EVICTION_SECONDS, _EVICTION_MAIN_SECONDS, NodeEnding("Evicted", message)))

    async def run(self) -> None:
        """Until the pod has ended and its last status is written."""
        publishing = asyncio.create_task(self._publisher.run())
        try:
            with watched(self._context.usage, self._setup, self._runs.values(), self.evict):
                await self._unless_stopped(self._work())
                await self._end_containers()
        finally:
            publishing.cancel()
        if not self.gone:
            await self._publisher.publish_last()
        await self._setup.release()

    async def abandon(self) -> None:
        """After a failure of this code: no process may stay that nobody looks after."""
        for keeper in self._keepers.values():
            keeper.cancel()
        running = [run for run in self._runs.values() if run.running]
        for run in running:
            run.kill()
        await asyncio.gather(*(run.wait() for run in running))

    async def recover(self) -> None:
        """After the node died: what is on disk is drained by the sidecars, then the pod ends as disrupted.

        Nothing is told before: until its sidecars run again, the pod reads as if it had ended.
        """
        self._read_lost_statuses()
        lost = [s.state for s in map(self._statuses.__getitem__, (c.name for c in self.pod.main)) if _is_lost(s)]
        if lost:
            message = "The node restarted while the pod was running."
            self._stop = Stop(self.pod.grace, 0.0, NodeEnding("Terminated", message, disruption=True))
        self._stop_at = asyncio.get_running_loop().time()
        try:
            await self._setup.prepare()
            self._started = {c.name for c in self.pod.init if c.sidecar}
            await self._end_sidecars()
        except Unresolved as exc:
            log.warning("pod %s/%s cannot be drained: %s", self.pod.namespace, self.pod.name, exc)
        await self._publisher.publish_last()
        await self._setup.release()

    # -- the way up --

    async def _work(self) -> None:
        await self._resolved(self._setup.prepare, None)
        self._setup.mark_started()
        for container in self.pod.init:
            await self._start(container)
            if container.sidecar:
                await self._sidecar_started(container)
            elif (await self._runs[container.name].wait()).exit_code != 0:
                return
        for container in self.pod.main:
            await self._start(container)
        await asyncio.gather(*(self._runs[c.name].wait() for c in self.pod.main))

    async def _start(self, container: Container) -> None:
        run = self._runs[container.name]
        await self._resolved(lambda: self._setup.start(run), run)
        self._started.add(container.name)

    async def _resolved(self, action: Callable[[], Awaitable[None]], run: ContainerRun | None) -> None:
        """Again and again while something that the pod refers to is missing, as a kubelet does."""
        while True:
            try:
                return await action()
            except Unresolved as exc:
                for waiting in [run] if run else self._runs.values():
                    waiting.set_waiting(exc.reason if run else "ContainerCreating", str(exc))
                await asyncio.sleep(_RETRY_SECONDS)

    async def _sidecar_started(self, container: Container) -> None:
        self._keepers[container.name] = asyncio.create_task(self._keep_alive(container))
        probe = container.startup_probe
        if probe:
            await until_started(self._runs[container.name], probe, self._setup.launches[container.name])

    async def _keep_alive(self, container: Container) -> None:
        """Restarts a sidecar whenever it ends, at once the first time and then ever later."""
        run, loop = self._runs[container.name], asyncio.get_running_loop()
        delay = 0.0
        while True:
            begun = loop.time()
            await run.wait()
            run.prepare_restart()
            delay = 0.0 if loop.time() - begun > _STEADY_SECONDS else delay
            await asyncio.sleep(delay)
            delay = min(max(_FIRST_DELAY, delay * 2), _LONGEST_DELAY)
            await self._start(container)

    # -- the way down --

    async def _unless_stopped(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        stopped = asyncio.create_task(self._stop_changed.wait())
        deadline = self._deadline()
        try:
            await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if deadline:
                deadline.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()):
            log.error("pod %s/%s", self.pod.namespace, self.pod.name, exc_info=error)
            self.stop(Stop(self.pod.grace, self.pod.grace, NodeEnding("NodeError", str(error), disruption=True)))

    def _deadline(self) -> asyncio.TimerHandle | None:
        if self.pod.deadline is None:
            return None
        message = "Pod was active on the node longer than the specified deadline"
        stop = Stop(self.pod.grace, self.pod.grace, NodeEnding("DeadlineExceeded", message))
        return asyncio.get_running_loop().call_later(self.pod.deadline, self.stop, stop)

    async def _end_containers(self) -> None:
        """Main and init containers first; sidecars after them, so that they see all that was written."""
        others = [run for run in self._runs.values() if not run.spec.sidecar and run.running]
        await asyncio.gather(*(self._end(run, main=True) for run in others))
        if self._stop is None:
            self._stop_at = asyncio.get_running_loop().time()
        await self._end_sidecars()

    async def _end_sidecars(self) -> None:
        keepers = list(self._keepers.values())
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)
        self._draining_since = asyncio.get_running_loop().time()
        for container in reversed(self.pod.init):
            if container.sidecar:
                await self._drain(container)

    async def _drain(self, container: Container) -> None:
        """A sidecar that is down, or dies by a signal in its drain, is run again: what it left behind is on disk."""
        run = self._runs[container.name]
        for _ in range(_DRAIN_TRIES):
            if not run.running:
                if container.name not in self._started or self.gone or self._time_left(main=False) <= 0:
                    return
                run.prepare_restart()
                await self._setup.start(run)
            await self._end(run, main=False)
            if not _died_of_signal(run.status):
                return

    async def _end(self, run: ContainerRun, main: bool) -> None:
        """SIGTERM, and SIGKILL when the time is over; the time may be cut short meanwhile."""
        await run.terminate() if not main else run.terminate_now()
        ended = asyncio.create_task(run.wait())
        while not ended.done():
            left: float | None = self._time_left(main)
            if left is not None and left <= 0:
                run.kill()
                left = None
            self._stop_changed.clear()
            changed = asyncio.create_task(self._stop_changed.wait())
            await asyncio.wait([ended, changed], timeout=left, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()

    def _time_left(self, main: bool) -> float:
        now = asyncio.get_running_loop().time()
        if self._stop is None:
            return self._stop_at + self.pod.grace - now
        if main:
            return self._stop_at + self._stop.main_grace - now
        least = min(self._stop.grace, _LEAST_SIDECAR_GRACE)
        return max(self._stop_at + self._stop.grace, self._draining_since + least) - now

    # -- status --

    def _container_run(self, container: Container) -> ContainerRun:
        return ContainerRun(
            container,
            self._statuses[container.name],
            self._context.folders.log(self.pod.uid, container.name),
            self._publisher.changed,
            self._context.now,
        )

    def _status(self) -> Object:
        verdict = self._stop.verdict if self._stop else None
        self._previous = pod_status(self.pod, self._statuses, verdict, self._previous, self._context.now())
        return self._previous

    def _read_lost_statuses(self) -> None:
        """What the last node had seen end stays as it was; everything else is lost."""
        known = {
            s["name"]: s
            for key in ("initContainerStatuses", "containerStatuses")
            for s in self._previous.get(key) or ()
        }
        now = self._context.now()
        for name, status in self._statuses.items():
            ended = known.get(name, {}).get("state", {}).get("terminated")
            status.restarts = known.get(name, {}).get("restartCount", 0)
            if ended:
                status.state = Terminated(ended["exitCode"], ended["reason"], ended.get("message", ""), None, now)
            else:
                status.state = Terminated(LOST_EXIT_CODE, LOST_REASON, LOST_MESSAGE, None, now)


def _is_lost(status: ContainerStatus) -> bool:
    return isinstance(status.state, Terminated) and status.state.reason == LOST_REASON


def _died_of_signal(status: ContainerStatus) -> bool:
    return isinstance(status.state, Terminated) and status.state.exit_code == 137
