"""The service as the chart installed it on a real cluster, reached as a client inside that cluster's walls would."""

import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from kubectl import Kubectl
from port_forward import forwarded
from waiting import wait_for

NAME_LABEL = "app.kubernetes.io/name=dspy-service"
_CLIENT = "dspy-service-tests"
_JOBS = {"apiGroups": ["dspy-service.io"], "resources": ["optimizationjobs"]}
_LIST = """
import os, sys
from dspy_service_core.store import open_store
for entry in open_store(os.environ["DSPY_SERVICE_STORE_URL"]).files():
    print(entry.key)
"""


@dataclass(frozen=True)
class InstalledService:
    url: str
    token: str
    http: httpx.Client
    kubectl: Kubectl

    @property
    def kubeconfig(self) -> Path:
        return self.kubectl.kubeconfig

    @property
    def namespace(self) -> str:
        return self.kubectl.namespace

    def part(self, component: str) -> str:
        """deployment/NAME of the api or the operator."""
        return self.kubectl.run("get", "deployments", "-l", selector(component), "-o", "name").strip()

    def image(self, component: str) -> str:
        path = "{.items[0].spec.template.spec.containers[0].image}"
        return self.kubectl.run("get", "deployments", "-l", selector(component), "-o", f"jsonpath={path}").strip()

    def stored(self, store_id: str) -> Set[str]:
        """Read by the API's own pod, which alone has the store's credentials."""
        printed = self.kubectl.run("exec", self.part("api"), "--", "python", "-c", _LIST)
        return {key for key in re.findall(r"\S+", printed) if store_id in key.split("/")}


def selector(component: str) -> str:
    return f"{NAME_LABEL},app.kubernetes.io/component={component}"


@contextmanager
def installed(kubeconfig: Path, namespace: str, home: Path) -> Iterator[InstalledService]:
    """With the token of a ServiceAccount that may do with jobs what a user of the service may."""
    kubectl = Kubectl(kubeconfig, namespace, home)
    for component in ("api", "operator"):
        kubectl.run("rollout", "status", "deployment", "-l", selector(component), "--timeout=120s", timeout=130)
    for manifest in _client(namespace):
        kubectl.apply(manifest)
    token = kubectl.run("create", "token", _CLIENT, "--duration=8h").strip()
    service, port = kubectl.run("get", "services", "-l", selector("api"), "-o", _SERVICE).split()
    with forwarded(kubectl, f"service/{service}", int(port)) as local:
        url = f"http://127.0.0.1:{local}"
        with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            wait_for(lambda: _healthy(http), timeout=60, interval=0.2, what="the API to answer")
            yield InstalledService(url, token, http, kubectl)


_SERVICE = "jsonpath={.items[0].metadata.name} {.items[0].spec.ports[0].port}"


def _client(namespace: str) -> list[dict[str, Any]]:
    """What the documentation gives users: submit, read, stop and delete."""
    group, metadata = "rbac.authorization.k8s.io", {"name": _CLIENT, "namespace": namespace}
    rules = [{**_JOBS, "verbs": ["create", "get", "list", "watch", "patch", "update", "delete"]}]
    account = {"kind": "ServiceAccount", "name": _CLIENT, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": _CLIENT},
            "subjects": [account],
        },
    ]


def _healthy(http: httpx.Client) -> bool:
    try:
        return http.get("/health").is_success
    except httpx.TransportError:
        return False
