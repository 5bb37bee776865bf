"""The whole service on a real API server that keeps an audit log: `cluster/control-plane`, our API and operator as
processes that bring ServiceAccounts' tokens, and pods as processes (`process_node`)."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from accounts import token_of
from declared_answers import HELD
from dspy_service_core.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CUSTOM_RESOURCE_DEFINITIONS,
    OPTIMIZATION_JOBS,
    SECRETS,
    SERVICE_ACCOUNTS,
)
from dspy_service_core.resource import names
from embedded_cluster import CRDS
from kube_http import KubeHttp
from process_node import process_node
from waiting import wait_for
from whole_service import STOP_SECONDS, await_port, free_port

NAMESPACE = "default"
API, OPERATOR, RUNNER = "dspy-service-api", "dspy-service-operator", names.RUNNER_SERVICE_ACCOUNT
_CLUSTER = Path(__file__).parents[2] / "cluster"
_NAME = "audited"


@dataclass(frozen=True)
class AuditedService:
    """Callers in the log are the ServiceAccounts `API`, `OPERATOR` and `RUNNER`."""

    url: str
    http: httpx.Client
    audit_log: Path


@contextmanager
def audited_service(**settings: str) -> Iterator[AuditedService]:
    """`settings` are variables of the operator and the API."""
    with ExitStack() as stack:
        kubeconfig = stack.enter_context(_control_plane())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dspy-service-audited-")))
        admin = stack.enter_context(KubeHttp(kubeconfig))
        _prepare(admin)
        claims = stack.enter_context(process_node(kubeconfig, folder)).claims
        store = claims / NAMESPACE / names.STORE_CLAIM
        store.mkdir(parents=True)
        port = free_port()
        variables = {"DSPY_SERVICE_PORT": str(port), "DSPY_SERVICE_STORE_URL": store.as_uri(), **settings}
        for account in (API, OPERATOR):
            own = folder / f"{account}.kubeconfig"
            own.write_text(_kubeconfig(kubeconfig, token_of(admin, NAMESPACE, account)))
            stack.enter_context(_part(account, variables | {"KUBECONFIG": str(own)}, folder / f"{account}.log"))
        await_port(port)
        url = f"http://127.0.0.1:{port}"
        http = stack.enter_context(httpx.Client(base_url=url, timeout=30, event_hooks=HELD))
        wait_for(lambda: http.get("/health").is_success, what="the API to be ready")
        yield AuditedService(url, http, kubeconfig.parent / "audit.log")


@contextmanager
def _control_plane() -> Iterator[Path]:
    command = [str(_CLUSTER / "control-plane")]
    audited = os.environ | {"AUDIT_POLICY": str(_CLUSTER / "audit-policy.yaml")}
    up = subprocess.run([*command, "up", _NAME], env=audited, stdout=subprocess.PIPE, text=True, check=True)
    try:
        yield Path(up.stdout.strip())
    finally:
        subprocess.run([*command, "down", _NAME], check=True)


def _prepare(admin: KubeHttp) -> None:
    """Roles are not what is looked at here: who it was is enough."""
    for file in CRDS.glob("*.yaml"):
        admin.post(CUSTOM_RESOURCE_DEFINITIONS.path(), yaml.safe_load(file.read_text()))
    for account in (API, OPERATOR, RUNNER):
        admin.post(SERVICE_ACCOUNTS.path(NAMESPACE), {"metadata": {"name": account}})
        admin.post(CLUSTER_ROLE_BINDINGS.path(), _all_rights(account))
    labels = {names.LABEL_MODEL_KEY: "true"}
    admin.post(SECRETS.path(NAMESPACE), {"metadata": {"name": names.SERVICE_KEYS_SECRET, "labels": labels}})
    wait_for(lambda: admin.get(OPTIMIZATION_JOBS.path(NAMESPACE)).is_success, what="our resource to be served")


def _all_rights(account: str) -> dict[str, Any]:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subject = {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE}
    return {"metadata": {"name": account}, "subjects": [subject], "roleRef": role}


def _kubeconfig(admin: Path, token: str) -> str:
    document = yaml.safe_load(admin.read_text())
    document["users"][0]["user"] = {"token": token}
    return yaml.safe_dump(document)


@contextmanager
def _part(name: str, variables: dict[str, str], log: Path) -> Iterator[None]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DSPY_SERVICE_")}
    with log.open("w") as output:
        command = [str(Path(sys.executable).parent / name)]
        process = subprocess.Popen(command, env=inherited | variables, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
