"""Warm starts: the same container as a cold one, in a process that had imported its modules before."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import warm_probe
from dspy_service_core.kube.resources import SECRETS
from dspy_service_local.node.warm_shape import Shape, WarmContainer, WarmMount
from node_host import BASE_ENV, Host, launchers, node_host
from waiting import until

COMMANDS = {"probe": "warm_probe:main"}
SUPPORT = Path(warm_probe.__file__).parent
VOLUMES = [
    {"name": "in", "emptyDir": {}},
    {"name": "scratch", "emptyDir": {}},
    {"name": "store", "persistentVolumeClaim": {"claimName": "store"}},
]
SHAPE = Shape(
    "default",
    (
        WarmContainer(
            "main",
            "probe",
            (WarmMount("in", "/job/in", True), WarmMount("scratch", "/tmp", False)),
            ("store",),
            (("HOME", "/tmp"),),
        ),
    ),
)


@pytest.fixture(params=["sandbox", "plain"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    known = launchers(tmp_path, [SUPPORT])
    if request.param not in known:
        pytest.skip("bubblewrap does not work here")
    env = {**BASE_ENV, "PYTHONPATH": str(SUPPORT), "PYTHONDONTWRITEBYTECODE": "1"}
    async with node_host(tmp_path, known[request.param], shape=SHAPE, commands=COMMANDS, base_env=env) as host:
        store = tmp_path / "volumes" / "default" / "store"
        for name in ("mine", "other"):
            (store / "jobs" / name).mkdir(parents=True)
            (store / "jobs" / name / f"of-{name}").touch()
        host.kube.add(SECRETS, {"metadata": {"name": "keys"}, "data": {"k": "a2V5"}})
        yield host


def probe(*places: str, **fields: Any) -> dict[str, Any]:
    return {
        "name": "main",
        "image": "probe",
        "command": ["probe"],
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


def in_sandboxed_tmp(request: pytest.FixtureRequest) -> list[str]:
    """Nothing; but where this very checkout lies below /tmp, the sandbox must show the way to it."""
    below = SUPPORT.is_relative_to("/tmp") and "sandbox" in request.node.name
    return [SUPPORT.relative_to("/tmp").parts[0]] if below else []


async def served(host: Host, container: dict[str, Any]) -> dict[str, Any]:
    await until(lambda: _async(host.pool.waiting == 1))
    name = host.run_pod(containers=[container], volumes=VOLUMES)
    status = await host.ended(name)
    assert status["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3, host.log(name)
    seen: dict[str, Any] = json.loads(host.log(name))
    return seen | {"pod": host.pod(name)["metadata"]["uid"]}


async def test_a_warm_process_becomes_the_container(host: Host, request: pytest.FixtureRequest) -> None:
    seen = await served(host, probe("/job/in", "/tmp", "/store/jobs/mine", "/store"))
    assert seen["same process"]
    assert (seen["env"]["KEY"], seen["env"]["POD_UID"]) == ("key", seen["pod"])
    assert list(seen["files"].values())[:3] == [[], in_sandboxed_tmp(request), ["of-mine"]]
    assert list(seen["writable"].values())[1:3] == [True, True]
    if "sandbox" in request.node.name:
        assert seen["argv"] == ["probe", "/job/in", "/tmp", "/store/jobs/mine", "/store"]
        assert seen["files"]["/store"] == ["jobs"]
        assert set(seen["capabilities"]) == {"0000000000000000"}
        assert (seen["late"], seen["root"], seen["writable"]["/job/in"]) == (False, False, False)
        assert not seen["writable"]["/store"]


async def test_the_pool_refills_and_each_process_serves_once(host: Host) -> None:
    first = await served(host, probe())
    second = await served(host, probe())
    assert first["pod"] != second["pod"]


async def test_a_pod_that_does_not_fit_starts_cold_and_the_pool_follows(host: Host) -> None:
    await until(lambda: _async(host.pool.waiting == 1))
    other = probe("/else", volumeMounts=[{"name": "in", "mountPath": "/else"}])
    cold = host.run_pod(containers=[other], volumes=VOLUMES)
    assert (await host.ended(cold))["phase"] == "Failed", "there is no command named probe to start cold"
    mounts = {"volumeMounts": [{"name": "in", "mountPath": "/else"}]}
    seen = await served(host, probe("/else", **mounts))
    assert list(seen["writable"].values()) == [True]


async def test_a_waiting_process_that_dies_is_replaced(host: Host) -> None:
    await until(lambda: _async(host.pool.waiting == 1))
    slot = host.folders.slots / next(host.folders.slots.iterdir()).name
    host.pool._slots[0].processes["main"]._process.kill()
    await until(lambda: _async(not slot.exists()))
    await served(host, probe())


async def _async(value: bool) -> bool:
    return value
