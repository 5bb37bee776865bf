"""Whatever happens in whatever order (events late or lost, writes that fail, crashes, kills, people's own commands):
each job comes to its right end, and never are there two attempts at work."""

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings, strategies as st

from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import derive_phase
from dspy_service_core.resource.status import FINAL_PHASES, OptimizationJobStatus
from operator_harness import WATCHED, Harness

JOB_NAMES = ("one", "two", "three")
SLOTS = 2
RETRIES = 2
LENGTH = 100

Step = tuple[str, int]

PASSES = ("reconcile", "deliver", "lose_events", "crash", "resync", "fail_before", "fail_after")
NODES = ("control_jobs", "start", "report", "exit_0", "exit_1", "exit_137", "exit_64", "evict", "reap", "begin_pods")
PEOPLE = ("delete_pod", "delete_job", "suspend", "resume", "cancel", "keep_best", "delete_record")
TIME = ("succeed", "fail", "advance")


class World:
    def __init__(self) -> None:
        self.harness = Harness(concurrency=SLOTS, retries=RETRIES, retry_backoff_seconds=5)
        self.ends: dict[str, tuple[str, str]] = {}
        self.asked: dict[str, set[str]] = {name: set() for name in JOB_NAMES}

    async def begin(self) -> None:
        await self.harness.start()
        for number, name in enumerate(JOB_NAMES):
            self.harness.submit(name, api_made=number > 0, run={"priority": number})

    async def step(self, step: Step) -> None:
        what, number = step
        name = JOB_NAMES[number % len(JOB_NAMES)]
        act: Callable[[str, int], object] = getattr(self, what)
        outcome = act(name, number)
        if asyncio.iscoroutine(outcome):
            await outcome
        self.check()

    # --- the operator

    async def reconcile(self, name: str, _: int) -> None:
        await self.harness.reconcile(name)

    def deliver(self, _: str, number: int) -> None:
        self.harness.deliver(WATCHED[number % len(WATCHED)], most=1 + number % 4)

    def lose_events(self, _: str, number: int) -> None:
        self.harness.skip_events(WATCHED[number % len(WATCHED)])

    async def crash(self, *_: object) -> None:
        await self.harness.start()

    async def resync(self, *_: object) -> None:
        await self.harness.controller.resync()

    def fail_before(self, *_: object) -> None:
        self.harness.api.fail_next = "before"

    def fail_after(self, *_: object) -> None:
        self.harness.api.fail_next = "after"

    async def go_on(self, name: str, _: int) -> None:
        """A stretch in which all goes well, so that the next fault hits further on."""
        self.harness.deliver_all()
        await self.harness.reconcile(name)
        self.harness.nodes.control_jobs()
        self.harness.deliver_all()
        await self.harness.reconcile(name)
        for act in (self.harness.nodes.start, self.harness.nodes.begin):
            self._each_pod(name, act)

    # --- the cluster

    def control_jobs(self, *_: object) -> None:
        self.harness.nodes.control_jobs()

    def reap(self, *_: object) -> None:
        self.harness.nodes.reap()

    def start(self, name: str, _: int) -> None:
        self._each_pod(name, self.harness.nodes.start)

    def begin_pods(self, name: str, _: int) -> None:
        self._each_pod(name, self.harness.nodes.begin)

    def report(self, name: str, _: int) -> None:
        self._each_pod(name, lambda pod: self.harness.nodes.report(pod, progress={"percent": "50"}))

    def succeed(self, name: str, _: int) -> None:
        self._each_pod(name, lambda pod: self.harness.nodes.finish(pod, "Succeeded"))

    def fail(self, name: str, _: int) -> None:
        self._each_pod(name, lambda pod: self.harness.nodes.finish(pod, "Failed"))

    def evict(self, name: str, _: int) -> None:
        self._each_pod(name, self.harness.nodes.evict)

    def exit_0(self, name: str, _: int) -> None:
        self._exit(name, 0)

    def exit_1(self, name: str, _: int) -> None:
        self._exit(name, 1)

    def exit_64(self, name: str, _: int) -> None:
        self._exit(name, 64)

    def exit_137(self, name: str, _: int) -> None:
        self._exit(name, 137)

    def _exit(self, name: str, code: int) -> None:
        if code in (0, 1):
            self.asked[name].add("user fault")
        self._each_pod(name, lambda pod: self.harness.nodes.exit(pod, code))

    # --- people

    def delete_pod(self, name: str, _: int) -> None:
        self._each_pod(name, lambda pod: self.harness.api.remove(PODS, pod))

    def delete_job(self, name: str, _: int) -> None:
        for job in self.harness.api.all(JOBS):
            if job["metadata"]["labels"][names.LABEL_JOB] == name:
                self.harness.api.remove(JOBS, job)

    def suspend(self, name: str, _: int) -> None:
        self.harness.edit(name, suspend=True)

    def resume(self, name: str, _: int) -> None:
        self.harness.edit(name, suspend=False)

    def cancel(self, name: str, _: int) -> None:
        self.asked[name].add("Cancel")
        self.harness.edit(name, stop="Cancel")

    def keep_best(self, name: str, _: int) -> None:
        self.asked[name].add("KeepBest")
        self.harness.edit(name, stop="KeepBest")

    def delete_record(self, name: str, _: int) -> None:
        """Somebody's finalizers keep it."""
        self.asked[name].add("Delete")
        job = self.harness.job(name)
        held = {**job, "metadata": {**job["metadata"], "finalizers": ["example.org/hold"]}}
        self.harness.api.change(OPTIMIZATION_JOBS, job, held)
        self.harness.api.remove(OPTIMIZATION_JOBS, self.harness.job(name))

    def advance(self, _: str, number: int) -> None:
        self.harness.clock.advance((1, 10, 45, 90)[number % 4])

    # --- what must always hold

    def check(self) -> None:
        for name in JOB_NAMES:
            assert len(self.harness.nodes.running_code(name)) <= 1, f"two attempts of {name} at work"
            status = self.harness.status(name)
            if status.get("phase") in FINAL_PHASES:
                end = (status["phase"], status["completedAt"])
                assert self.ends.setdefault(name, end) == end, "an end is final"
            parsed = OptimizationJobStatus.model_validate(status)
            assert parsed.phase == derive_phase(parsed.conditions)
            assert parsed.retries_used <= RETRIES
            assert sum(entry.counted for entry in parsed.attempts) == parsed.retries_used
        assert self._at_work() <= SLOTS, "more jobs at work than there are slots"

    def _at_work(self) -> int:
        """Unfinished jobs with a Job that runs a pod, or is about to make one."""
        ended = {pod["metadata"]["ownerReferences"][0]["uid"] for pod in self.harness.pods() if self._ended(pod)}
        active = {
            job["metadata"]["labels"][names.LABEL_JOB]
            for job in self.harness.api.all(JOBS)
            if not (job.get("status") or {}).get("conditions") and job["metadata"]["uid"] not in ended
        }
        return sum(1 for name in active if self.harness.status(name).get("phase") not in FINAL_PHASES)

    def _ended(self, pod: Object) -> bool:
        return pod["status"]["phase"] in ("Succeeded", "Failed")

    # --- the end

    async def calm(self) -> None:
        """Nothing goes wrong any more: everybody does what is to be done."""
        self.harness.api.fail_next = ""
        for name in JOB_NAMES:
            self.harness.edit(name, suspend=False)
        for _ in range(40):
            await self.harness.controller.resync()
            for name in JOB_NAMES:
                await self.harness.reconcile(name)
                self.check()
            self.harness.nodes.control_jobs()
            self.harness.nodes.reap()
            for name in JOB_NAMES:
                for act in (self.harness.nodes.start, self.harness.nodes.begin):
                    self._each_pod(name, act)
                self.check()
                self.succeed(name, 0)
            self.harness.clock.advance(20)
            if all(
                names.LABEL_FINISHED in job["metadata"]["labels"] for job in self.harness.api.all(OPTIMIZATION_JOBS)
            ):
                return
        raise AssertionError(f"no end: {[self.harness.status(name) for name in JOB_NAMES]}")

    def check_ends(self) -> None:
        for name in JOB_NAMES:
            status = OptimizationJobStatus.model_validate(self.harness.status(name))
            asked = self.asked[name]
            if status.run.result is not None and status.phase != status.run.result.outcome:
                assert status.phase == "Cancelled", "a result record decides"
            if not asked and (status.run.result is None or status.run.result.outcome == "Succeeded"):
                assert status.phase == "Succeeded" or status.retries_used == RETRIES, status.message
            if status.phase == "Cancelled":
                assert asked & {"Cancel", "KeepBest", "Delete"}

    def _each_pod(self, name: str, act: Callable[[Object], object]) -> None:
        for pod in self.harness.pods():
            if pod["metadata"]["labels"][names.LABEL_JOB] == name:
                act(pod)


def walk(seed: int) -> list[Step]:
    """Swarm testing: each walk knows only some of the faults, or early ends would hide what comes after them."""
    chance = random.Random(seed)
    known = [kind for kind in PASSES + NODES + PEOPLE + TIME if chance.random() < 0.4]
    kinds = [*known, *["go_on"] * (1 + len(known) // 4), *["deliver", "reconcile"] * (len(known) // 3)]
    return [(chance.choice(kinds), chance.randrange(24)) for _ in range(LENGTH)]


async def live_through(steps: list[Step]) -> None:
    world = World()
    await world.begin()
    for step in steps:
        await world.step(step)
    await world.calm()
    world.check_ends()


@pytest.mark.timeout(300)
@settings(max_examples=200)
@given(st.integers(0, 2**32))
def test_each_job_comes_to_its_right_end(seed):
    asyncio.run(live_through(walk(seed)))
