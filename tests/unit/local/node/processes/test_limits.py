"""A container that uses too much ends alone, within its limits, and the pod says why."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dspy_service_local.node.processes.launch import PodLimits
from dspy_service_operator.decide.evictions import eviction_of
from node_host import Host, launchers, node_host, script, sidecar

OUT = [{"name": "out", "emptyDir": {"sizeLimit": "20Mi"}}]
MOUNT = [{"name": "out", "mountPath": "/out"}]
QUIET = "import time; time.sleep(60)"


@pytest.fixture(params=["sandbox", "plain"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    known = launchers(tmp_path)
    if request.param not in known:
        pytest.skip("bubblewrap does not work here")
    async with node_host(tmp_path, known[request.param], limits=PodLimits(processes=60)) as host:
        yield host


async def test_memory(host: Host) -> None:
    code = "import time\nhog = bytearray(300_000_000)\ntime.sleep(60)"
    limits = {"limits": {"memory": "100Mi"}}
    status = await host.ended(host.run_pod(containers=[script(code, resources=limits)]))
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


async def test_memory_of_children_counts(host: Host) -> None:
    code = "import os, time\nif os.fork() == 0: hog = bytearray(300_000_000)\ntime.sleep(60)"
    limits = {"limits": {"memory": "100Mi"}}
    status = await host.ended(host.run_pod(containers=[script(code, resources=limits)]))
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "OOMKilled"


@pytest.mark.parametrize(
    "write",
    [
        "open(f'{base}/one', 'wb').write(bytes(30_000_000))",
        "[open(f'{base}/{i}', 'wb').write(bytes(3_000_000)) for i in range(10)]",
    ],
    ids=["one file", "many files"],
)
async def test_a_full_volume_evicts(host: Host, write: str) -> None:
    code = f"import sys, time; base = sys.argv[1]\ntry: {write}\nfinally: time.sleep(60)"
    name = host.run_pod(containers=[script(code, args=["/out"], volumeMounts=MOUNT)], volumes=OUT)
    status = await host.ended(name)
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")
    assert status["message"].strip() == 'Usage of EmptyDir volume "out" exceeds the limit "20Mi".'
    assert eviction_of(status["message"]).reason == "DiskLimitExceeded"
    assert "DisruptionTarget" not in {c["type"] for c in status["conditions"]}


async def test_an_eviction_lets_the_sidecar_drain(host: Host) -> None:
    code = "import sys, time\ntry: open(f'{sys.argv[1]}/one', 'wb').write(bytes(30_000_000))\nfinally: time.sleep(60)"
    drain = "import signal as s, sys, time\ns.signal(15, lambda *_: (print('drained'), sys.exit(0)))\n"
    drain += "while 1: time.sleep(0.05)"
    name = host.run_pod(
        containers=[script(code, args=["/out"], volumeMounts=MOUNT)],
        init=[sidecar(drain)],
        volumes=OUT,
    )
    assert (await host.ended(name))["reason"] == "Evicted"
    assert host.log(name, "side").strip() == "drained"


async def test_a_fork_bomb_ends_alone(host: Host) -> None:
    neighbour = host.run_pod(containers=[script(QUIET)])
    await host.container(neighbour, "main", "running")
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    status = await host.ended(host.run_pod(containers=[script(bomb)]))
    assert (status["phase"], status["reason"]) == ("Failed", "Evicted")
    assert eviction_of(status["message"]).reason == "ProcessLimitExceeded"
    assert "running" in host.status_of(neighbour, "main")["state"]


async def test_a_flood_of_lines_neither_grows_the_disk_nor_stops_the_node(host: Host) -> None:
    name = host.run_pod(containers=[script("print('x' * 60 + '\\n', end='') or print(('y' * 60 + '\\n') * 1_000_000)")])
    slowest, begun = 0.0, time.monotonic()
    ending = asyncio.create_task(host.ended(name, 60))
    while not ending.done():
        await asyncio.sleep(0.01)
        slowest, begun = max(slowest, time.monotonic() - begun), time.monotonic()
    assert (await ending)["phase"] == "Succeeded"
    assert len(host.log(name)) <= 20 * 1024 * 1024
    logs = host.folders.pod(host.pod(name)["metadata"]["uid"]) / "logs"
    assert sum(file.stat().st_size for file in logs.iterdir()) <= 21 * 1024 * 1024
    print(f"slowest turn of the node: {slowest:.3f} s", file=sys.stderr)


async def test_rlimits(host: Host) -> None:
    code = "import resource as r; print([r.getrlimit(k)[0] for k in (r.RLIMIT_CORE, r.RLIMIT_NOFILE)])"
    name = host.run_pod(containers=[script(code)])
    await host.ended(name)
    assert host.log(name).strip() == "[0, 4096]"
