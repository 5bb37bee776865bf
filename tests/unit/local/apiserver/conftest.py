"""A cluster of the test's own, opened in its loop, with the tests' definition."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dspy_service_core.kube.resources import CUSTOM_RESOURCE_DEFINITIONS
from dspy_service_local.apiserver import Cluster
from widgets import DEFINITION


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    opened = await Cluster.open(tmp_path / "cluster")
    await opened.client.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
    yield opened
    await opened.close()
