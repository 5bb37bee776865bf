"""The service as the chart installed it on a real cluster, reached as a client inside that cluster's walls would."""

import json
import re
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from declared_answers import HELD
from kubectl import Kubectl
from port_forward import forwarded
from waiting import wait_for

NAME_LABEL = "app.kubernetes.io/name=dspy-service"
_SERVICE = "jsonpath={.items[0].metadata.name} {.items[0].spec.ports[0].port} {.items[0].spec.ports[0].name}"
_BRIEF = httpx.Limits(keepalive_expiry=2)
"""uvicorn closes what is idle for 5 s, which a port-forward tells late: the client is to be first."""
_LIST = """
import os, sys
from dspy_service_core.storage.store import open_store
for entry in open_store(os.environ["DSPY_SERVICE_STORE_URL"]).files():
    print(entry.key)
"""


@dataclass(frozen=True)
class InstalledService:
    url: str
    token: str
    http: httpx.Client
    kubectl: Kubectl
    name: str
    """The release's: of its Service, and what the names of its other objects begin with."""

    @property
    def kubeconfig(self) -> Path:
        return self.kubectl.kubeconfig

    @property
    def namespace(self) -> str:
        return self.kubectl.namespace

    def answers(self) -> bool:
        try:
            return self.http.get("/health").is_success
        except httpx.TransportError:
            return False

    def part(self, component: str) -> str:
        """deployment/NAME of the api or the operator."""
        return self.kubectl.run("get", "deployments", "-l", selector(component), "-o", "name").strip()

    def image(self, component: str) -> str:
        path = "{.items[0].spec.template.spec.containers[0].image}"
        return self.kubectl.run("get", "deployments", "-l", selector(component), "-o", f"jsonpath={path}").strip()

    def setting(self, component: str, variable: str) -> str:
        path = f'{{.items[0].spec.template.spec.containers[0].env[?(@.name=="{variable}")].value}}'
        return self.kubectl.run("get", "deployments", "-l", selector(component), "-o", f"jsonpath={path}").strip()

    @contextmanager
    def settings(self, component: str, **variables: str) -> Iterator[None]:
        """Other settings of the api or the operator for a while; both times the part is started anew."""
        path = "/spec/template/spec/containers/0/env"
        deployment = self.kubectl.json(self.part(component))
        before = deployment["spec"]["template"]["spec"]["containers"][0]["env"]
        kept = [entry for entry in before if entry["name"] not in variables]
        added = [{"name": name, "value": value} for name, value in variables.items()]
        self._replace(component, path, kept + added)
        try:
            yield
        finally:
            self._replace(component, path, before)

    def _replace(self, component: str, path: str, value: Any) -> None:
        patch = json.dumps([{"op": "replace", "path": path, "value": value}])
        self.kubectl.run("patch", self.part(component), "--type=json", "-p", patch)
        await_rollout(self.kubectl, component)

    def pods(self, component: str) -> list[dict[str, Any]]:
        return pods_of(self.kubectl, component)

    def stored(self, store_id: str) -> Set[str]:
        """Read by the API's own pod, which alone has the store's credentials."""
        printed = self.kubectl.run("exec", self.part("api"), "--", "python", "-c", _LIST)
        return {key for key in re.findall(r"\S+", printed) if store_id in key.split("/")}


def selector(component: str) -> str:
    return f"{NAME_LABEL},app.kubernetes.io/component={component}"


def pods_of(kubectl: Kubectl, component: str) -> list[dict[str, Any]]:
    return list(kubectl.json("pods", "-l", selector(component))["items"])


def await_rollout(kubectl: Kubectl, component: str) -> None:
    """It is over for kubectl when the last old pod was asked to end: until it has, it still acts."""

    def only_new() -> bool:
        return not any("deletionTimestamp" in pod["metadata"] for pod in pods_of(kubectl, component))

    kubectl.run("rollout", "status", "deployment", "-l", selector(component), "--timeout=120s", timeout=130)
    wait_for(only_new, timeout=90, interval=0.5, what=f"the earlier {component} to end")


@contextmanager
def installed(kubeconfig: Path, namespace: str, home: Path) -> Iterator[InstalledService]:
    """With a token of the chart's ServiceAccount for clients."""
    kubectl = Kubectl(kubeconfig, namespace, home)
    for component in ("api", "operator"):
        await_rollout(kubectl, component)
    name, port, scheme = kubectl.run("get", "services", "-l", NAME_LABEL, "-o", _SERVICE).split()
    token = kubectl.run("create", "token", f"{name}-client", "--duration=8h").strip()
    with forwarded(kubectl, f"service/{name}", int(port)) as local:
        url = f"{scheme}://127.0.0.1:{local}"
        with httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
            limits=_BRIEF,
            event_hooks=HELD,
        ) as http:
            found = InstalledService(url, token, http, kubectl, name)
            wait_for(found.answers, timeout=60, interval=0.2, what="the API to answer")
            yield found
