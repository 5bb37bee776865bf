"""The chart's accounts and policies on a real API server, in a namespace of their own; no pod has to run.

`pytest tests/policies --kubeconfig $(cluster/control-plane up)`, or the kubeconfig of any cluster. Collected with it
alone: the embedded cluster has no admission policies.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import helm
from guarded_jobs import Site
from kube_http import KubeHttp, ok
from waiting import wait_for

CHART_PARTS = {
    *("CustomResourceDefinition", "ServiceAccount", "Role", "RoleBinding"),
    *("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
}


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return None if config.getoption("--kubeconfig") else True


@pytest.fixture(scope="session")
def http(given_kubeconfig: Path) -> Iterator[KubeHttp]:
    with KubeHttp(given_kubeconfig) as opened:
        yield opened


@pytest.fixture(scope="session")
def site(http: KubeHttp, given_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    namespace = f"policies-{secrets.token_hex(4)}"
    ok(http.post("/api/v1/namespaces", {"metadata": {"name": namespace}}))
    chart = [it for it in helm.manifests(helm.template(namespace=namespace)) if it["kind"] in CHART_PARTS]
    site = Site(http, given_kubeconfig, namespace, tmp_path_factory.mktemp("accounts"))
    try:
        for manifest in chart:
            site.install(manifest)
        wait_for(site.guarded, timeout=30)
        yield site
    finally:
        for manifest in chart:
            site.remove(manifest)
        http.delete(f"/api/v1/namespaces/{namespace}")
