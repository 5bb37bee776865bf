"""Two operators as processes, on the cluster under test: one acts, and when it dies or freezes the other does."""

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import JOBS, LEASES, OPTIMIZATION_JOBS, SERVICE_ACCOUNTS
from dspy_service_operator.leader.leadership import LOST
from operator_objects import make_raw
from operator_processes import OperatorProcess, Start, operator_processes
from played_runners import PlayedRunners
from waiting import until

pytestmark = pytest.mark.usefixtures("optimization_jobs")

MOST_JOBS = 50
LEASE = {"lease_name": "operator", "lease_seconds": 30, "concurrency": 20}
RUN_SECONDS = 1.0


@pytest.fixture
async def client(kubeconfig: Path, namespace: str) -> AsyncIterator[KubeClient]:
    made = KubeClient(HttpTransport(from_kubeconfig(kubeconfig)))
    account = {"metadata": {"name": "dspy-service-runner"}}
    await made.create(SERVICE_ACCOUNTS, account, namespace)
    yield made
    await made.close()


@pytest.fixture
def start(kubeconfig: Path, namespace: str, tmp_path: Path) -> Iterator[Start]:
    with operator_processes(kubeconfig, namespace, tmp_path) as starting:
        yield starting


@pytest.fixture
async def played(client: KubeClient, namespace: str) -> AsyncIterator[PlayedRunners]:
    controlled = await _has_job_controller(client, namespace)
    async with PlayedRunners(client, namespace, RUN_SECONDS, controlled=controlled).playing() as playing:
        yield playing


async def _has_job_controller(client: KubeClient, namespace: str) -> bool:
    """It says of a suspended Job that it is suspended."""
    container = {"name": "probe", "image": "probe"}
    template = {"spec": {"containers": [container], "restartPolicy": "Never"}}
    probe = {"metadata": {"name": "probe"}, "spec": {"suspend": True, "template": template}}
    await client.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", **probe}, namespace)

    async def answered() -> bool:
        return bool(((await client.get(JOBS, "probe", namespace)).get("status") or {}).get("conditions"))

    try:
        return await until(answered, timeout=20)
    except AssertionError:
        return False
    finally:
        await client.delete(JOBS, "probe", namespace)


async def _leader(*operators: OperatorProcess) -> OperatorProcess:
    async def found() -> OperatorProcess | None:
        return next((each for each in operators if each.process.poll() is None and each.leads), None)

    leader = await until(found, timeout=60, what="an operator to lead")
    assert leader is not None
    return leader


async def _submit(client: KubeClient, namespace: str, count: int) -> list[str]:
    names = [f"job-number-{number}" for number in range(count)]
    for name in names:
        raw = make_raw(name)
        body = {part: raw[part] for part in ("apiVersion", "kind", "spec")} | {"metadata": {"name": name}}
        await client.create(OPTIMIZATION_JOBS, body, namespace)
    return names


async def _phases(client: KubeClient, namespace: str) -> dict[str, str]:
    found = (await client.list(OPTIMIZATION_JOBS, namespace)).items
    return {raw["metadata"]["name"]: (raw.get("status") or {}).get("phase", "Pending") for raw in found}


async def _all_succeed(client: KubeClient, namespace: str, count: int) -> None:
    async def done() -> bool:
        return list((await _phases(client, namespace)).values()) == ["Succeeded"] * count

    await until(done, timeout=120, interval=0.5, what="every job to succeed")


async def _some_run(client: KubeClient, namespace: str) -> None:
    async def running() -> bool:
        return "Running" in (await _phases(client, namespace)).values()

    await until(running, timeout=60)


async def _assert_each_ran_once(client: KubeClient, namespace: str, played: PlayedRunners, names: list[str]) -> None:
    assert played.ran == dict.fromkeys(names, 1)
    jobs = [job["metadata"]["name"] for job in (await client.list(JOBS, namespace)).items]
    assert sorted(jobs) == sorted(f"{name}-1" for name in names)


async def test_a_killed_leader_is_followed_and_no_job_runs_twice_or_is_lost(
    client: KubeClient, namespace: str, start: Start, played: PlayedRunners
) -> None:
    operators = [start(**LEASE), start(**LEASE)]
    first = await _leader(*operators)
    second = next(each for each in operators if each is not first)
    names = await _submit(client, namespace, MOST_JOBS)
    await _some_run(client, namespace)
    assert not second.leads
    first.send(signal.SIGKILL)
    assert await _leader(second) is second
    await _all_succeed(client, namespace, MOST_JOBS)
    await _assert_each_ran_once(client, namespace, played, names)


async def test_a_frozen_leader_ends_when_it_wakes(
    client: KubeClient, namespace: str, start: Start, played: PlayedRunners
) -> None:
    operators = [start(**LEASE), start(**LEASE)]
    first = await _leader(*operators)
    second = next(each for each in operators if each is not first)
    names = await _submit(client, namespace, MOST_JOBS)
    await _some_run(client, namespace)
    first.send(signal.SIGSTOP)
    await _leader(second)
    first.send(signal.SIGCONT)
    assert await asyncio.to_thread(first.ended) == LOST
    ways = ("its time as the leader is over", "could not be renewed", "holds the Lease")  # whichever notices first
    assert any(way in first.said for way in ways), first.said
    await _all_succeed(client, namespace, MOST_JOBS)
    await _assert_each_ran_once(client, namespace, played, names)


async def test_a_leader_that_was_frozen_too_long_does_nothing_more(
    client: KubeClient, namespace: str, start: Start
) -> None:
    """Nobody else acts here: whatever happened would be its doing."""
    frozen = await _leader(start(**LEASE))
    await client.create(OPTIMIZATION_JOBS, _body("before"), namespace)

    async def acted() -> bool:
        return bool((await client.list(JOBS, namespace)).items)

    await until(acted, timeout=30)
    frozen.send(signal.SIGSTOP)
    for number in range(10):
        await client.create(OPTIMIZATION_JOBS, _body(f"while-frozen-{number}"), namespace)
    held = (await client.get(LEASES, "operator", namespace))["spec"]["leaseDurationSeconds"]
    await asyncio.sleep(held)  # what must pass is time itself
    frozen.send(signal.SIGCONT)
    assert await asyncio.to_thread(frozen.ended) == LOST
    assert [job["metadata"]["name"] for job in (await client.list(JOBS, namespace)).items] == ["before-1"]
    for raw in (await client.list(OPTIMIZATION_JOBS, namespace)).items:
        assert raw["metadata"]["name"] == "before" or not raw.get("status")


async def test_a_leader_that_is_asked_to_end_hands_over_at_once(
    client: KubeClient, namespace: str, start: Start
) -> None:
    patient = LEASE | {"lease_seconds": 60}
    first = await _leader(start(**patient))
    second = start(**patient)
    first.send(signal.SIGTERM)
    assert await asyncio.to_thread(first.ended) == 0
    assert await _leader(second) is second  # long before the Lease would have run out


def _body(name: str) -> dict[str, object]:
    raw = make_raw(name)
    return {part: raw[part] for part in ("apiVersion", "kind", "spec")} | {"metadata": {"name": name}}
