"""What a container in the sandbox can see and do; each check is a canary that would print what it found."""

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import machine_probe
from dspy_service_core.kube.resources import SECRETS
from dspy_service_local.node.processes.launch import POD_USER
from dspy_service_local.node.sandbox.find_sandbox import find_sandbox
from node_host import BASE_ENV, Host, launchers, node_host, script
from pages import ROOT

CANARY = "canary-5f1e"
SHARED = [{"name": "shared", "emptyDir": {}}]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    known = launchers(tmp_path / "data")
    if "sandbox" not in known:
        pytest.skip("bubblewrap does not work here")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kubeconfig").write_text(CANARY)
    async with node_host(tmp_path / "data", known["sandbox"]) as host:
        yield host


async def said(host: Host, code: str, **fields: object) -> str:
    name = host.run_pod(containers=[script(code, **fields)])
    status = await host.ended(name)
    assert status["phase"] == "Succeeded", host.log(name)
    return host.log(name).strip()


@pytest.mark.parametrize("place", ["data", "pods", "home", "cwd"])
async def test_folders_of_this_machine_are_not_there(host: Host, place: str) -> None:
    places = {"data": host.folders.data, "pods": host.folders.pods, "home": Path.home(), "cwd": Path.cwd() / "tests"}
    target = places[place]
    code = f"import json, os; print(json.dumps(os.listdir({str(target)!r}) if os.path.isdir({str(target)!r}) else []))"
    seen = set(json.loads(await said(host, code)))
    needed = [Path(sys.executable), Path(sys.prefix), Path(sys.base_prefix), ROOT]
    ways = {path.relative_to(target).parts[0] for path in needed if path != target and path.is_relative_to(target)}
    assert seen <= ways, "only the way down to the interpreter and to what it imports may be there"


async def test_the_canary_is_nowhere(host: Host) -> None:
    code = f"""
import os
import sys
found = []
for folder, folders, files in os.walk('/', onerror=lambda e: None):
    if folder.startswith(('/proc', '/usr', '/dev')) or 'site-packages' in folder: folders.clear(); continue
    for file in files:
        try:
            if {CANARY!r} in open(os.path.join(folder, file), errors='ignore').read(4096): found.append(file)
        except OSError: pass
print(found)
"""
    assert await said(host, code) == "[]"


async def test_it_has_no_capabilities_and_gains_none(host: Host) -> None:
    code = (
        "print([l.split()[1] for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapPrm', 'NoNewPrivs'))])"
    )
    assert await said(host, code) == "['0000000000000000', '0000000000000000', '1']"


@pytest.mark.parametrize("path", ["/x", "/usr/x", "/etc/x", "/dev/x", "/job/x"])
async def test_only_volumes_and_tmp_can_be_written(host: Host, path: str) -> None:
    code = f"""
try: open({path!r}, 'w').write('x'); print('written')
except OSError: print('refused')
open('/tmp/written-by-a-job', 'w').write('x')
"""
    assert await said(host, code) == "refused"


async def test_nothing_of_the_machine_can_be_set(host: Host) -> None:
    seen = json.loads(await said(host, Path(machine_probe.__file__).read_text()))
    assert seen == machine_probe.UNSETTABLE


async def test_it_runs_as_nobody_else(host: Host) -> None:
    name = host.run_pod(containers=[script("import time; print('up'); time.sleep(60)")])
    await host.says(name, "up")
    assert machine_probe.users_of(host, name) == {str(os.geteuid() or POD_USER)}


@pytest.mark.parametrize("code", ["open('/dev/stdout', 'w').write('written')", "print('written')"])
async def test_its_output_is_its_own(host: Host, code: str) -> None:
    assert await said(host, code) == "written"


@pytest.mark.parametrize("volumes", [[], SHARED], ids=["", "below a volume"])
async def test_what_others_may_not_see_can_be_shown(tmp_path: Path, volumes: list[dict[str, Any]]) -> None:
    """A checkout below a folder of root's: the way to it is the node's, what is there the container's."""
    shown = tmp_path / "locked" / "shown"
    shown.mkdir(parents=True)
    (shown / "text").write_text("seen")
    (tmp_path / "locked").chmod(0o700)
    (tmp_path / "data").mkdir(mode=0o700)
    launcher = launchers(tmp_path / "data", [shown]).get("sandbox")
    if launcher is None:
        pytest.skip("bubblewrap does not work here")
    async with node_host(tmp_path / "data", launcher) as host:
        code = f"import os; print(open({str(shown / 'text')!r}).read(), os.getuid())"
        mounts = [{"name": volume["name"], "mountPath": str(tmp_path.parents[1])} for volume in volumes]
        name = host.run_pod(containers=[script(code, volumeMounts=mounts)], volumes=volumes)
        await host.ended(name)
        assert host.log(name).strip() == f"seen {os.geteuid() or POD_USER}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's containers run as another user")
def test_a_user_that_it_cannot_become_is_no_sandbox(tmp_path: Path) -> None:
    """-1 would mean to the kernel: stay who you are."""
    if "sandbox" not in launchers(tmp_path):
        pytest.skip("bubblewrap does not work here")
    found = str(find_sandbox(BASE_ENV, tmp_path, user=2**32 - 1))
    assert found.startswith("bubblewrap does not work here, for containers as user 4294967295: ")


async def test_it_sees_its_own_processes_alone(host: Host) -> None:
    code = "import os; print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()), os.getpid())"
    assert await said(host, code) == "[1, 2] 2"


async def test_read_only_mounts(host: Host) -> None:
    code = "import sys\ntry: open('/shared/x', 'w')\nexcept OSError as e: print(e.strerror)"
    mounts = [{"name": "shared", "mountPath": "/shared", "readOnly": True}]
    name = host.run_pod(containers=[script(code, volumeMounts=mounts)], volumes=SHARED)
    await host.ended(name)
    assert host.log(name).strip() == "Read-only file system"


async def test_secrets_are_in_no_command_line_and_the_servers_environment_is_not_inherited(host: Host) -> None:
    os.environ["SERVER_CANARY"] = CANARY
    host.kube.add(SECRETS, {"metadata": {"name": "keys"}, "data": {"k": "a2V5LWNhbmFyeQ=="}})
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}
    code = "import os, time; print(sorted(os.environ), flush=True); print(os.environ['KEY'], flush=True); time.sleep(3)"
    name = host.run_pod(containers=[script(code, env=[key])])
    await host.says(name, "key-canary")
    lines = [_cmdline(pid) for pid in os.listdir("/proc") if pid.isdigit()]
    assert not [line for line in lines if b"key-canary" in line]
    await host.ended(name)
    assert "SERVER_CANARY" not in host.log(name)
    assert "key-canary" in host.log(name)


def _cmdline(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
