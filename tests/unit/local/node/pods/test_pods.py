"""Pods as processes: order, drain, signals, exit codes; each with and without the sandbox."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from dspy_service_core.kube.resources import PODS, SECRETS
from node_host import Host, launchers, node_host, script, sidecar
from waiting import until

SHARED = [{"name": "shared", "emptyDir": {}}]
MOUNT = [{"name": "shared", "mountPath": "/shared"}]
SLEEP = "import time; print('up'); time.sleep(60)"
DRAIN = """
import signal, time
def drain(*_):
    print('drained', open(f'{base}/result').read())
    sys.exit(0)
signal.signal(signal.SIGTERM, drain)
while True: time.sleep(0.05)  # a signal just before a pause would wake nobody
"""


@pytest.fixture(params=["sandbox", "plain"])
async def host(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Host]:
    known = launchers(tmp_path)
    if request.param not in known:
        pytest.skip("bubblewrap does not work here")
    async with node_host(tmp_path, known[request.param]) as host:
        yield host


def in_shared(code: str, name: str, **fields: object) -> dict[str, object]:
    """A container whose code finds the shared volume at `base`."""
    return script(f"import sys; base = sys.argv[1]\n{code}", name, args=["/shared"], volumeMounts=MOUNT, **fields)


def note(text: str, name: str) -> dict[str, object]:
    return in_shared(f"open(f'{{base}}/order', 'a').write({text!r}); print(open(f'{{base}}/order').read())", name)


async def test_containers_run_in_order_and_the_pod_succeeds(host: Host) -> None:
    name = host.run_pod(containers=[note("c", "main")], init=[note("a", "first"), note("b", "second")], volumes=SHARED)
    status = await host.ended(name)
    assert status["phase"] == "Succeeded", status
    assert host.log(name).strip() == "abc"
    states = [s["state"]["terminated"] for s in status["initContainerStatuses"] + status["containerStatuses"]]
    assert [(s["exitCode"], s["reason"]) for s in states] == [(0, "Completed")] * 3


async def test_a_failing_init_container_ends_the_pod(host: Host) -> None:
    name = host.run_pod(containers=[script(SLEEP)], init=[script("raise SystemExit(3)", "first")])
    status = await host.ended(name)
    assert status["phase"] == "Failed"
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    assert "waiting" in status["containerStatuses"][0]["state"]


@pytest.mark.parametrize(
    ("code", "exit_code", "reason"),
    [
        ("raise SystemExit(7)", 7, "Error"),
        ("import os; os._exit(0)", 0, "Completed"),
        ("import os; os.kill(os.getpid(), 9)", 137, "Error"),
        ("import os; os.kill(os.getpid(), 11)", 139, "Error"),
        ("import os, signal; os.killpg(0, signal.SIGKILL)", 137, "Error"),
        ("import os; os.close(1); os.close(2); raise SystemExit(5)", 5, "Error"),
    ],
)
async def test_exit_codes(host: Host, code: str, exit_code: int, reason: str) -> None:
    status = await host.ended(host.run_pod(containers=[script(code)]))
    ended = status["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (exit_code, reason)
    assert status["phase"] == ("Failed" if exit_code else "Succeeded")


async def test_a_command_that_is_not_there_is_a_start_error_or_a_failure(host: Host) -> None:
    container = {"name": "main", "image": "x", "command": ["/nowhere/to/be/found"]}
    status = await host.ended(host.run_pod(containers=[container]))
    assert status["phase"] == "Failed"


async def test_a_sidecar_drains_after_the_main_container(host: Host) -> None:
    main = in_shared("open(f'{base}/result', 'w').write('all of it')", "main")
    side = in_shared(DRAIN, "side", restartPolicy="Always")
    name = host.run_pod(containers=[main], init=[side], volumes=SHARED)
    status = await host.ended(name)
    assert status["phase"] == "Succeeded", (status, host.log(name), host.log(name, "side"))
    assert host.log(name, "side").strip() == "drained all of it", status
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0


async def test_sigkill_follows_when_the_grace_is_over(host: Host) -> None:
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True)\nwhile 1: time.sleep(1)"
    name = host.run_pod(containers=[script(deaf)], terminationGracePeriodSeconds=1)
    await host.says(name, "deaf")
    await host.kube.client.delete(PODS, name, "default")
    await _gone(host, name)


async def test_deletion_terminates_and_removes(host: Host) -> None:
    code = (
        "import signal, sys, time\nsignal.signal(15, lambda *_: sys.exit(9))\nprint('up', flush=True)\ntime.sleep(60)"
    )
    name = host.run_pod(containers=[script(code)])
    await host.says(name, "up")
    folder = host.folders.pod(host.pod(name)["metadata"]["uid"])
    await host.kube.client.delete(PODS, name, "default")
    await _gone(host, name)
    await _until(lambda: not folder.exists())


async def test_a_removed_object_ends_the_processes_at_once(host: Host) -> None:
    code = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\ntime.sleep(60)"
    name = host.run_pod(containers=[script(code)])
    await host.says(name, "up")
    folder = host.folders.pod(host.pod(name)["metadata"]["uid"])
    await host.kube.client.delete(PODS, name, "default", grace_period_seconds=0)
    await _until(lambda: not folder.exists())


async def test_a_dead_sidecar_is_started_again(host: Host) -> None:
    name = host.run_pod(containers=[script(SLEEP)], init=[sidecar("import time; time.sleep(0.2); raise SystemExit(1)")])
    await _until(lambda: host.status_of(name, "side").get("restartCount", 0) >= 2)
    assert host.status_of(name, "side")["lastState"]["terminated"]["exitCode"] == 1
    await host.container(name, "main", "running")


async def test_a_missing_secret_is_waited_for(host: Host) -> None:
    key = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "late", "key": "k"}}}
    name = host.run_pod(containers=[script("import os; print(os.environ['KEY'])", env=[key])])
    waiting = await host.container(name, "main", "waiting")
    await _until(lambda: host.status_of(name, "main")["state"]["waiting"]["reason"] == "CreateContainerConfigError")
    assert waiting
    host.kube.add(SECRETS, {"metadata": {"name": "late"}, "data": {"k": "dmFsdWU="}})
    await host.ended(name)
    assert host.log(name).strip() == "value"


async def test_the_deadline_of_a_pod(host: Host) -> None:
    status = await host.ended(host.run_pod(containers=[script(SLEEP)], activeDeadlineSeconds=1))
    assert (status["phase"], status["reason"]) == ("Failed", "DeadlineExceeded")


async def test_ended_pods_leave_no_process_and_no_volume(host: Host) -> None:
    escape = """
import os, time
told, tells = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print('escaped', os.getpid(), flush=True)
        os.write(tells, b'1')
        time.sleep(300)
    os._exit(0)
os.read(told, 1)
"""
    marker = f"marker-{id(host)}"
    name = host.run_pod(containers=[script(escape, args=[marker])], volumes=SHARED)
    status = await host.ended(name)
    assert status["phase"] == "Succeeded"
    assert "escaped" in host.log(name)
    await _until(lambda: not list(_processes_with(marker)))
    await _until(lambda: not host.volume(name, "shared").exists())


async def test_stopping_the_node_is_a_disruption(host: Host) -> None:
    name = host.run_pod(containers=[script(SLEEP)])
    await host.says(name, "up")
    await host.node.stop()
    status = host.pod(name)["status"]
    assert (status["phase"], status["reason"]) == ("Failed", "Terminated")
    assert {"DisruptionTarget"} <= {c["type"] for c in status["conditions"] if c["status"] == "True"}


async def _gone(host: Host, name: str) -> None:
    await _until(lambda: not host.pod(name))


async def _until(condition: Callable[[], object]) -> None:
    async def check() -> bool:
        return bool(condition())

    await until(check)


def _processes_with(marker: str) -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and marker in (entry / "cmdline").read_text():
                yield entry.name
        except OSError:
            continue
