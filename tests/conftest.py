"""Which cluster a run is on, and what runs there.

`--kubeconfig PATH` (or KUBECONFIG_UNDER_TEST) names a real one, with the chart installed; otherwise service and model
are processes of this machine, on the embedded cluster. The end-to-end tests are the same: none asks which.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from installed_service import InstalledService, installed
from model_pod import model_pod
from payloads import DATASET
from scripted_lm import ScriptedServer
from under_test import Model, Service
from whole_service import service

# A busy machine is no defect: nothing here is asserted on wall-clock time.
settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kubeconfig",
        default=os.environ.get("KUBECONFIG_UNDER_TEST", ""),
        help="the cluster that tests/conformance, tests/e2e and tests/cluster are run on",
    )
    parser.addoption(
        "--namespace",
        default="dspy-service",
        help="where on that cluster the chart was installed (default: %(default)s)",
    )
    parser.addoption("--matrix", action="store_true", help="every cell of optimizers and situations, and their table")


@pytest.fixture(scope="session", autouse=True)
def own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the client remembers between two commands: not in the home of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def given_kubeconfig(request: pytest.FixtureRequest) -> Path | None:
    given = str(request.config.getoption("--kubeconfig"))
    return Path(given).expanduser().resolve() if given else None


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
