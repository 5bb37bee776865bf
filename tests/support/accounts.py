"""Service accounts with roles and tokens, made through the Kubernetes API of any cluster."""

from typing import Any

from dspy_service_core.kube.resources import (
    OPTIMIZATION_JOBS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    SUBJECT_ACCESS_REVIEWS,
)
from kube_http import KubeHttp, ok
from waiting import wait_for

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


def await_default_account(http: KubeHttp, namespace: str) -> None:
    """A controller makes it soon after the namespace, and pods are refused before."""
    path = SERVICE_ACCOUNTS.path(namespace, "default")
    wait_for(lambda: http.get(path).status_code == 200, timeout=60, what=f"the default account of {namespace}")


def grant(http: KubeHttp, namespace: str, name: str, rule: dict[str, Any]) -> None:
    ok(http.post(ROLES.path(namespace), {"metadata": {"name": name}, "rules": [rule]}))
    subject = {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    reference = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    binding = {"metadata": {"name": name}, "subjects": [subject], "roleRef": reference}
    ok(http.post(ROLE_BINDINGS.path(namespace), binding))
    wait_for(lambda: _holds(http, namespace, name, rule), what=f"the role of {name} to be known")


def _holds(http: KubeHttp, namespace: str, name: str, rule: dict[str, Any]) -> bool:
    """An API server learns of roles by its own watch, a moment after it stored them."""
    attributes = {
        "namespace": namespace,
        "verb": rule["verbs"][0],
        "group": rule["apiGroups"][0],
        "resource": rule["resources"][0],
        "name": (rule.get("resourceNames") or [""])[0],
    }
    spec = {"user": f"system:serviceaccount:{namespace}:{name}", "resourceAttributes": attributes}
    body = {"apiVersion": SUBJECT_ACCESS_REVIEWS.api_version, "kind": "SubjectAccessReview", "spec": spec}
    return bool(ok(http.post(SUBJECT_ACCESS_REVIEWS.path(), body))["status"]["allowed"])


def token_of(http: KubeHttp, namespace: str, name: str, *audiences: str) -> str:
    """By a TokenRequest, as `kubectl create token` makes one."""
    spec = {"audiences": list(audiences)} if audiences else {}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(ok(http.post(f"{SERVICE_ACCOUNTS.path(namespace, name)}/token", body))["status"]["token"])
