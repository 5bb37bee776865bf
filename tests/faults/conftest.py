"""A scripted model of its own, so that its call counts belong to one test alone."""

import json
from collections.abc import Iterator

import pytest

from payloads import DATASET
from scripted_lm import ScriptedServer


@pytest.fixture
def model() -> Iterator[ScriptedServer]:
    rows = [json.loads(line) for line in DATASET.read_text().splitlines()]
    with ScriptedServer(rows, label="team", latency=0.05) as server:
        yield server
