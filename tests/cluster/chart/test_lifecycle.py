"""A release's whole life beside the installed one: what helm's own commands promise of jobs and artifacts."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import helm
from examples import applied_example
from installed_service import InstalledService, installed
from kubectl import Kubectl
from model_pod import NAMESPACE as MODELS
from under_test import Model
from whole_jobs import ended

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(helm.HELM is None, reason="helm is not installed"),
]

NAMESPACE = "dspy-service-lifecycle"
TO_MODELS = [{"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MODELS}}}]}]
VALUES = ["--set", "crd.install=false", "--set-json", f"networkPolicy.jobEgress={json.dumps(TO_MODELS)}"]
"""The definition belongs to the release that is installed already."""


@dataclass(frozen=True)
class Release:
    kubectl: Kubectl

    def helm(self, *arguments: str) -> str:
        assert helm.HELM is not None
        command = [helm.HELM, "--namespace", NAMESPACE, *arguments]
        done = subprocess.run(command, env=self.kubectl.environment(), capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def put(self, verb: str, *arguments: str) -> None:
        self.helm(verb, helm.RELEASE, str(helm.CHART), "--wait", "--timeout=5m", *VALUES, *arguments)

    def apply(self, model: Model, name: str) -> None:
        self.kubectl.apply(applied_example(model, name))

    def ended(self, name: str) -> Any:
        job = f"optimizationjob/{name}"
        self.kubectl.run("wait", "--for=condition=Succeeded", job, "--timeout=300s", timeout=310)
        return self.kubectl.json(job)


@pytest.fixture
def release(running: InstalledService, tmp_path: Path) -> Iterator[Release]:
    """In a namespace that enforces the restricted profile."""
    kubectl = Kubectl(running.kubeconfig, NAMESPACE, tmp_path)
    kubectl.run("create", "namespace", NAMESPACE)
    kubectl.run("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    release = Release(kubectl)
    try:
        yield release
    finally:
        subprocess.run([str(helm.HELM), "uninstall", helm.RELEASE, "-n", NAMESPACE], env=kubectl.environment())
        kubectl.run("delete", "namespace", NAMESPACE, "--timeout=120s", timeout=130)


def artifact(release: Release, home: Path, name: str) -> Any:
    with installed(release.kubectl.kubeconfig, NAMESPACE, home) as service:
        ended(service.http, name)
        answer = service.http.get(f"/jobs/{name}/artifact")
        assert answer.is_success, answer.text
        return answer.json()["program_artifact"]


def test_jobs_and_artifacts_outlive_upgrades_and_the_release(release: Release, model: Model, tmp_path: Path) -> None:
    release.put("install")
    assert release.helm("test", helm.RELEASE, "--timeout=5m").count("Phase:          Succeeded") >= 6
    release.apply(model, "before")
    release.ended("before")
    program = artifact(release, tmp_path, "before")

    model.latency = 0.5
    release.apply(model, "during")
    release.kubectl.run("wait", "--for=condition=Started", "optimizationjob/during", "--timeout=180s", timeout=190)
    release.put("upgrade", "--set", "operator.leaseSeconds=10", "--set", "api.resources.limits.memory=600Mi")
    model.latency = 0
    assert release.ended("during")["status"]["attempt"]["number"] == 1

    release.helm("uninstall", helm.RELEASE, "--wait")
    kept = release.kubectl.run("get", "optimizationjobs,persistentvolumeclaims", "-o", "name").split()
    assert {name.rpartition("/")[2] for name in kept} == {"before", "during", "dspy-service-store"}

    release.put("install")
    assert artifact(release, tmp_path, "before") == program
