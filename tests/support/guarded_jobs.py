"""Jobs, pods and tokens on an API server with the chart's policies: what tests need to try what a runner may not."""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dspy_service_core.kube.resources import (
    CLUSTER_ROLE_BINDINGS,
    CUSTOM_RESOURCE_DEFINITIONS,
    OPTIMIZATION_JOBS,
    PODS,
    ROLE_BINDINGS,
    ROLES,
    SERVICE_ACCOUNTS,
    Resource,
)
from kube_http import KubeHttp, ok
from waiting import wait_for

ADMISSION = ("admissionregistration.k8s.io", "v1")
POLICIES = Resource(*ADMISSION, "validatingadmissionpolicies", "ValidatingAdmissionPolicy", namespaced=False)
BINDINGS = Resource(
    *ADMISSION, "validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", namespaced=False
)
RESOURCES = {
    resource.kind: resource
    for resource in (
        *(POLICIES, BINDINGS, CUSTOM_RESOURCE_DEFINITIONS, SERVICE_ACCOUNTS),
        *(ROLES, ROLE_BINDINGS, CLUSTER_ROLE_BINDINGS),
    )
}
EXISTS_ALREADY, INVALID = 409, 422


@dataclass(frozen=True)
class Site:
    """One namespace with the chart's accounts, and policies for it."""

    http: KubeHttp
    kubeconfig: Path
    namespace: str
    scratch: Path

    def install(self, manifest: dict[str, Any]) -> None:
        resource = RESOURCES[manifest["kind"]]
        answer = self.http.post(resource.path(self.namespace), manifest)
        if answer.status_code == EXISTS_ALREADY and resource is CUSTOM_RESOURCE_DEFINITIONS:
            return  # the cluster's own; it is used as it is
        ok(answer)
        if resource is CUSTOM_RESOURCE_DEFINITIONS:
            wait_for(lambda: self.http.get(OPTIMIZATION_JOBS.path(self.namespace)).status_code == 200, timeout=20)

    def remove(self, manifest: dict[str, Any]) -> None:
        resource = RESOURCES[manifest["kind"]]
        if resource is not CUSTOM_RESOURCE_DEFINITIONS:
            self.http.delete(resource.path(self.namespace, manifest["metadata"]["name"]))

    def guarded(self) -> bool:
        """The API server has both policies in use: each refuses something that only it refuses."""
        spec = self.http.post(OPTIMIZATION_JOBS.path(self.namespace), resource("guard", extra={"api_key": "x"}))
        run = self.as_account("runner").patch(self.job().status, {"status": {"run": {"message": "x"}}})
        return spec.status_code == INVALID == run.status_code

    def job(self, name: str = "") -> "GuardedJob":
        job = GuardedJob(self, name or f"job-{secrets.token_hex(3)}")
        ok(self.http.post(OPTIMIZATION_JOBS.path(self.namespace), resource(job.name)))
        return job

    def as_account(self, part: str, pod: dict[str, Any] | None = None) -> KubeHttp:
        """With a token of `dspy-service-<part>`, bound to a pod as the kubelet's are."""
        spec: dict[str, Any] = {}
        if pod is not None:
            bound = {field: pod["metadata"][field] for field in ("name", "uid")}
            spec["boundObjectRef"] = {"apiVersion": "v1", "kind": "Pod", **bound}
        path = f"{SERVICE_ACCOUNTS.path(self.namespace, f'dspy-service-{part}')}/token"
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        token = ok(self.http.post(path, body))["status"]["token"]
        return self.as_bearer(token)

    def as_bearer(self, token: str) -> KubeHttp:
        """By the admin's kubeconfig, but for who it is: a client certificate would come before a token."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        for user in config["users"]:
            user["user"] = {"token": token}
        path = self.scratch / f"{secrets.token_hex(4)}.yaml"
        path.write_text(yaml.safe_dump(config))
        return KubeHttp(path)

    def pod(self, name: str) -> dict[str, Any]:
        """Of the runner's account, kept from every node: an object to bind a token to."""
        spec = {
            "serviceAccountName": "dspy-service-runner",
            "schedulingGates": [{"name": "dspy-service.io/never"}],
            "containers": [{"name": "optimizer", "image": "none"}],
        }
        made: dict[str, Any] = ok(self.http.post(PODS.path(self.namespace), {"metadata": {"name": name}, "spec": spec}))
        return made


@dataclass(frozen=True)
class GuardedJob:
    site: Site
    name: str

    @property
    def path(self) -> str:
        return OPTIMIZATION_JOBS.path(self.site.namespace, self.name)

    @property
    def status(self) -> str:
        return f"{self.path}/status"

    def record(self, number: int, pod: dict[str, Any]) -> None:
        """As the operator does, with its own account."""
        attempt = {
            "number": number,
            "jobName": f"{self.name}-{number}",
            "podName": pod["metadata"]["name"],
            "podUID": pod["metadata"]["uid"],
        }
        status = {"phase": "Running", "message": "started", "attempt": attempt}
        ok(self.site.as_account("operator").patch(self.status, {"status": status}))

    def started(self, number: int = 1) -> KubeHttp:
        """A recorded attempt's reporter."""
        pod = self.site.pod(f"{self.name}-{number}-{secrets.token_hex(3)}")
        self.record(number, pod)
        return self.site.as_account("runner", pod)


def resource(name: str, extra: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": OPTIMIZATION_JOBS.api_version,
        "kind": OPTIMIZATION_JOBS.kind,
        "metadata": {"name": name, **metadata},
        "spec": {
            "module": {"name": "predict"},
            "optimizer": {"name": "dspy.LabeledFewShot"},
            "signature": {"code": "class S(dspy.Signature): ..."},
            "metric": {"code": "def metric(gold, pred, trace=None): return 1"},
            "dataset": {"rows": [{"text": "a", "label": "b"}] * 4},
            "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
            "models": {"default": {"name": "openai/some", **({"extra": extra} if extra else {})}},
        },
    }
