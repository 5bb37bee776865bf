"""Which cluster a run is on: `--kubeconfig PATH` (or KUBECONFIG_UNDER_TEST) names a real one, else all is embedded."""

import os
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kubeconfig",
        default=os.environ.get("KUBECONFIG_UNDER_TEST", ""),
        help="the cluster that tests/conformance, tests/e2e and tests/cluster_* are run on",
    )
    parser.addoption(
        "--namespace",
        default="dspy-service",
        help="where on that cluster the chart was installed (default: %(default)s)",
    )


@pytest.fixture(scope="session")
def given_kubeconfig(request: pytest.FixtureRequest) -> Path | None:
    given = str(request.config.getoption("--kubeconfig"))
    return Path(given).expanduser().resolve() if given else None
