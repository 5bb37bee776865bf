"""Many reporters as processes, each with news all the time: how many patches a second reach the API server.

    PYTHONPATH=tests/support:bench python bench/reporters.py --kubeconfig PATH [--count N] [--seconds S]

On the cluster of the kubeconfig (`make control-plane` will do), in a namespace of its own. Needs the CRD there.
The interval between two patches is what the operator gives to pods at that concurrency.
"""

import argparse
import asyncio
import base64
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from accounts import grant, make_account, token_of
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import NAMESPACES, OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from dspy_service_core.storage import pod_files
from dspy_service_operator.settings import OperatorSettings
from kube_http import KubeHttp
from measuring.figures import Figure, show
from operator_objects import make_raw
from waiting import until

_COMMAND = "from dspy_service_runner.reporter.main import main; main()"
_TARGETS = '{"module":{"path":"dspy.ChainOfThought"},"optimizer":{"path":"dspy.BootstrapFewShot"}}'
_NEWS_SECONDS = 0.5
_SETTLE_SECONDS = 10.0
_BETWEEN_STARTS = 0.3
"""All of them begin on one machine here, beside the API server."""
_PATIENCE = 300.0


class Pod:
    """One reporter and its folders; `tell` writes what an optimizer would."""

    def __init__(self, root: Path, name: str) -> None:
        self.root, self.name, self.uid = root / name, name, secrets.token_hex(8)
        for folder in ("in", "out", "refs"):
            (self.root / folder).mkdir(parents=True)

    def start(self, kubeconfig: Path, namespace: str, tokens: Path, interval: float) -> "subprocess.Popen[bytes]":
        server = urlsplit(from_kubeconfig(kubeconfig).server)
        options = {
            **{f"--{folder}": self.root / folder for folder in ("in", "out", "refs")},
            "--token-dir": tokens,
            "--job-store": (self.root / "store" / "job").as_uri(),
            "--artifact-store": (self.root / "store" / "artifact").as_uri(),
            "--resource": self.name,
            "--namespace": namespace,
            "--attempt": 1,
            "--targets": _TARGETS,
            "--progress-interval": interval,
        }
        words = [str(word) for pair in options.items() for word in pair]
        environment = {
            "PATH": os.environ["PATH"],
            "POD_UID": self.uid,
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }
        with (self.root / "log").open("wb") as log:
            return subprocess.Popen([sys.executable, "-c", _COMMAND, *words], env=environment, stderr=log)

    def tell(self, number: int) -> None:
        document = {"stage": "Running", "startedAt": "2026-01-02T12:00:00.000Z", "calls": number, "total": 10_000}
        draft = self.root / "out" / ".new"
        draft.write_text(json.dumps(document))
        draft.rename(self.root / "out" / pod_files.PROGRESS)


async def _make_jobs(client: KubeClient, namespace: str, pods: list[Pod]) -> None:
    for pod in pods:
        raw = make_raw(pod.name)
        body = {part: raw[part] for part in ("apiVersion", "kind", "spec")} | {"metadata": {"name": pod.name}}
        await client.create(OPTIMIZATION_JOBS, body, namespace)
        attempt = {"number": 1, "jobName": f"{pod.name}-1", "podName": pod.name, "podUID": pod.uid}
        status = {"status": {"phase": "Running", "attempt": attempt}}
        await client.patch(OPTIMIZATION_JOBS, pod.name, status, namespace, subresource="status")


def _token_folder(kubeconfig: Path, http: KubeHttp, namespace: str, folder: Path) -> Path:
    """As the kubelet mounts it: the token, and the cluster's authority."""
    make_account(http, namespace, "reporter")
    resources = [names.PLURAL, f"{names.PLURAL}/status"]
    grant(http, namespace, "reporter", {"apiGroups": [names.GROUP], "resources": resources, "verbs": ["get", "patch"]})
    folder.mkdir()
    (folder / "token").write_text(token_of(http, namespace, "reporter"))
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    (folder / "ca.crt").write_bytes(base64.b64decode(cluster["certificate-authority-data"]))
    return folder


@contextmanager
def _news(pods: list[Pod]) -> Iterator[None]:
    over = threading.Event()

    def write() -> None:
        for number in itertools.count(1):
            for pod in pods:  # one after another, as optimizers that know nothing of each other
                if over.wait(_NEWS_SECONDS / len(pods)):
                    return
                pod.tell(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


async def _all_report(client: KubeClient, namespace: str, count: int) -> bool:
    try:
        found = (await client.list(OPTIMIZATION_JOBS, namespace)).items
    except KubeError:  # the machine is busy with starting them
        return False
    return sum("progress" in (raw["status"].get("run") or {}) for raw in found) == count


async def _count(client: KubeClient, namespace: str, seconds: int) -> list[int]:
    """Patches in each whole second by the API server's own clock, which it writes into what was changed: a watch on a
    busy machine may tell of them later, and of many at once."""
    version = (await client.list(OPTIMIZATION_JOBS, namespace, limit=1)).resource_version
    counted: Counter[str] = Counter()
    watch = client.watch(OPTIMIZATION_JOBS, namespace, resource_version=version, timeout_seconds=seconds + 20)
    async for event in watch:
        if event.type == "MODIFIED":
            counted[max(entry["time"] for entry in event.object["metadata"]["managedFields"])] += 1
        if len(counted) == seconds + 2:  # the first is not whole, and the last has just begun
            return [counted[second] for second in sorted(counted)][1:-1]
    # as it does soon after the CRD was made
    raise SystemExit(f"the API server ended the watch after {len(counted)} s: nothing was counted, try again")


async def measure(kubeconfig: Path, folder: Path, count: int, seconds: int) -> list[Figure]:
    interval = OperatorSettings(concurrency=count).progress_interval
    client, namespace = KubeClient(HttpTransport(from_kubeconfig(kubeconfig))), f"reporters-{secrets.token_hex(4)}"
    await client.create(NAMESPACES, {"metadata": {"name": namespace}})
    with KubeHttp(kubeconfig) as http:
        tokens = _token_folder(kubeconfig, http, namespace, folder / "token")
    pods = [Pod(folder, f"job-{number}") for number in range(count)]
    await _make_jobs(client, namespace, pods)
    processes = []
    try:
        with _news(pods):
            for pod in pods:
                processes.append(pod.start(kubeconfig, namespace, tokens, interval))
                await asyncio.sleep(_BETWEEN_STARTS)
            await until(lambda: _all_report(client, namespace, count), timeout=_PATIENCE, interval=1)
            await asyncio.sleep(_SETTLE_SECONDS)
            counted = await _count(client, namespace, seconds)
    finally:
        for process in processes:
            process.kill()
            process.wait()
        await client.delete(NAMESPACES, namespace)
        await client.close()
    return [
        Figure(f"patches a second of {count}", sum(counted) / len(counted), "/s", most=100),
        Figure("the busiest second", max(counted), "/s", most=100),
    ]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(options.kubeconfig, Path(folder), options.count, options.seconds))
    show(figures)


if __name__ == "__main__":
    main(sys.argv[1:])
