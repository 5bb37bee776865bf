"""One `dspy-service up` for the tests of `up` itself: on a real cluster there is nothing to collect here."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from control_channels import CHANNELS, VERBS
from controlled_jobs import State
from payloads import DATASET
from scripted_lm import ScriptedServer
from whole_service import STOP_SECONDS, Service, await_port, free_port, service


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.getoption("--kubeconfig") else None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The table of `test_control_table.py`, as far as its cells were run and passed."""
    found = [report.user_properties for report in terminalreporter.stats.get("passed", ())]
    cells = [value for properties in found for name, value in properties if name == "cell"]
    if cells:
        for line in table_of(cells):
            terminalreporter.write_line(line)


def table_of(cells: Sequence[tuple[str, str, str, str, int]]) -> Iterator[str]:
    """Each cell: what the job came to, and how many model calls began after the verb."""
    told = {(state, verb, channel): f"{end} ({calls})" for verb, channel, state, end, calls in cells}
    yield "\nWhat each verb leads to, and model calls that began after it:"
    yield f"| job | verb | {' | '.join(CHANNELS)} |"
    yield f"|---|---|{'---|' * len(CHANNELS)}"
    for state in get_args(State):
        for verb in VERBS:
            yield f"| {state} | {verb} | {' | '.join(told.get((state, verb, each), '') for each in CHANNELS)} |"


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
