"""Warm starts: the same container as a cold one, forked from a process that had imported its modules before."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import warm_probe
from dspy_service_core.kube.resources import PODS, SECRETS
from dspy_service_local.node.pods.context import Folders
from dspy_service_local.node.processes.launch import POD_USER
from dspy_service_local.node.sandbox import warm_process
from dspy_service_local.node.sandbox.sandboxed_process import SandboxLauncher
from dspy_service_local.node.sandbox.warm import WarmLauncher
from living import alive
from machine_probe import UNSETTABLE, users_of
from node_host import BASE_ENV, Host, launchers, node_host
from waiting import until

COMMANDS = {"env": "warm_probe:main"}
"""A command that works cold as well, and differently: who sees its exit code knows how it was started."""
SUPPORT = Path(warm_probe.__file__).parent
NO_CAPABILITIES = ["0000000000000000"] * 5
IN_TMP = [SUPPORT.relative_to("/tmp").parts[0]] if SUPPORT.is_relative_to("/tmp") else []
"""Nothing; but where this very checkout lies below /tmp, the sandbox must show the way to it."""
VOLUMES = [
    {"name": "in", "emptyDir": {}},
    {"name": "scratch", "emptyDir": {"sizeLimit": "10Mi"}},
    {"name": "store", "persistentVolumeClaim": {"claimName": "store"}},
]


@pytest.fixture
async def warm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[WarmLauncher]:
    monkeypatch.setattr(warm_process, "FORK_SECONDS", 60.0)  # on a busy machine a start that is late becomes a cold one
    cold = launchers(tmp_path, [SUPPORT]).get("sandbox")
    if not isinstance(cold, SandboxLauncher):
        pytest.skip("bubblewrap does not work here")
    env = {**BASE_ENV, "PYTHONPATH": str(SUPPORT), "PYTHONDONTWRITEBYTECODE": "1"}
    folders = Folders(tmp_path)
    hidden = {"pods": folders.pods, "volumes": folders.claims}
    launcher = WarmLauncher(cold, hidden, env, tmp_path / "logs", COMMANDS)
    running = asyncio.create_task(launcher.run())
    await until(lambda: _async(launcher.waiting))
    yield launcher
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


@pytest.fixture
async def host(warm: WarmLauncher, tmp_path: Path) -> AsyncIterator[Host]:
    async with node_host(tmp_path, warm) as host:
        for name in ("mine", "other"):
            folder = tmp_path / "volumes" / "default" / "store" / "jobs" / name
            folder.mkdir(parents=True)
            (folder / f"of-{name}").touch()
        host.kube.add(SECRETS, {"metadata": {"name": "keys"}, "data": {"k": "a2V5LWNhbmFyeQ=="}})
        yield host


def probe(*places: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "image": "probe",
        "command": ["env"],
        "args": list(places),
        "env": [
            {"name": "HOME", "value": "/tmp"},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}},
            {"name": "POD_UID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
        ],
        "volumeMounts": [
            {"name": "in", "mountPath": "/job/in", "readOnly": True},
            {"name": "scratch", "mountPath": "/tmp"},
            {"name": "store", "mountPath": "/store/jobs/mine", "subPath": "jobs/mine"},
        ],
        **fields,
    }


async def served(host: Host, container: dict[str, Any]) -> dict[str, Any]:
    name = host.run_pod(containers=[container], volumes=VOLUMES)
    status = await host.ended(name)
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3, host.log(name)
    seen: dict[str, Any] = json.loads(host.log(name))
    return seen | {"pod": host.pod(name)["metadata"]["uid"]}


async def test_a_fork_becomes_the_container(host: Host) -> None:
    places = ["/job/in", "/tmp", "/store/jobs/mine", "/store", "/store/jobs", "/dev/shm", "/proc/sys/kernel"]
    seen = await served(host, probe(*places))
    assert seen["argv"] == ["env", *places]
    assert (seen["env"]["KEY"], seen["env"]["POD_UID"]) == ("key-canary", seen["pod"])
    assert seen["imported in another process"]
    assert [seen["files"][place] for place in places[:5]] == [[], IN_TMP, ["of-mine"], ["jobs"], ["mine"]]
    writable = {place for place in places if seen["writable"][place]}
    assert writable == {"/tmp", "/store/jobs/mine", "/dev/shm"}


async def test_its_sandbox_is_final(host: Host) -> None:
    seen = await served(host, probe())
    assert seen["capabilities"] == NO_CAPABILITIES
    assert seen["new privileges"] == "1"
    assert (seen["hidden"], seen["root"], seen["descriptors"]) == ([], False, [0, 1, 2])
    assert seen["processes"][0] == 1
    assert len(seen["processes"]) == 2
    assert seen["of the first process"] == []
    assert seen["terminals"] == ["ptmx"]
    assert seen["user namespace"] == "refused"
    assert seen["owner"] == [os.geteuid() or POD_USER] * 2


async def test_nothing_of_the_machine_can_be_set(host: Host) -> None:
    name = host.run_pod(containers=[probe("machine")], volumes=VOLUMES)
    await host.ended(name)
    assert json.loads(host.log(name)) == UNSETTABLE, host.log(name)


async def test_it_runs_as_nobody_else(host: Host) -> None:
    name = await sleeping(host)
    assert users_of(host, name) == {str(os.geteuid() or POD_USER)}


async def test_nothing_of_one_job_is_in_the_memory_of_the_next(host: Host) -> None:
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}
    first = host.run_pod(containers=[probe("remembers", "key-[c]anary", env=[key])], volumes=VOLUMES)
    await host.ended(first)
    assert "key-canary" in host.log(first)
    for _ in range(3):
        name = host.run_pod(containers=[probe("remembers", "key-[c]anary", env=[])], volumes=VOLUMES)
        await host.ended(name)
        assert host.log(name).strip() == "[]"


async def test_two_forks_share_nothing(host: Host) -> None:
    first, second = await asyncio.gather(
        served(host, probe("/tmp", "/dev/shm")), served(host, probe("/tmp", "/dev/shm"))
    )
    assert first["files"] == second["files"] == {"/tmp": IN_TMP, "/dev/shm": []}
    assert first["random"] != second["random"]
    assert first["tls"] != second["tls"]


async def test_limits_reach_the_fork(host: Host) -> None:
    seen = await served(host, probe(volumeMounts=[{"name": "scratch", "mountPath": "/tmp"}]))
    assert seen["limits"] == {"core": 0, "files": 4096, "file size": 11 * 1024 * 1024}


async def test_signals_reach_the_command_and_kill_all(host: Host) -> None:
    name = host.run_pod(containers=[probe("sleep")], volumes=VOLUMES)
    await host.container(name, "main", "running")
    await until(lambda: _async("sleeping" in host.log(name)))
    await host.kube.client.delete(PODS, name, "default", grace_period_seconds=20)
    await until(lambda: _async(not host.pod(name)))


async def test_a_startup_probe_runs_inside_the_fork(host: Host) -> None:
    inside = (
        f'test "$(readlink /proc/self/ns/pid)" != "{os.readlink("/proc/self/ns/pid")}" -a -e /store/jobs/mine/of-mine'
    )
    seen = {"exec": {"command": ["/bin/sh", "-c", inside]}, "periodSeconds": 1}
    sidecar = probe("sleep", name="sidecar", restartPolicy="Always", startupProbe=seen)
    name = host.run_pod(initContainers=[sidecar], containers=[probe()], volumes=VOLUMES)
    await host.ended(name)
    assert host.status_of(name, "main")["state"]["terminated"]["exitCode"] == 3
    assert host.status_of(name, "sidecar")["restartCount"] == 0


@pytest.mark.parametrize("code", ["killed", "exit", "raise"])
async def test_exit_codes(host: Host, code: str) -> None:
    name = host.run_pod(containers=[probe(code)], volumes=VOLUMES)
    status = await host.ended(name)
    expected = {"killed": 137, "exit": 9, "raise": 1}
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == expected[code]


async def test_other_commands_start_cold(host: Host) -> None:
    name = host.run_pod(containers=[probe(command=["/usr/bin/env"])], volumes=VOLUMES)
    assert (await host.ended(name))["phase"] == "Succeeded"
    assert "KEY=key-canary" in host.log(name).splitlines()


async def test_a_container_outlives_the_process_that_forked_it(host: Host, warm: WarmLauncher) -> None:
    name = await sleeping(host)
    old = psutil.Process(warm.waiting["env"])
    keeper = old.parent()
    old.kill()
    await replaced(warm, old)
    assert keeper
    assert keeper.is_running()
    await host.kube.client.delete(PODS, name, "default", grace_period_seconds=20)
    await until(lambda: _async(not host.pod(name)))
    await until(lambda: _async(not keeper.is_running()))


async def test_a_process_that_hangs_is_replaced_and_the_container_starts_cold(
    host: Host, warm: WarmLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, old = await sleeping(host), psutil.Process(warm.waiting["env"])
    monkeypatch.setattr(warm_process, "FORK_SECONDS", 2.0)
    old.suspend()
    name = host.run_pod(containers=[probe()], volumes=VOLUMES)
    assert (await host.ended(name))["phase"] == "Succeeded", "env itself, not what is warm under its name"
    await replaced(warm, old)
    assert "running" in host.status_of(running, "main")["state"]


@pytest.mark.parametrize("turns", [0, 1, 2, 4, 8, 16, 32, 64, 128])
async def test_killed_at_any_moment_it_costs_no_start(host: Host, warm: WarmLauncher, turns: int) -> None:
    old = psutil.Process(warm.waiting["env"])
    names = [host.run_pod(containers=[probe()], volumes=VOLUMES) for _ in range(2)]
    for _ in range(turns):
        await asyncio.sleep(0)
    old.kill()
    for name in names:
        status = await host.ended(name)
        assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] in {0, 3}, host.log(name)
    await replaced(warm, old)
    await served(host, probe())


async def sleeping(host: Host) -> str:
    name = host.run_pod(containers=[probe("sleep")], volumes=VOLUMES)
    await until(lambda: _async("sleeping" in (host.log(name) if host.status_of(name, "main") else "")))
    return name


async def replaced(warm: WarmLauncher, old: psutil.Process) -> None:
    await until(lambda: _async(warm.waiting.get("env", old.pid) != old.pid))
    assert not alive(old)


async def _async(value: bool) -> bool:
    return value
