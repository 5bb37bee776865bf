"""Jobs on a node: from the Job object to its conditions, with real processes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.kube.protocol import KubeRequest
from dspy_service_core.kube.resources import JOBS, PODS
from faulty_transport import no_delay
from node_host import Host, make_job, make_pod, node_host, owned_pods, script
from waiting import until

SLEEP = "import time; print('up'); time.sleep(60)"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with node_host(tmp_path) as host:
        yield host


async def condition(host: Host, wanted: str, name: str = "work") -> dict[str, Any]:
    async def there() -> dict[str, Any] | None:
        job = host.kube.find(JOBS, name) or {}
        known = (job.get("status") or {}).get("conditions") or []
        return next((c for c in known if c["type"] == wanted and c["status"] == "True"), None)

    return await until(there, what=f"{wanted}; {host.kube.find(JOBS, name)}") or {}


async def running_pod(host: Host) -> str:
    async def there() -> str:
        names = [
            p["metadata"]["name"] for p in owned_pods(host.kube) if (p.get("status") or {}).get("phase") == "Running"
        ]
        return names[0] if names else ""

    return await until(there)


async def test_a_job_completes(host: Host) -> None:
    host.kube.add(JOBS, make_job(make_pod([script("print('done')")])))
    await condition(host, "Complete")
    pod = owned_pods(host.kube)[0]
    assert pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == "work"
    assert pod["metadata"]["ownerReferences"][0]["uid"] == (host.kube.find(JOBS, "work") or {})["metadata"]["uid"]
    assert len(owned_pods(host.kube)) == 1


async def test_a_failing_job_makes_no_second_pod(host: Host) -> None:
    host.kube.add(JOBS, make_job(make_pod([script("raise SystemExit(1)")])))
    assert (await condition(host, "Failed"))["reason"] == "BackoffLimitExceeded"
    assert len(owned_pods(host.kube)) == 1


async def test_the_deadline_ends_a_job(host: Host) -> None:
    host.kube.add(JOBS, make_job(make_pod([script(SLEEP)]), activeDeadlineSeconds=1))
    assert (await condition(host, "Failed"))["reason"] == "DeadlineExceeded"
    assert owned_pods(host.kube) == []


async def test_suspend_and_resume(host: Host) -> None:
    host.kube.add(JOBS, make_job(make_pod([script(SLEEP)])))
    first = await running_pod(host)
    await host.kube.client.patch(JOBS, "work", {"spec": {"suspend": True}}, "default")
    await condition(host, "Suspended")
    await until(lambda: _async(not owned_pods(host.kube)))
    await host.kube.client.patch(JOBS, "work", {"spec": {"suspend": False}}, "default")
    assert await running_pod(host) != first


async def test_a_late_answer_does_not_undo_what_came_after(host: Host) -> None:
    """The resumption is told by the watch before the write of the suspension's status is answered."""
    host.kube.add(JOBS, make_job(make_pod([script(SLEEP)])))
    first = await running_pod(host)

    async def resumed_meanwhile(request: KubeRequest) -> None:
        if request.about == "jobs/status" and b"JobSuspended" in (request.body or b""):
            host.kube.transport.delay = no_delay
            host.kube.change(JOBS, "work", {"spec": {"suspend": False}})
            await until(lambda: _async(not host.controller._jobs["default", "work"]["spec"]["suspend"]))

    host.kube.transport.delay = resumed_meanwhile
    host.kube.change(JOBS, "work", {"spec": {"suspend": True}})
    await until(lambda: _async(host.kube.transport.delay is no_delay))
    await until(lambda: _async(not host.kube.find(PODS, first)))
    await until(lambda: _async("JobResumed" in str(host.kube.find(JOBS, "work"))))


async def test_a_pod_deleted_behind_its_back_fails_the_job(host: Host) -> None:
    host.kube.add(JOBS, make_job(make_pod([script(SLEEP)])))
    await host.kube.client.delete(PODS, await running_pod(host), "default")
    assert (await condition(host, "Failed"))["reason"] == "BackoffLimitExceeded"
    assert owned_pods(host.kube) == []


async def test_a_finished_job_goes_after_its_ttl_with_its_pod(host: Host) -> None:
    host.kube.add(JOBS, make_job(make_pod([script("print('done')")]), ttlSecondsAfterFinished=0))
    await until(lambda: _async(host.kube.find(JOBS, "work") is None and not owned_pods(host.kube)))


async def test_deleting_a_job_ends_its_processes(host: Host) -> None:
    host.kube.add(JOBS, make_job(make_pod([script(SLEEP)])))
    await running_pod(host)
    await host.kube.client.delete(JOBS, "work", "default")
    await until(lambda: _async(not owned_pods(host.kube)))


async def _async(value: bool) -> bool:
    return value
