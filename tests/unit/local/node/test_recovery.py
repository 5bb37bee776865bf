"""A node that died: its processes die with it, and the next node drains what they left."""

import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from dspy_service_core.kube.resources import PODS
from faulty_cluster import FaultyCluster, faulty_cluster
from node_host import Host, launchers, make_pod, node_host, script, sidecar
from waiting import until, wait_for

Start = Callable[[FaultyCluster], AbstractAsyncContextManager[Host]]
SUPPORT = Path(__file__).parents[3] / "support"
DRAIN = """
import signal, sys, time
base = sys.argv[1]
def drain(*_):
    print('drained', open(f'{base}/result').read())
    sys.exit(0)
time.sleep(0.3)
signal.signal(signal.SIGTERM, drain)
while True: time.sleep(0.05)
"""


@pytest.fixture
async def kube(tmp_path: Path) -> AsyncIterator[FaultyCluster]:
    async with faulty_cluster(tmp_path / "cluster") as kube:
        yield kube


@pytest.fixture(params=["sandbox", "plain"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    known = launchers(tmp_path)
    if request.param not in known:
        pytest.skip("bubblewrap does not work here")

    @asynccontextmanager
    async def start(kube: FaultyCluster) -> AsyncIterator[Host]:
        async with node_host(tmp_path, known[request.param], kube) as host:
            yield host

    return start


def lost_pod(kube: FaultyCluster, folder: Path, main: dict[str, Any]) -> str:
    """A pod as a killed node leaves it: its object says that it runs, its folder has its work."""
    mounts = [{"name": "shared", "mountPath": "/shared"}]
    pod = make_pod(
        [script("print('again')", volumeMounts=mounts)],
        init=[sidecar(DRAIN, args=["/shared"], volumeMounts=mounts)],
        volumes=[{"name": "shared", "emptyDir": {}}],
    )
    running = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
    pod["status"] = {
        "phase": "Running",
        "initContainerStatuses": [{"name": "side", "state": running, "restartCount": 1}],
        "containerStatuses": [{"name": "main", "state": main, "restartCount": 0}],
    }
    added = kube.add(PODS, pod)
    shared = folder / "pods" / added["metadata"]["uid"] / "volumes" / "shared"
    shared.mkdir(parents=True)
    (shared / "result").write_text("half of it")
    (shared.parents[1] / "started").touch()
    return str(added["metadata"]["name"])


async def test_a_running_pod_is_drained_and_ends_as_disrupted(
    start: Start, kube: FaultyCluster, tmp_path: Path
) -> None:
    name = lost_pod(kube, tmp_path, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    async with start(kube) as host:
        status = await host.ended(name)
        assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
        assert "DisruptionTarget" in {c["type"] for c in status["conditions"] if c["status"] == "True"}
        ended = status["containerStatuses"][0]["state"]["terminated"]
        assert (ended["exitCode"], ended["reason"]) == (137, "ContainerStatusUnknown")
        assert host.log(name, "side").strip() == "drained half of it"
        assert not (tmp_path / "pods" / host.pod(name)["metadata"]["uid"] / "logs" / "main.log").exists()


async def test_a_pod_whose_main_container_had_ended_ends_as_it_did(
    start: Start, kube: FaultyCluster, tmp_path: Path
) -> None:
    name = lost_pod(kube, tmp_path, {"terminated": {"exitCode": 0, "reason": "Completed"}})
    async with start(kube) as host:
        status = await host.ended(name)
        assert status["phase"] == "Succeeded"
        assert "DisruptionTarget" not in {c["type"] for c in status["conditions"]}
        assert host.log(name, "side").strip() == "drained half of it"


async def test_a_deleted_pod_is_drained_and_removed(start: Start, kube: FaultyCluster, tmp_path: Path) -> None:
    name = lost_pod(kube, tmp_path, {"running": {"startedAt": "2026-01-01T00:00:00Z"}})
    await kube.client.patch(PODS, name, {"spec": {"terminationGracePeriodSeconds": 5}}, "default")
    await kube.client.delete(PODS, name, "default", grace_period_seconds=5)
    async with start(kube):
        await until(lambda: _async(kube.find(PODS, name) is None))


async def _async(value: bool) -> bool:
    return value


async def test_a_pod_that_had_not_started_is_started(start: Start, kube: FaultyCluster, tmp_path: Path) -> None:
    name = str(kube.add(PODS, make_pod([script("print('first time')")]))["metadata"]["name"])
    async with start(kube) as host:
        assert (await host.ended(name))["phase"] == "Succeeded"


async def test_leftover_folders_go(start: Start, kube: FaultyCluster, tmp_path: Path) -> None:
    left = tmp_path / "pods" / "unknown"
    (left / "volumes").mkdir(parents=True)
    async with start(kube):
        await until(lambda: _async(not left.exists()))


@pytest.mark.parametrize("launcher", ["sandbox", "warm", "plain"])
def test_no_process_outlives_its_node(launcher: str, tmp_path: Path) -> None:
    if ("plain" if launcher == "plain" else "sandbox") not in launchers(tmp_path):
        pytest.skip("bubblewrap does not work here")
    marker = f"marker-{uuid.uuid4().hex}"
    command = [sys.executable, str(SUPPORT / "node_child.py"), str(tmp_path), launcher, marker]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as node:
        assert node.stdout is not None
        assert node.stdout.readline() == b"up\n"
        wait_for(lambda: len(with_marker(marker, node.pid)) >= 6)
        node.send_signal(signal.SIGKILL)
    wait_for(lambda: not with_marker(marker, node.pid))


def with_marker(marker: str, but: int) -> list[psutil.Process]:
    """A fork's command line is its warm process's, as is the environment that the kernel shows."""
    found = psutil.process_iter(["cmdline", "environ"])
    return [
        p
        for p in found
        if p.pid != but and (marker in (p.info["cmdline"] or ()) or marker in (p.info["environ"] or {}).values())
    ]
