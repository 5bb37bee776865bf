"""What only real pods can show. Collected with `--kubeconfig` alone: the embedded cluster has no such faults to make.

Nodes are reached through docker, as kind's are; DOCKER_HOST names a daemon that is not the machine's own.
"""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster_jobs import ClusterJobs
from installed_service import InstalledService
from kube_http import KubeHttp
from kubectl import Kubectl
from nodes import Node

JobMaker = Callable[..., str]

FAULTS = {
    "DSPY_SERVICE_START_TIMEOUT_SECONDS": "45",
    "DSPY_SERVICE_UNSCHEDULABLE_TIMEOUT_SECONDS": "60",
    "DSPY_SERVICE_LOST_POD_SECONDS": "5",
    "DSPY_SERVICE_RETRY_BACKOFF_SECONDS": "1",
    "DSPY_SERVICE_RUNNER_PRIORITY_CLASS": "dspy-service-tests-low",
    "DSPY_SERVICE_RUNNER_TOLERATIONS": (
        '[{"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute",'
        ' "tolerationSeconds": 15},'
        ' {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute",'
        ' "tolerationSeconds": 15}]'
    ),
}
"""Impatient, so that every end can be waited for; but patient enough for the cluster's own rhythms: the Job controller
asks a quota again after 31 s, and a node's taint outlives its absence until the node monitor's next tick, 5 s or more.
"""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.getoption("--kubeconfig") else True


@pytest.fixture(scope="session")
def service(running: InstalledService) -> Iterator[InstalledService]:
    """The installed one with an impatient operator."""
    low = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": -10}
    running.kubectl.apply(low | {"metadata": {"name": FAULTS["DSPY_SERVICE_RUNNER_PRIORITY_CLASS"]}})
    with running.settings("operator", **FAULTS):
        yield running


@pytest.fixture(scope="session")
def kubectl(running: InstalledService) -> Kubectl:
    return running.kubectl


@pytest.fixture(scope="session")
def api(running: InstalledService) -> Iterator[KubeHttp]:
    with KubeHttp(running.kubeconfig) as opened:
        yield opened


@pytest.fixture(scope="session")
def jobs(service: InstalledService, api: KubeHttp) -> ClusterJobs:
    return ClusterJobs(api, service.namespace)


@pytest.fixture
def submitted(jobs: ClusterJobs) -> Iterator[JobMaker]:
    """Creates jobs, and removes them with the test."""
    made: list[str] = []

    def create(document: dict[str, object]) -> str:
        made.append(jobs.create(document))
        return made[-1]

    yield create
    for name in made:
        jobs.remove(name)


@pytest.fixture(scope="session")
def node_of() -> Callable[[dict[str, object]], Node]:
    """The node that a pod runs on, as a container of docker's."""
    if subprocess.run(["docker", "version"], capture_output=True).returncode:
        pytest.skip("nodes are reached through docker, which does not answer here (DOCKER_HOST)")
    return lambda pod: Node(pod["spec"]["nodeName"])  # type: ignore[index]
