"""The programs that a search tried: from the client, from the other client, and on the command line."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from dspy_service import AsyncClient, Client
from dspy_service.answers import Candidate, PredictorChange
from dspy_service.cli import cli
from dspy_service.cli.connection import Connection
from dspy_service.errors import NotFinished
from fake_service import FakeService


def candidate(n: int, **fields: Any) -> dict[str, Any]:
    change = {"instructions": "Look\nat\x1b[2J it.", "demos": [{"text": "a"}]}
    told = {"parents": [n - 1] if n > 1 else [], "at_call": 6 * n, "score": 50.0, "rows": 6, "accepted": n % 2 == 1}
    return {"n": n, **told, "changes": {"predict": change} if n > 1 else {}, **fields}


def service_with(count: int, **fields: Any) -> FakeService:
    service = FakeService()
    service.add("success", candidates=[candidate(n, **fields) for n in range(1, count + 1)])
    return service


def client_of(service: FakeService) -> Client:
    return Client("http://service", transport=service.transport, sleep=service.sleep)


def invoke(service: FakeService, *arguments: str) -> Any:
    connection = Connection("http://service", transport=service.transport, sleep=service.sleep)
    return CliRunner().invoke(cli, ["candidates", "job1", *arguments], obj=connection)


def test_all_pages_come_though_they_end_before_their_limit() -> None:
    found = list(client_of(service_with(7)).candidates("job1"))
    assert [each.n for each in found] == [*range(1, 8)]
    assert found[0] == Candidate(n=1, at_call=6, rows=6, accepted=True, score=50.0)
    assert found[1].parents == (1,)
    assert found[1].changes == {"predict": PredictorChange("Look\nat\x1b[2J it.", ({"text": "a"},))}
    assert [each.n for each in client_of(service_with(7)).candidates("job1", after=5)] == [6, 7]


def test_a_service_that_answers_the_same_again_is_not_asked_for_ever() -> None:
    service = service_with(3)
    service.faults = [*(_answered([candidate(1)]) for _ in range(3))]
    assert [each.n for each in client_of(service).candidates("job1")] == [1]


def _answered(page: list[dict[str, Any]]) -> Any:
    return httpx.Response(200, json=page)


async def test_the_async_client_reads_them_too() -> None:
    service = service_with(5)
    async with AsyncClient("http://service", transport=service.transport) as client:
        assert [each.n async for each in client.candidates("job1")] == [*range(1, 6)]


def test_the_command_prints_them() -> None:
    service = service_with(3)
    told = invoke(service)
    assert told.exit_code == 0, told.output
    assert told.stdout.splitlines() == [
        "1\t\t6\t50.0\t6\tyes\tas given",
        "2\t1\t12\t50.0\t6\tno\tpredict: 1 demos, Look at\\x1b[2J it.",
        "3\t2\t18\t50.0\t6\tyes\tpredict: 1 demos, Look at\\x1b[2J it.",
    ]
    whole = json.loads(invoke(service, "--after", "1", "--output", "json").stdout)
    assert [each["n"] for each in whole] == [2, 3]
    assert whole[0]["changes"]["predict"]["demos"] == [{"text": "a"}]


def test_one_that_was_not_scored_says_so() -> None:
    service = service_with(1, score=None, rows=0)
    assert invoke(service).stdout == "1\t\t6\t\t\tyes\tas given\n"


def test_none_are_none() -> None:
    assert list(client_of(service_with(0)).candidates("job1")) == []
    assert invoke(service_with(0)).stdout == ""


def artifact_of(service: FakeService, *arguments: str) -> Any:
    connection = Connection("http://service", transport=service.transport, sleep=service.sleep)
    return CliRunner().invoke(cli, ["artifact", "job1", *arguments], obj=connection)


async def test_the_best_so_far_comes_while_the_job_runs(tmp_path: Path) -> None:
    service = FakeService()
    job = service.add("running", candidates=[candidate(1)])
    found = client_of(service).artifact("job1", best=True)
    assert (found.program_state, found.metadata["score"], found.program_pickle_base64) == ({"predict": {}}, 50.0, None)
    async with AsyncClient("http://service", transport=service.transport) as client:
        assert await client.artifact("job1", best=True) == found
    told = artifact_of(service, "--best", "-o", str(tmp_path / "best"))
    assert told.exit_code == 0, told.output
    assert json.loads((tmp_path / "best" / "program.json").read_text()) == {"predict": {}}
    assert json.loads((tmp_path / "best" / "metadata.json").read_text())["best_so_far"] is True
    with pytest.raises(NotFinished):
        client_of(service).artifact("job1")
    job.candidates.clear()
    with pytest.raises(NotFinished) as nothing:
        client_of(service).artifact("job1", best=True)
    assert nothing.value.code == "no_best_yet"
