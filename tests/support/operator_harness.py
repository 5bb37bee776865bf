"""The operator on a simulated cluster, driven by hand: events are delivered and keys reconciled when a test says so."""

from collections.abc import Sequence
from typing import Any

from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS, Resource
from dspy_service_core.registry import registry
from dspy_service_operator.controller import Controller
from dspy_service_operator.monitoring.telemetry import Telemetry
from dspy_service_operator.queue.queue import Key
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.resync import UNFINISHED
from operator_objects import make_raw
from simulated_cluster import Clock, SimulatedApi, SimulatedNodes, selected

WATCHED = (OPTIMIZATION_JOBS, JOBS, PODS)
_ROUNDS = 60


def accept(*_: object) -> None:
    """A check that finds every spec usable."""


class Harness:
    def __init__(self, telemetry: Telemetry | None = None, **settings: Any) -> None:
        self.clock = Clock()
        self.api = SimulatedApi(self.clock)
        self.nodes = SimulatedNodes(self.api)
        self.settings = OperatorSettings(**{"store_url": "", **settings})
        self.check = accept
        self.registry = registry.default()
        self.telemetry = telemetry
        self._cursors: dict[str, int] = {}
        self._shown: set[str] = set()
        self.controller = self._new()

    def _new(self) -> Controller:
        return Controller(
            self.api.client,
            self.settings,
            lambda *args: self.check(*args),
            self.registry,
            clock=self.clock,
            telemetry=self.telemetry,
        )

    async def start(self) -> None:
        """A new process: nothing is known but what it lists."""
        self.controller = self._new()
        self.skip_events()
        self._shown.clear()
        await self.controller.resync()

    def submit(self, name: str = "tickets", **given: Any) -> Object:
        raw = make_raw(name, **given)
        del raw["metadata"]["uid"], raw["metadata"]["creationTimestamp"]
        return self.api.add(OPTIMIZATION_JOBS, raw)

    def job(self, name: str = "tickets") -> Object:
        found = self.api.find(OPTIMIZATION_JOBS, name)
        assert found is not None
        return found

    def status(self, name: str = "tickets") -> Object:
        return dict(self.job(name).get("status") or {})

    def edit(self, name: str = "tickets", **spec: Any) -> None:
        job = self.job(name)
        self.api.change(OPTIMIZATION_JOBS, job, {**job, "spec": {**job["spec"], **spec}})

    def pods(self) -> Sequence[Object]:
        return self.api.all(PODS)

    def deliver(self, resource: Resource, most: int = 1_000_000) -> None:
        """The next events of one watch."""
        while most > 0 and (event := self._next(resource)) is not None:
            most -= 1
            kind, obj = event
            if resource is OPTIMIZATION_JOBS:
                self.controller.job_event(kind, obj)
            else:
                view = self.controller.view
                self.controller.child_event(view.jobs if resource is JOBS else view.pods, kind, obj)

    def deliver_all(self) -> None:
        for resource in WATCHED:
            self.deliver(resource)

    def skip_events(self, *resources: Resource) -> None:
        """A watch that was down: what happened meanwhile is told to nobody."""
        for resource in resources or WATCHED:
            self._cursors[resource.plural] = len(self.api.log)

    async def reconcile(self, name: str = "tickets") -> float | None:
        """One pass; what the API server refuses is tried again by whoever calls next."""
        try:
            return await self.controller.reconcile(("default", name))
        except KubeError:
            return 0.0

    async def settle(self, *names: str) -> None:
        """Passes and events until nothing changes any more; neither nodes nor the clock move."""
        for _ in range(_ROUNDS):
            self.deliver_all()
            before = len(self.api.log)
            for name in names or self.names():
                while await self.reconcile(name) == 0.0:
                    self.deliver_all()
            if len(self.api.log) == before:
                return
        raise AssertionError("the operator does not come to rest")

    def names(self) -> list[str]:
        return [key[1] for key in self.api.objects.get(OPTIMIZATION_JOBS.plural, {})]

    def keys(self) -> list[Key]:
        return list(self.api.objects.get(OPTIMIZATION_JOBS.plural, {}))

    def _next(self, resource: Resource) -> tuple[str, Object] | None:
        """With the watch's selector: an object that leaves it is told as deleted."""
        place = self._cursors.get(resource.plural, 0)
        while place < len(self.api.log):
            plural, kind, obj = self.api.log[place]
            place += 1
            self._cursors[resource.plural] = place
            if plural != resource.plural:
                continue
            if resource is not OPTIMIZATION_JOBS:
                return kind, obj
            uid = obj["metadata"]["uid"]
            if kind != "DELETED" and selected(obj, UNFINISHED):
                self._shown.add(uid)
                return kind, obj
            if uid in self._shown:
                self._shown.discard(uid)
                return "DELETED", obj
        return None
