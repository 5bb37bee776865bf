"""One forge for all tests of the optimizer, a model server for each."""

from collections.abc import Iterator

import pytest

from optimizer_job import OptimizerForge
from scripted_lm import ScriptedServer


@pytest.fixture(scope="session")
def forge() -> Iterator[OptimizerForge]:
    with OptimizerForge() as made:
        yield made


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running
