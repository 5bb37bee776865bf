"""Renders the chart as `helm template` does, for tests that read what would be installed."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "dspy-service"
RELEASE = "dspy-service"
NAMESPACE = "dspy"
OLDEST = "1.30"
"""Kubernetes; a helm that was built from source would otherwise think of 1.20."""

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dspy-service"


def _helm() -> str | None:
    """On the machine, or where `cluster/binary helm` has built one."""
    built = sorted(_CACHE.glob("helm/*/helm"))
    return shutil.which("helm") or (str(built[-1]) if built else None) or shutil.which("helm", path=str(_CACHE / "bin"))


HELM = _helm()
"""None where there is none."""

Manifest = dict[str, Any]


class HelmRefused(Exception):
    """Its words."""


def template(*arguments: str, values: Path | None = None, namespace: str = NAMESPACE) -> str:
    assert HELM is not None
    command = [HELM, "template", RELEASE, str(CHART), "--namespace", namespace, "--kube-version", OLDEST, *arguments]
    if values is not None:
        command += ["--values", str(values)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise HelmRefused(done.stderr)
    return done.stdout


def lint(values: Path) -> subprocess.CompletedProcess[str]:
    assert HELM is not None
    command = [HELM, "lint", str(CHART), "--strict", "--kube-version", OLDEST, "--values", str(values)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def manifests(text: str) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(text) if document]


def find(documents: list[Manifest], kind: str, name: str) -> Manifest:
    (found,) = (it for it in documents if it["kind"] == kind and it["metadata"]["name"] == name)
    return found
