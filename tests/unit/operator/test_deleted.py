"""A job that is being deleted while somebody's finalizers keep its record: its attempt ends, its slot is free."""

from collections.abc import Awaitable, Callable

import pytest

from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from operator_harness import Harness

HOLD = "example.org/backup"


@pytest.fixture
async def harness() -> Harness:
    made = Harness(concurrency=1)
    await made.start()
    return made


def delete(harness: Harness, name: str = "tickets") -> None:
    job = harness.job(name)
    held = {**job, "metadata": {**job["metadata"], "finalizers": [HOLD]}}
    harness.api.change(OPTIMIZATION_JOBS, job, held)
    harness.api.remove(OPTIMIZATION_JOBS, harness.job(name))
    assert harness.job(name)["metadata"]["deletionTimestamp"]


async def new(harness: Harness) -> None:
    harness.submit(api_made=True)


async def admitted(harness: Harness) -> None:
    await new(harness)
    await harness.settle()


async def with_pod(harness: Harness) -> None:
    await admitted(harness)
    harness.nodes.control_jobs()
    await harness.settle()


async def started(harness: Harness) -> None:
    await with_pod(harness)
    harness.nodes.start(harness.pods()[0])
    await harness.settle()


async def running(harness: Harness) -> None:
    await started(harness)
    harness.nodes.begin(harness.pods()[0])
    await harness.settle()


async def suspended(harness: Harness) -> None:
    await running(harness)
    harness.edit(suspend=True)
    await harness.settle()


STAGES = [new, admitted, with_pod, started, running, suspended]
Stage = Callable[[Harness], Awaitable[None]]


def still_wanted(harness: Harness) -> list[str]:
    """Attempts' Jobs, and pods that nobody has asked to end."""
    pods = [pod for pod in harness.pods() if not pod["metadata"].get("deletionTimestamp")]
    return [obj["metadata"]["name"] for obj in (*harness.api.all(JOBS), *pods)]


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("stage", STAGES)
async def test_its_attempt_ends_whatever_it_was_at(harness: Harness, stage: Stage, restarted: bool) -> None:
    await stage(harness)
    delete(harness)
    if restarted:
        await harness.start()
    await harness.settle()
    assert still_wanted(harness) == []
    assert harness.status()["phase"] == "Cancelled"
    assert harness.status()["message"] == "Deleted before its end; finalizers keep its record."
    assert names.LABEL_FINISHED in harness.job()["metadata"]["labels"]


async def test_its_slot_is_the_next_ones(harness: Harness) -> None:
    await running(harness)
    harness.submit("waiting", api_made=True)
    await harness.settle()
    delete(harness)
    await harness.settle()
    assert [job["metadata"]["name"] for job in harness.api.all(JOBS)] == ["waiting-1"]


async def test_one_that_waited_never_starts(harness: Harness) -> None:
    await running(harness)
    harness.submit("waiting", api_made=True)
    await harness.settle()
    delete(harness, "waiting")
    await harness.settle()
    harness.nodes.finish(harness.pods()[0], "Succeeded")
    await harness.settle()
    assert harness.status("waiting")["phase"] == "Cancelled"
    assert not any(job["metadata"]["name"].startswith("waiting") for job in harness.api.all(JOBS))


@pytest.mark.parametrize("told", [False, True], ids=["reported", "ended"])
async def test_an_end_that_was_before_stays(harness: Harness, told: bool) -> None:
    await running(harness)
    harness.nodes.finish(harness.pods()[0], "Succeeded")
    if told:
        await harness.settle()
    delete(harness)
    await harness.settle()
    assert harness.status()["phase"] == "Succeeded"


async def test_what_cannot_be_read_is_ended_too(harness: Harness) -> None:
    """Its attempt was made by a version that could read it."""
    await running(harness)
    harness.edit(module="not an object")
    delete(harness)
    await harness.settle()
    assert harness.status()["phase"] == "Failed"
    assert still_wanted(harness) == []
