"""Every part of `up` that fails is started again from what is stored, and says in the log why it failed."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dspy_service_core.kube.resources import CONFIG_MAPS, JOBS, PODS
from dspy_service_local.apiserver import ApiServer, Cluster
from dspy_service_local.supervision import keep_running
from faulty_transport import Defect
from node_host import Host, make_job, make_pod, node_host, owned_pods, script
from waiting import until


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    async with node_host(tmp_path) as host:
        yield host


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    opened = await Cluster.open(tmp_path)
    yield opened
    await opened.close()


async def test_a_part_that_fails_or_ends_is_run_again_and_its_cause_logged(caplog: pytest.LogCaptureFixture) -> None:
    runs = 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise RuntimeError("the cause")
        if runs == 3:
            await asyncio.Event().wait()

    keeping = asyncio.create_task(keep_running("the part", part))
    await until(lambda: _is(runs == 3))
    keeping.cancel()
    failed, ended = caplog.records
    assert "the part" in failed.getMessage()
    assert failed.exc_info
    assert str(failed.exc_info[1]) == "the cause"
    assert "ended by itself" in ended.getMessage()


async def test_the_node_sees_pods_that_were_made_while_it_was_down(host: Host) -> None:
    defect = host.kube.transport.during = Defect("watch", PODS)
    names = [host.run_pod(containers=[script("print('done')")]) for _ in range(3)]
    for name in names:
        assert (await host.ended(name))["phase"] == "Succeeded"
    assert not defect.left


async def test_pods_run_on_while_the_node_is_down(host: Host) -> None:
    waits = host.run_pod(containers=[script("import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)")])
    await host.container(waits, "main", "running")
    host.kube.transport.during = Defect("watch", PODS)
    other = host.run_pod(containers=[script("print('done')")])
    assert (await host.ended(other))["phase"] == "Succeeded"
    assert host.status_of(waits, "main")["restartCount"] == 0
    assert "running" in host.status_of(waits, "main")["state"]


async def test_a_pods_end_is_told_however_often_that_fails(host: Host) -> None:
    name = host.run_pod(containers=[script("import time; print('up'); time.sleep(3)")])
    await host.container(name, "main", "running")
    defect = host.kube.transport.before = Defect("patch", PODS, times=8)
    assert (await host.ended(name))["phase"] == "Succeeded"
    assert not defect.left


async def test_a_pod_whose_care_failed_is_cared_for_again(host: Host) -> None:
    token = {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    pod = make_pod([script("print('again')")], volumes=[token])
    state = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    pod["status"] = {"phase": "Running", "containerStatuses": [{"name": "main", "state": state, "restartCount": 0}]}
    host.tokens.defects = 1
    status = await host.ended(str(host.kube.add(PODS, pod)["metadata"]["name"]))
    assert (status["phase"], status["reason"], host.tokens.defects) == ("Failed", "Terminated", 0)
    assert "DisruptionTarget" in {c["type"] for c in status["conditions"]}


@pytest.mark.parametrize(("method", "resource"), [("watch", JOBS), ("watch", PODS), ("create", PODS), ("patch", JOBS)])
async def test_the_job_controller_finishes_every_job(host: Host, method: str, resource: Any) -> None:
    defect = host.kube.transport.before = host.kube.transport.during = Defect(method, resource)
    for name in ("first", "second"):
        host.kube.add(JOBS, make_job(make_pod([script("print('done')")]), name))
    for name in ("first", "second"):
        await until(lambda name=name: _is("Complete" in _conditions(host, name)))  # type: ignore[misc]  # binds the loop's value
    assert not defect.left
    assert len(owned_pods(host.kube)) == 2


async def test_the_clusters_http_server_is_back_at_the_same_address(cluster: Cluster) -> None:
    server = await ApiServer.start(cluster)
    verify = ssl.create_default_context(cafile=cluster.pki.authority)
    async with httpx.AsyncClient(verify=verify, headers={"Authorization": f"Bearer {cluster.pki.admin_token}"}) as http:
        failed = server.running
        failed.should_exit = True

        async def answers() -> bool:
            try:
                return (await http.get(f"{server.url}/api/v1/namespaces/default")).status_code == 200
            except httpx.TransportError:
                return False

        await until(lambda: _is(server.running is not failed))
        await until(answers)
    await server.stop()


async def test_garbage_is_collected_by_the_next_run(cluster: Cluster) -> None:
    collect, failures = cluster.operations.storage.dependents, 1

    def defect(owner: str) -> Any:
        nonlocal failures
        if failures:
            failures -= 1
            raise RuntimeError("a defect")
        return collect(owner)

    cluster.operations.storage.dependents = defect  # type: ignore[method-assign]  # the defect
    owner = await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "owner"}}, "default")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await cluster.client.create(CONFIG_MAPS, {"metadata": {"name": "owned", "ownerReferences": [reference]}}, "default")
    await cluster.client.delete(CONFIG_MAPS, "owner", "default")

    async def gone() -> bool:
        names = [o["metadata"]["name"] for o in (await cluster.client.list(CONFIG_MAPS, "default")).items]
        return "owned" not in names

    await until(gone)
    assert not failures


def _conditions(host: Host, name: str) -> set[str]:
    job = host.kube.find(JOBS, name) or {}
    known = (job.get("status") or {}).get("conditions") or []
    return {c["type"] for c in known if c["status"] == "True"}


async def _is(value: bool) -> bool:
    return value
