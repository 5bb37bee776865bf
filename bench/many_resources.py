"""10,000 finished resources of a usual size: what they cost the operator and the API at their start.

    PYTHONPATH=tests/support:bench python bench/many_resources.py [--kubeconfig PATH] [--count N]

On the cluster of the kubeconfig, in a namespace of its own; without one on an embedded API server. Needs the CRD there.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import psutil
from prometheus_client.parser import text_string_to_metric_families

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import NAMESPACES, OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from embedded_cluster import cluster_in_thread
from measuring.figures import Figure, show
from waiting import wait_for
from whole_service import free_port

SPEC_BYTES, STATUS_BYTES = 4 * 1024, 6 * 1024
NAMESPACE = "many-resources"
_MEBIBYTE = 2**20
_PATIENCE = 300.0
_WRITES = frozenset({"create", "update", "patch", "delete"})


async def seed(kubeconfig: Path, count: int) -> None:
    client = KubeClient(HttpTransport(from_kubeconfig(kubeconfig), request_timeout=120))
    await client.create(NAMESPACES, {"metadata": {"name": NAMESPACE}})
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            name = f"finished-{number}"
            await client.create(OPTIMIZATION_JOBS, _resource(name), NAMESPACE)
            await client.patch(OPTIMIZATION_JOBS, name, {"status": _status()}, NAMESPACE, subresource="status")

    await asyncio.gather(*(worker() for _ in range(16)))
    await client.close()


def _resource(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "module": {"name": "predict"},
        "optimizer": {"name": "dspy.BootstrapFewShot"},
        "signature": {"code": "class Ticket(dspy.Signature): ..."},
        "metric": {"code": "#"},
        "dataset": {"rows": [{"text": str(number), "label": "a"} for number in range(20)]},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "models": {"default": {"name": "openai/gpt-4o-mini"}},
    }
    spec["metric"]["code"] += "x" * (SPEC_BYTES - len(orjson.dumps(spec)))
    metadata = {"name": name, "labels": {names.LABEL_FINISHED: "true"}}
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": metadata, "spec": spec}


def _status() -> dict[str, Any]:
    when = "2026-01-02T12:00:00Z"
    condition = {"type": "Succeeded", "status": "True", "reason": "Completed", "lastTransitionTime": when}
    log = {"n": 1, "timestamp": when, "level": "INFO", "logger": "dspy", "message": ""}
    run = {"attempt": 1, "podUID": "u", "stage": "Ended", "logs": {"count": 1, "tail": [log]}}
    status = {"phase": "Succeeded", "conditions": [condition], "startedAt": when, "completedAt": when, "run": run}
    log["message"] = "x" * (STATUS_BYTES - len(orjson.dumps(status)))
    return status


@contextmanager
def process(part: str, kubeconfig: Path, **settings: object) -> Iterator[psutil.Process]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DSPY_SERVICE_")}
    given = {f"DSPY_SERVICE_{name.upper()}": str(value) for name, value in settings.items()}
    command = [sys.executable, "-c", f"from dspy_service_{part}.main import main; main()"]
    started = subprocess.Popen(command, env={**kept, "KUBECONFIG": str(kubeconfig), **given})
    try:
        yield psutil.Process(started.pid)
    finally:
        started.terminate()
        started.wait()


def _until(ready: Callable[[], bool]) -> float:
    """Seconds."""
    began = time.perf_counter()
    wait_for(ready, timeout=_PATIENCE, interval=0.05)
    return time.perf_counter() - began


Requests = dict[tuple[str, str], float]


def _requests(port: int) -> Requests:
    """The operator's own, by verb and resource."""
    try:
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    except httpx.TransportError:
        return {}
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    return {
        (sample.labels["verb"], sample.labels["resource"]): sample.value
        for sample in samples
        if sample.name == "dspy_service_kube_requests_total"
    }


def measure_operator(kubeconfig: Path) -> list[Figure]:
    """Ready: it has found the cluster, and compared all that is unfinished."""
    port = free_port()
    settings = {"namespace": NAMESPACE, "store_url": "", "metrics_port": port, "metrics_host": "127.0.0.1"}
    with process("operator", kubeconfig, **settings) as operator:
        taken = _until(lambda: _requests(port).get(("list", "optimizationjobs"), 0) >= 2)
        time.sleep(10)  # memory and writes once kopf's own lists are through
        writes = sum(count for (verb, _), count in _requests(port).items() if verb in _WRITES)
        resident = operator.memory_info().rss / _MEBIBYTE
    return [
        Figure("operator ready", taken, "s", most=10),
        Figure("operator's writes", writes, "", most=0),
        Figure("operator resident", resident, "MB", most=150),
    ]


def measure_api(kubeconfig: Path, folder: Path) -> list[Figure]:
    port = free_port()
    settings = {"namespace": NAMESPACE, "store_url": (folder / "store").as_uri(), "port": port, "log_level": "ERROR"}

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        except httpx.TransportError:
            return False

    with process("api", kubeconfig, **settings) as api:
        taken = _until(ready)
        time.sleep(5)  # memory once its first lists are through
        resident = api.memory_info().rss / _MEBIBYTE
    return [Figure("API synced", taken, "s", most=10), Figure("API resident", resident, "MB", most=300)]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--count", type=int, default=10_000)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if options.kubeconfig:
            report(options.kubeconfig, Path(folder), options.count)
            return
        with cluster_in_thread(Path(folder) / "cluster") as running:
            report(running.kubeconfig, Path(folder), options.count)


def report(kubeconfig: Path, folder: Path, count: int) -> None:
    asyncio.run(seed(kubeconfig, count))
    show(measure_operator(kubeconfig))
    show(measure_api(kubeconfig, folder))


if __name__ == "__main__":
    main(sys.argv[1:])
