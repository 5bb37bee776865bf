"""One running service for all end-to-end tests, and a scripted model that its jobs reach.

Without `--kubeconfig` both are processes of this machine; with it, the chart's installation and a pod of that cluster.
The tests are the same: none asks which.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from installed_service import InstalledService, installed
from kubectl import Kubectl
from model_pod import model_pod
from payloads import DATASET
from scripted_lm import ScriptedServer
from under_test import Model, Service
from whole_service import service


@pytest.fixture(scope="session")
def running(
    given_kubeconfig: Path | None, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    if given_kubeconfig is None:
        with service() as started:
            yield started
        return
    namespace = str(request.config.getoption("--namespace"))
    with installed(given_kubeconfig, namespace, tmp_path_factory.mktemp("home")) as found:
        yield found


@pytest.fixture(scope="session")
def model(running: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    if isinstance(running, InstalledService):
        with model_pod(running.kubeconfig, running.image("api"), tmp_path_factory.mktemp("home")) as pod:
            yield pod
        return
    rows = [json.loads(line) for line in DATASET.read_text().splitlines()]
    with ScriptedServer(rows, label="team") as server:
        yield server


@pytest.fixture(scope="session")
def kubectl(running: Service, tmp_path_factory: pytest.TempPathFactory) -> Kubectl:
    return Kubectl(running.kubeconfig, running.namespace, tmp_path_factory.mktemp("home"))
