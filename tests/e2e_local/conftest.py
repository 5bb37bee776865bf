"""One `dspy-service up` for the tests of `up` itself: on a real cluster there is nothing to collect here."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from payloads import DATASET
from scripted_lm import ScriptedServer
from whole_service import STOP_SECONDS, Service, await_port, free_port, service


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


@pytest.fixture(scope="session")
def humble_model() -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "dspy_service_local.demo.model", "--port", str(port)])
    try:
        await_port(port)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)
