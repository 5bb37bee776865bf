"""The chart's accounts and policies on a real API server, in a namespace of their own; no pod has to run.

`KUBECONFIG_UNDER_TEST=$(cluster/control-plane up) pytest tests/policies`, or the kubeconfig of any cluster.
"""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

import helm
from guarded_jobs import Site
from kube_http import KubeHttp, ok
from waiting import wait_for

GIVEN = os.environ.get("KUBECONFIG_UNDER_TEST", "")
CHART_PARTS = {
    "CustomResourceDefinition",
    "ServiceAccount",
    *("Role", "RoleBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"),
}


def pytest_collection_modifyitems(items):
    missing = [] if GIVEN else ["KUBECONFIG_UNDER_TEST names no cluster"]
    missing += [] if helm.HELM else ["helm is not installed"]
    for item in items:
        if missing and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip("; ".join(missing)))


@pytest.fixture(scope="session")
def http() -> Iterator[KubeHttp]:
    with KubeHttp(Path(GIVEN).expanduser()) as opened:
        yield opened


@pytest.fixture(scope="session")
def site(http: KubeHttp, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    namespace = f"policies-{secrets.token_hex(4)}"
    ok(http.post("/api/v1/namespaces", {"metadata": {"name": namespace}}))
    chart = [it for it in helm.manifests(helm.template(namespace=namespace)) if it["kind"] in CHART_PARTS]
    site = Site(http, Path(GIVEN).expanduser(), namespace, tmp_path_factory.mktemp("accounts"))
    try:
        for manifest in chart:
            site.install(manifest)
        wait_for(site.guarded, timeout=30)
        yield site
    finally:
        for manifest in chart:
            site.remove(manifest)
        http.delete(f"/api/v1/namespaces/{namespace}")
