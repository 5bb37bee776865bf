"""Errors that nobody foresaw, at every step of a pass: one job's never cost another its turn."""

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Any

import pytest

from dspy_service_core.errors import ClusterUnavailable, StoreError
from dspy_service_core.kube import errors
from dspy_service_core.kube.resources import CONFIG_MAPS, JOBS, OPTIMIZATION_JOBS
from dspy_service_core.registry import registry
from dspy_service_operator.decide.decide import decide
from dspy_service_operator.housekeeping.expiry import Expiry
from dspy_service_operator.housekeeping.leftover_jobs import Lingering
from dspy_service_operator.monitoring.events import EventRecorder
from dspy_service_operator.monitoring.telemetry import Telemetry
from dspy_service_operator.queue.queue import Queue
from dspy_service_operator.reconcile.apply import Applier
from dspy_service_operator.reconcile.observe import Observer
from dspy_service_operator.reconcile.prerequisites import PrerequisiteCheck
from dspy_service_operator.reconcile.reconciler import Reconciler
from dspy_service_operator.reconcile.work_queue import WorkQueue
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.view import ClusterView
from operator_harness import Harness, accept
from operator_objects import attempt, make_raw, running_status
from simulated_cluster import Clock, SimulatedApi
from waiting import until

VICTIM, INNOCENT = ("default", "victim"), ("default", "innocent")
MOST = 3


class Breaking:
    """Does what `real` does, but for calls of `method` that are about the victim."""

    def __init__(self, real: Any, method: str, error: Exception) -> None:
        self._real, self._method, self._error = real, method, error
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        return self._broken(found) if name == self._method else found

    def __call__(self, *given: Any) -> Any:
        return self._broken(self._real)(*given)

    def _broken(self, found: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            if "victim" in repr(given):
                self.calls += 1
                raise self._error
            return found(*given, **named)

        return call


@dataclass
class Site:
    """An operator with a single slot, made of parts one of which is broken for the victim."""

    part: str = ""
    method: str = ""
    error: Exception = field(default_factory=lambda: RecursionError("as no one foresaw"))
    check: Any = accept

    def __post_init__(self) -> None:
        clock = self.clock = Clock()
        self.api, self.view, self.queue = SimulatedApi(clock), ClusterView(), Queue(1)
        settings = OperatorSettings(store_url="", internal_errors=MOST, concurrency=1)
        expiry = Expiry(self.api.client, settings, clock)
        recorder, known = EventRecorder(self.api.client, clock), registry.default()
        parts: dict[str, Any] = {
            "observer": Observer(self.api.client, self.view),
            "prerequisites": PrerequisiteCheck(self.api.client, self.check, settings),
            "applier": Applier(self.api.client, self.view, recorder, expiry, known, settings, Telemetry()),
            "decide": decide,
        }
        if self.part:
            self.broken = parts[self.part] = Breaking(parts[self.part], self.method, self.error)
        lingering = Lingering(self.api.client, self.view, lambda: 0.0)
        self.reconciler = Reconciler(
            self.view,
            self.queue,
            parts["observer"],
            parts["prerequisites"],
            parts["applier"],
            lingering,
            settings,
            clock,
            parts["decide"],
        )
        self.admitted: list[Any] = []
        self.reconciler.enqueue = self.admitted.append

    def submit(self, name: str, **given: Any) -> None:
        raw = make_raw(name, uid=f"uid-{name}", **given)
        self.view.upsert(self.api.add(OPTIMIZATION_JOBS, raw))

    def phase(self, name: str) -> str:
        found = self.api.find(OPTIMIZATION_JOBS, name)
        assert found is not None
        return str((found.get("status") or {}).get("phase", ""))

    async def passes(self, key: Any, times: int) -> list[Exception]:
        raised = []
        for _ in range(times):
            try:
                await self.reconciler.reconcile(key)
            except Exception as exc:
                raised.append(exc)
        return raised


STEPS = [
    ("observer", "glance"),
    ("observer", "full"),
    ("prerequisites", "look"),
    ("decide", ""),
]


@pytest.mark.parametrize(("part", "method"), STEPS)
async def test_a_job_on_which_a_step_fails_ends_and_frees_its_slot(part, method, caplog):
    site = Site(part, method)
    site.submit("victim")
    raised = await site.passes(VICTIM, MOST - 1)
    assert raised == [site.error] * (MOST - 1)
    assert site.queue.holds(VICTIM)
    site.submit("innocent")
    await site.passes(INNOCENT, 1)
    assert not site.api.all(JOBS)
    assert await site.passes(VICTIM, 1) == []
    assert not site.queue.holds(VICTIM)
    assert site.admitted == [INNOCENT]
    await site.passes(INNOCENT, 1)
    assert [job["metadata"]["name"] for job in site.api.all(JOBS)] == ["innocent-1"]
    status = site.api.find(OPTIMIZATION_JOBS, "victim")["status"]
    assert status["phase"] == "Failed"
    assert [c["reason"] for c in status["conditions"] if c["type"] == "Failed"] == ["InternalError"]
    assert "3 times in a row (RecursionError)" in status["message"]
    assert "as no one foresaw" not in status["message"]
    (said,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert said.exc_info is not None


async def test_so_does_one_whose_attempt_is_looked_at_in_vain():
    site = Site("observer", "refresh")
    site.submit("victim", status=running_status())
    assert await site.passes(VICTIM, MOST) == [site.error] * (MOST - 1)
    assert not site.queue.holds(VICTIM)
    assert site.phase("victim") == "Failed"


async def test_so_does_one_whose_pod_never_comes():
    site = Site("observer", "words")
    site.submit("victim")
    assert await site.passes(VICTIM, 1) == []
    site.clock.advance(120)
    assert await site.passes(VICTIM, MOST) == [site.error] * (MOST - 1)
    assert not site.queue.holds(VICTIM)
    assert site.phase("victim") == "Failed"
    assert not site.api.all(JOBS)


async def test_where_even_the_end_cannot_be_written_the_slot_is_free_and_stays_so():
    site = Site("applier", "apply")
    site.submit("victim")
    await site.passes(VICTIM, MOST)
    assert not site.queue.holds(VICTIM)
    site.submit("innocent")
    await site.passes(INNOCENT, 1)
    assert site.api.find(JOBS, "innocent-1")
    site.reconciler.take_places()
    await site.passes(VICTIM, 5)
    assert not site.queue.holds(VICTIM)
    assert len(site.queue) == 0
    assert site.broken.calls == MOST + 1 + 5


async def test_the_pauses_of_what_fails_grow():
    async def fail(_: str) -> float | None:
        raise RuntimeError("no")

    work: WorkQueue[str] = WorkQueue(fail)
    pauses = []
    for _ in range(12):
        await work._process("a")
        pauses.append(work._timers["a"].when() - asyncio.get_running_loop().time())
    assert pauses[3] > pauses[0]
    assert all(pause > 20 for pause in pauses[-1:])


async def test_the_end_is_written_when_it_can_be():
    site = Site("prerequisites", "look")
    site.submit("victim")
    site.api.fail_next = "before"
    raised = await site.passes(VICTIM, MOST)
    assert isinstance(raised[-1], errors.KubeError)
    assert not site.queue.holds(VICTIM)
    assert site.phase("victim") == ""
    assert await site.passes(VICTIM, 1) == []
    assert site.phase("victim") == "Failed"


@pytest.mark.parametrize(
    "error",
    [errors.Unavailable("away"), errors.TooManyRequests("later"), StoreError("away"), ClusterUnavailable("away")],
    ids=lambda error: type(error).__name__,
)
async def test_errors_of_the_cluster_and_the_store_are_never_counted(error):
    site = Site("prerequisites", "look", error)
    site.submit("victim")
    assert await site.passes(VICTIM, 10 * MOST) == [error] * (10 * MOST)
    assert site.phase("victim") == ""
    assert site.queue.holds(VICTIM)


@pytest.mark.parametrize(
    "error",
    [errors.Invalid("no"), errors.BadRequest("no"), errors.Forbidden("no"), errors.TooLarge("no")],
    ids=lambda error: type(error).__name__,
)
async def test_a_job_that_the_api_server_refuses_waits_without_a_slot(error):
    site = Site("applier", "apply", error)
    site.submit("victim")
    site.submit("innocent")
    await site.passes(VICTIM, 10 * MOST)
    assert site.phase("victim") == ""
    await site.passes(INNOCENT, 1)
    assert site.api.find(JOBS, "innocent-1")


async def test_a_pass_that_succeeds_starts_the_count_again():
    answers = iter([RuntimeError("a"), RuntimeError("b"), None, RuntimeError("c"), RuntimeError("d"), None])

    def check(*_: object) -> None:
        if (answer := next(answers)) is not None:
            raise answer

    site = Site(check=check)
    site.submit("victim", module={"name": "cot"})
    await site.passes(VICTIM, 3)
    assert site.api.find(JOBS, "victim-1")
    assert site.phase("victim") != "Failed"


async def test_the_attempt_of_a_job_that_is_given_up_is_stopped():
    site = Site()
    site.submit("victim")
    await site.passes(VICTIM, 1)
    assert site.api.find(JOBS, "victim-1")
    site.broken = site.reconciler._observer = Breaking(site.reconciler._observer, "glance", RuntimeError("no"))
    await site.passes(VICTIM, MOST)
    assert site.api.find(JOBS, "victim-1") is None
    assert site.phase("victim") == "Failed"


async def test_an_end_is_never_written_over():
    site = Site("decide", "")
    ended = {"phase": "Succeeded", "conditions": [], "attempt": attempt()}
    site.submit("victim", status=ended)
    await site.passes(VICTIM, MOST)
    assert site.phase("victim") == "Succeeded"
    assert site.view.get(VICTIM) is None


async def test_a_new_job_of_the_same_name_begins_anew():
    site = Site("applier", "apply")
    site.submit("victim")
    await site.passes(VICTIM, MOST)
    site.view.forget(VICTIM)
    await site.passes(VICTIM, 1)
    site.view.upsert(make_raw("victim", uid="another", version=99))
    await site.passes(VICTIM, 1)
    assert site.queue.holds(VICTIM)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("rows.json", "[" * 400_000),
        ("rows.jsonl", "[" * 400_000),
        ("rows.jsonl", '{"a":' * 100_000),
        ("rows.json", '[{"text":' + "[" * 70 + "]" * 70 + "}]"),
        ("rows.json", '[{"text":' + "[" * 600 + "]" * 600 + "}]"),
    ],
    ids=["array", "line", "objects", "deeper than a row", "deeper than is written"],
)
async def test_rows_that_are_nested_too_deeply_are_a_verdict_and_hold_nothing(key, text):
    harness = Harness(concurrency=1)
    await harness.start()
    harness.api.add(CONFIG_MAPS, {"metadata": {"name": "rows"}, "data": {key: text}})
    harness.submit("victim", dataset={"configMapKeyRef": {"name": "rows", "key": key}})
    harness.submit("innocent")
    await harness.settle()
    status = harness.status("victim")
    assert status["phase"] == "Failed"
    assert [c["reason"] for c in status["conditions"] if c["type"] == "Failed"] == ["Invalid"]
    assert "nested" in status["message"]
    assert harness.api.find(JOBS, "innocent-1")


async def test_jobs_on_which_the_operator_fails_never_stop_the_queue():
    """As it runs: as many such jobs as there are slots, and one behind them."""

    def check(spec: Any, *_: object) -> None:
        if spec.module.kwargs:
            raise RecursionError("as no one foresaw")

    harness = Harness(concurrency=2, internal_errors=2)
    harness.check = check
    await harness.start()
    for name in ("one", "two", "three"):
        harness.submit(name, module={"name": "cot", "kwargs": {"a": 1}}, run={"priority": 10})
    harness.submit("innocent")
    async with harness.controller.running():
        harness.deliver_all()

        async def all_there() -> bool:
            harness.deliver_all()
            failed = [harness.status(name).get("phase") == "Failed" for name in ("one", "two", "three")]
            return all(failed) and harness.api.find(JOBS, "innocent-1") is not None

        await until(all_there)
