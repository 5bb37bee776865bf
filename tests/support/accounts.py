"""Service accounts with roles and tokens, made through the Kubernetes API of any cluster."""

from typing import Any

from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, ROLE_BINDINGS, ROLES, SERVICE_ACCOUNTS
from kube_http import KubeHttp, ok

_RBAC = "rbac.authorization.k8s.io"


def make_account(http: KubeHttp, namespace: str, name: str, *verbs: str, names: tuple[str, ...] = ()) -> None:
    """With a role for those verbs on optimizationjobs of its namespace."""
    ok(http.post(SERVICE_ACCOUNTS.path(namespace), {"metadata": {"name": name}}))
    if verbs:
        rule: dict[str, Any] = {
            "apiGroups": [OPTIMIZATION_JOBS.group],
            "resources": [OPTIMIZATION_JOBS.plural],
            "verbs": list(verbs),
        }
        grant(http, namespace, name, rule | ({"resourceNames": list(names)} if names else {}))


def grant(http: KubeHttp, namespace: str, name: str, rule: dict[str, Any]) -> None:
    ok(http.post(ROLES.path(namespace), {"metadata": {"name": name}, "rules": [rule]}))
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    binding = {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference}
    ok(http.post(ROLE_BINDINGS.path(namespace), binding))


def token_of(http: KubeHttp, namespace: str, name: str, *audiences: str) -> str:
    """By a TokenRequest, as `kubectl create token` makes one."""
    spec = {"audiences": list(audiences)} if audiences else {}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(ok(http.post(f"{SERVICE_ACCOUNTS.path(namespace, name)}/token", body))["status"]["token"])
