"""One `dspy-service up` for the tests of `up` itself: on a real cluster there is nothing to collect here."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from payloads import DATASET
from scripted_lm import ScriptedServer
from whole_service import Service, service


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.getoption("--kubeconfig") else None


@pytest.fixture(scope="session")
def running() -> Iterator[Service]:
    with service() as started:
        yield started


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedServer]:
    rows = [json.loads(line) for line in DATASET.read_text().splitlines()]
    with ScriptedServer(rows, label="team") as server:
        yield server
