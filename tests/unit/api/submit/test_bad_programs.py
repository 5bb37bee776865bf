"""What a submit refuses of programs, through HTTP: the field, the cure, and nothing is stored."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api_service import NAMESPACE, Harness, api_service
from bad_programs import ACCEPTED, REFUSED, program_request
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as harness:
        yield harness


async def kept(api: Harness) -> int:
    made = [(await api.service.jobs.cluster.list(kind, NAMESPACE)).items for kind in (OPTIMIZATION_JOBS, SECRETS)]
    files = [path for path in api.folder.rglob("*") if path.is_file()]
    return sum(map(len, made)) + len(files)


@pytest.mark.parametrize("name", REFUSED)
async def test_refused(api: Harness, name: str) -> None:
    case = REFUSED[name]

    answer = await api.client.post("/run", json=program_request(**case.changes))

    said: dict[str, Any] = answer.json()
    assert answer.status_code == case.status, said
    if case.status == 400:
        assert case.words in said["detail"]
    else:
        assert case.fields == tuple(dict.fromkeys(problem["field"] for problem in said["detail"]))
        assert case.words in said["detail"][0]["message"]
    assert await kept(api) == 0


@pytest.mark.parametrize("name", ACCEPTED)
async def test_accepted(api: Harness, name: str) -> None:
    answer = await api.client.post("/run", json=program_request(**ACCEPTED[name]))

    assert answer.status_code == 200, answer.json()
    assert await kept(api) > 0
