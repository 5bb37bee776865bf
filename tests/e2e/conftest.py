"""One whole service on the embedded cluster for all end-to-end tests, and a scripted model beside it."""

import json
from collections.abc import Iterator

import pytest

from payloads import DATASET
from scripted_lm import ScriptedServer
from whole_service import Service, service


@pytest.fixture(scope="session")
def running() -> Iterator[Service]:
    with service() as started:
        yield started


@pytest.fixture(scope="session")
def model() -> Iterator[ScriptedServer]:
    rows = [json.loads(line) for line in DATASET.read_text().splitlines()]
    with ScriptedServer(rows, label="team") as server:
        yield server
