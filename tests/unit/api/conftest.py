"""One API, with a cluster of its own, for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api_service import Harness, api_service
from simple_acceptance import SimpleAcceptance


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, SimpleAcceptance()) as harness:
        yield harness
