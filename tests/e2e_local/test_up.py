"""`dspy-service up` as an operator of the service meets it: how it starts, refuses, restarts its parts, and ends."""

import json
import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest

from declared_answers import HeldTransport
from dspy_service import Client
from dspy_service.files.local_services import FOLDER, found_token
from dspy_service.files.state_folder import state_folder
from dspy_service_local.up.private_folder import OURS
from live_files import content, files_below
from living import alive, command_line, variables
from payloads import payload
from sandboxed import missing_sandbox
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, reached, submit
from whole_service import Service, free_port, service

pytestmark = pytest.mark.e2e

COMMAND = Path(sys.executable).parent / "dspy-service"
CANARY = "sk-canary-7f3a"
SLOW_METRIC = (
    "import time\ndef metric(gold, pred, trace=None):\n    time.sleep(0.5)\n    return gold.team == pred.team\n"
)


def up(*args: str, **env: str) -> "subprocess.CompletedProcess[str]":
    """For starts that are refused."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")}
    return subprocess.run([str(COMMAND), "up", *args], env=known | env, capture_output=True, text=True, timeout=60)


def kubectl(running: Service, *args: str) -> str:
    command = ["kubectl", "--kubeconfig", str(running.kubeconfig), *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def child(running: Service, word: str) -> psutil.Process:
    return next(p for p in running.process.children() if word in command_line(p))


def test_other_addresses_need_a_token(tmp_path: Path) -> None:
    refused = up("--host", "0.0.0.0", "--port", "0", "--data-dir", str(tmp_path))
    assert refused.returncode == 1
    assert "DSPY_SERVICE_TOKEN" in refused.stderr


def test_a_port_in_use_is_named(running: Service, tmp_path: Path) -> None:
    port = running.url.rsplit(":", 1)[1]
    refused = up("--port", port, "--data-dir", str(tmp_path))
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr


def test_a_data_folder_serves_one(running: Service) -> None:
    refused = up("--port", str(free_port()), "--data-dir", str(running.data_dir))
    assert refused.returncode == 1
    assert "in use" in refused.stderr


def test_a_data_folder_is_closed_to_others_whatever_it_was(tmp_path: Path, model: ScriptedServer) -> None:
    """The second start is that of an older version's folder, with a job's whole life in it."""
    folder = tmp_path / "data"
    with service(data_dir=folder) as first:
        assert ended(first.http, submit(first.http, payload(12, model.url)))["status"] == "success"
        assert open_to_others(folder) == []
        assert {path.name for path in folder.iterdir()} <= OURS
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644, follow_symlinks=True)
    with service(data_dir=folder) as second:
        assert open_to_others(folder) == []
        running = submit(second.http, payload(40, model.url, metric_code=SLOW_METRIC))
        reached(second.http, running, {"running"})
        assert open_to_others(folder) == []


def open_to_others(folder: Path) -> list[Path]:
    """Of what is there now; pods come and go."""
    found = []
    for path in [folder, *(Path(place, name) for place, inner, files in os.walk(folder) for name in (*inner, *files))]:
        with suppress(FileNotFoundError):
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode) and mode & 0o077:
                found.append(path)
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_data_folder_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 60123, 60123)
    refused = up("--port", "0", "--data-dir", str(tmp_path))
    assert (refused.returncode, "belongs to user 60123" in refused.stderr) == (1, True)


@pytest.mark.parametrize(("option", "value"), [("--port", "70000"), ("--concurrency", "-1"), ("--prewarmed", "99")])
def test_settings_out_of_range_are_named(tmp_path: Path, option: str, value: str) -> None:
    refused = up(option, value, "--data-dir", str(tmp_path))
    assert refused.returncode == 2
    assert option[2:] in refused.stderr


def test_a_token_is_asked_for_once_it_is_set(tmp_path: Path) -> None:
    with service("--token", "secret", data_dir=tmp_path) as guarded:
        assert guarded.http.get("/jobs").status_code == 401
        assert guarded.http.get("/jobs", headers={"Authorization": "Bearer secret"}).status_code == 200


PRYING_METRIC = """
import os, urllib.request

def tried(what):
    try:
        return repr(what())
    except Exception as error:
        return f"{{type(error).__name__}}: {{error}}"

def metric(gold, pred, trace=None):
    found = [tried(lambda: open(path).read()) for path in {paths}]
    called = tried(lambda: f"LET IN {{urllib.request.urlopen('{url}/jobs', timeout=5).status}}")
    print("FOUND", *found, called, dict(os.environ))
    return True
"""


def test_a_token_of_its_own_closes_the_api_and_this_users_commands_find_it(
    tmp_path: Path, model: ScriptedServer
) -> None:
    with service("--token", data_dir=tmp_path / "data") as closed:
        assert closed.http.get("/jobs").status_code == 401
        kept = closed.data_dir / "token"
        assert kept.stat().st_mode & 0o777 == 0o600
        token = kept.read_text().strip()
        for process in closed.processes():
            assert token not in command_line(process)
            if "dspy-service-api" not in command_line(process):
                assert token not in variables(process).values()
        paths = [str(kept), *(str(path) for path in (state_folder() / FOLDER).iterdir())]
        code = PRYING_METRIC.format(url=closed.url, paths=paths)
        with Client(closed.url, transport=HeldTransport()) as client:
            job_id = client.submit(json.loads(payload(12, model.url, metric_code=code))).job_id
            assert client.wait(job_id).status == "success"
        logged = commanded(closed, "logs", job_id)
        assert job_id in commanded(closed, "list")
        assert "FOUND" in logged
        assert "LET IN" not in logged
        assert missing_sandbox() or token not in logged
    assert found_token(closed.url) is None


def commanded(closed: Service, *args: str) -> str:
    known = {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")}
    command = [str(COMMAND), "--url", closed.url, *args]
    return subprocess.run(command, env=known, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("headers", [{"Host": "example.org"}, {"Origin": "https://example.org"}])
def test_web_pages_may_not_call(running: Service, headers: dict[str, str]) -> None:
    response = running.http.get("/jobs", headers=headers)
    assert response.status_code == 403
    assert "example.org" in response.json()["detail"]


def test_kubectl_sees_what_was_prepared(running: Service) -> None:
    assert "optimizationjobs" in kubectl(running, "api-resources")
    assert "dspy-service-store" in kubectl(running, "get", "pvc")
    assert "dspy-service-runner" in kubectl(running, "get", "serviceaccounts")


@pytest.mark.parametrize("part", ["dspy-service-api", "dspy-service-operator"])
def test_a_part_that_dies_is_started_again(running: Service, model: ScriptedServer, part: str) -> None:
    old = child(running, part)
    old.kill()
    wait_for(lambda: any(p.pid != old.pid and part in command_line(p) for p in running.process.children()))
    wait_for(lambda: _healthy(running))
    assert ended(running.http, submit(running.http, payload(12, model.url)))["status"] == "success"


def test_the_services_keys_are_in_a_secret_and_nowhere_else(tmp_path: Path, model: ScriptedServer) -> None:
    with service(data_dir=tmp_path, env={"OPENAI_API_KEY": CANARY, "SERVER_CANARY": CANARY}) as keyed:
        job_id = submit(keyed.http, payload(12, model.url, model_config={"name": "openai/x", "base_url": model.url}))
        answer = ended(keyed.http, job_id)
        assert answer["status"] == "success", answer["message"]
        assert CANARY in kubectl(
            keyed, "get", "secret", "dspy-service-model-keys", "-o", "go-template={{.data.OPENAI_API_KEY|base64decode}}"
        )
        for process in keyed.processes():
            if process.pid != keyed.process.pid:
                assert "OPENAI_API_KEY" not in own_variables(process, keyed)
            assert CANARY not in command_line(process)
    holders = [f.relative_to(tmp_path) for f in files_below(tmp_path) if CANARY.encode() in content(f)]
    assert not [f for f in holders if not f.name.startswith("cluster.db")]


def own_variables(process: psutil.Process, running: Service) -> dict[str, str]:
    """Until its exec a child is `up` itself still, by its command line and its environment."""
    wait_for(lambda: command_line(process) != command_line(running.process), what="the child's own command")
    return variables(process)


@pytest.mark.parametrize("sandbox", ["auto", "off"])
def test_sigterm_ends_everything_within_ten_seconds(tmp_path: Path, model: ScriptedServer, sandbox: str) -> None:
    with service("--sandbox", sandbox, data_dir=tmp_path) as stopped:
        job_id = submit(stopped.http, payload(40, model.url, metric_code=SLOW_METRIC))
        reached(stopped.http, job_id, {"running"})
        processes = stopped.processes()
        stopped.process.terminate()
        wait_for(lambda: not any(map(alive, processes)), timeout=10)


@pytest.mark.parametrize("sandbox", ["auto", "off"])
def test_kill_leaves_no_process(tmp_path: Path, model: ScriptedServer, sandbox: str) -> None:
    with service("--sandbox", sandbox, data_dir=tmp_path) as killed:
        job_id = submit(killed.http, payload(40, model.url, metric_code=SLOW_METRIC))
        reached(killed.http, job_id, {"running"})
        processes = killed.processes()
        killed.process.send_signal(signal.SIGKILL)
        wait_for(lambda: not any(map(alive, processes)), timeout=20)


def test_pod_logs(running: Service, model: ScriptedServer) -> None:
    code = "def metric(gold, pred, trace=None):\n    print('said by user code')\n    return True\n"
    job_id = submit(running.http, payload(12, model.url, metric_code=code))
    ended(running.http, job_id)
    pods = kubectl(running, "get", "pods", "-l", f"dspy-service.io/job=job-{job_id}", "-o", "name").split()
    assert "said by user code" in kubectl(running, "logs", pods[0], "-c", "optimizer")


def _healthy(running: Service) -> bool:
    try:
        return running.http.get("/health").status_code == 200
    except httpx.TransportError:
        return False
