"""A job of the whole service reaches its model on this machine, and not the service that runs it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_local.node.network.slirp import Slirp
from dspy_service_local.node.sandbox.find_network import find_slirp
from dspy_service_local.node.sandbox.find_sandbox import find_sandbox
from payloads import payload, rows
from scripted_lm import ScriptedServer
from whole_jobs import ended, submit
from whole_service import service

pytestmark = pytest.mark.e2e

METRIC = """
import socket

def metric(gold, pred, trace=None):
    for port in {ports}:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            continue
        raise SystemExit(f"port {{port}} of the service was reached")
    return gold.team == pred.team
"""


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with ScriptedServer(rows(60), label="team") as server:
        yield server


@pytest.mark.parametrize("prewarmed", ["0", "1"])
def test_a_job_reaches_its_model_and_not_the_service(model: ScriptedServer, tmp_path: Path, prewarmed: str) -> None:
    sandbox = find_sandbox({}, Path(tempfile.gettempdir()) / "dspy-service-probe")
    if isinstance(sandbox, str):
        pytest.skip(sandbox)
    if not isinstance(slirp := find_slirp(sandbox), Slirp):
        pytest.skip(slirp)
    with service("--prewarmed", prewarmed, data_dir=tmp_path) as running:
        ports = [running.http.base_url.port, int(from_kubeconfig(running.kubeconfig).server.rpartition(":")[2])]
        code = METRIC.format(ports=ports)
        body = payload(12, model.url, metric_code=code, run_options={"retries": 0})
        answer = ended(running.http, submit(running.http, body))
        assert answer["status"] == "success", answer["message"]
