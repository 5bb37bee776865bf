"""The embedded API server for tests: as a task of the test's own loop, or in a thread for synchronous clients.

`crds/*.yaml` are applied where they exist.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from dspy_service_core.kube.resources import CUSTOM_RESOURCE_DEFINITIONS
from dspy_service_local.apiserver import ApiServer, Cluster

CRDS = Path(__file__).parents[2] / "crds"


@dataclass(frozen=True)
class RunningCluster:
    """`cluster.client` belongs to the loop that runs the cluster; `kubeconfig` and `url` are anybody's."""

    cluster: Cluster
    kubeconfig: Path
    url: str

    @property
    def authority(self) -> Path:
        return self.cluster.pki.authority

    @property
    def token(self) -> str:
        return self.cluster.pki.admin_token


@asynccontextmanager
async def running_cluster(folder: Path, *, crds: bool = True) -> AsyncIterator[RunningCluster]:
    """In this event loop."""
    cluster = await Cluster.open(folder)
    try:
        if crds:
            await apply_crds(cluster)
        server = await ApiServer.start(cluster)
        try:
            yield RunningCluster(cluster, server.kubeconfig, server.url)
        finally:
            await server.stop()
    finally:
        await cluster.close()


@contextmanager
def cluster_in_thread(folder: Path, *, crds: bool = True) -> Iterator[RunningCluster]:
    """In a thread with a loop of its own."""
    started, result, failure = threading.Event(), [], []

    async def run() -> None:
        async with running_cluster(folder, crds=crds) as running:
            stop = asyncio.Event()
            result.append((running, asyncio.get_running_loop(), stop))
            started.set()
            await stop.wait()

    def main() -> None:
        try:
            asyncio.run(run())
        except BaseException as exc:  # handed to the test, which is waiting for the start
            failure.append(exc)
        finally:
            started.set()

    thread = threading.Thread(target=main, name="embedded-cluster", daemon=True)
    thread.start()
    started.wait(timeout=30)
    if not result:
        raise failure[0] if failure else TimeoutError("the embedded cluster did not start")
    running, loop, stop = result[0]
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(timeout=30)
        if failure:
            raise failure[0]


async def apply_crds(cluster: Cluster) -> None:
    for path in sorted(CRDS.glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if document and document.get("kind") == CUSTOM_RESOURCE_DEFINITIONS.kind:
                await cluster.client.create(CUSTOM_RESOURCE_DEFINITIONS, document)
