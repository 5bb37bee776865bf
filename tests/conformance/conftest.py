"""What our code relies on of a Kubernetes API server, held to any server.

`pytest tests/conformance --kubeconfig PATH` (or KUBECONFIG_UNDER_TEST) runs it on that cluster, in namespaces of its
own; without one it starts the embedded API server. Cases that need controllers (garbage collection, namespaces' ends)
are skipped, with the reason, on a bare API server.
"""

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import client, config

from embedded_cluster import CRDS, cluster_in_thread
from kube_http import KubeHttp, ok
from kubectl import Followed, Kubectl
from waiting import wait_for
from widgets import DEFINITION

_DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_NAMESPACES = "/api/v1/namespaces"


@pytest.fixture(scope="session")
def kubeconfig(given_kubeconfig: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    if given_kubeconfig is not None:
        yield given_kubeconfig
        return
    with cluster_in_thread(tmp_path_factory.mktemp("cluster"), crds=False) as running:
        yield running.kubeconfig


@pytest.fixture(scope="session")
def http(kubeconfig: Path) -> Iterator[KubeHttp]:
    with KubeHttp(kubeconfig) as opened:
        yield opened


@pytest.fixture(scope="session")
def api(kubeconfig: Path) -> Iterator[client.ApiClient]:
    """The official client."""
    with config.new_client_from_config(config_file=str(kubeconfig)) as opened:
        yield opened


@pytest.fixture(scope="session")
def controllers(http: KubeHttp) -> None:
    """Skips where nothing but an API server runs."""
    name = f"conformance-{secrets.token_hex(4)}"
    ok(http.post(_NAMESPACES, {"metadata": {"name": name}}))
    try:
        wait_for(lambda: http.get(f"{_NAMESPACES}/{name}/serviceaccounts/default").status_code == 200, timeout=15)
    except AssertionError:
        pytest.skip("no controller manager runs in this cluster: nothing collects garbage or ends namespaces")
    finally:
        http.delete(f"{_NAMESPACES}/{name}")


@pytest.fixture
def namespace(http: KubeHttp) -> Iterator[str]:
    name = f"conformance-{secrets.token_hex(4)}"
    ok(http.post(_NAMESPACES, {"metadata": {"name": name}}))
    yield name
    http.delete(f"{_NAMESPACES}/{name}")


@pytest.fixture(scope="session")
def widgets(http: KubeHttp) -> Iterator[None]:
    """The tests' own definition, established."""
    with definition(http, DEFINITION):
        yield


@pytest.fixture(scope="session")
def optimization_jobs(http: KubeHttp) -> Iterator[None]:
    """The project's definition; left alone where the cluster has it already."""
    path = CRDS / "optimizationjobs.yaml"
    document = yaml.safe_load(path.read_text())
    if http.get(f"{_DEFINITIONS}/{document['metadata']['name']}").status_code == 200:
        yield
        return
    with definition(http, document):
        yield


@contextmanager
def definition(http: KubeHttp, document: dict[str, Any]) -> Iterator[None]:
    """Creates a definition, waits until it is served, and deletes it at the end, with all that there is of it."""
    path = f"{_DEFINITIONS}/{document['metadata']['name']}"
    spec = document["spec"]
    version = f"apis/{spec['group']}/{spec['versions'][0]['name']}"
    served = f"/{version}/{spec['names']['plural']}"

    def is_served() -> bool:
        # a real server's definition begins with conditions that are null
        conditions = ok(http.get(path)).get("status", {}).get("conditions") or ()
        established = any(c["type"] == "Established" and c["status"] == "True" for c in conditions)
        if not established or http.get(served).status_code != 200:
            return False
        return version in ok(http.get("/openapi/v3"))["paths"]

    ok(http.post(_DEFINITIONS, document))
    try:
        wait_for(is_served, what="the definition is established and served")
        yield
    finally:
        http.delete(path)
        wait_for(lambda: http.get(path).status_code == 404, timeout=60, what="the definition to be gone")


@pytest.fixture
def kubectl(kubeconfig: Path, namespace: str, tmp_path: Path) -> Kubectl:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return Kubectl(kubeconfig, namespace, tmp_path)


@pytest.fixture
def follow(kubectl: Kubectl) -> Iterator[Callable[..., Followed]]:
    """Starts kubectl commands that go on, and ends them with the test."""
    started: list[Followed] = []

    def start(*arguments: str) -> Followed:
        started.append(Followed(kubectl, *arguments))
        return started[-1]

    yield start
    for each in started:
        each.end()
