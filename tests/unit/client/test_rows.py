"""A job's test rows: from the client, from the other client, and on the command line."""

import json
from typing import Any

from click.testing import CliRunner

from dspy_service import AsyncClient, Client, Row
from dspy_service.cli import cli
from dspy_service.cli.connection import Connection
from fake_service import FakeService


def row(n: int, outcome: str = "tied") -> dict[str, Any]:
    answer = {"prediction": {"y": n}, "score": 1.0, "error": None}
    failed = {"prediction": None, "score": None, "error": "no\x1b[2J answer"}
    before = failed if outcome == "won" else answer
    return {
        "n": n,
        "outcome": outcome,
        "inputs": {"text": f"text {n}"},
        "gold": {"y": n},
        "baseline": before,
        "optimized": answer,
    }


def service_with(rows: list[dict[str, Any]]) -> FakeService:
    service = FakeService()
    service.add("success", rows=rows)
    return service


def client_of(service: FakeService) -> Client:
    return Client("http://service", transport=service.transport, sleep=service.sleep)


def test_all_pages_come_in_order_though_rows_have_gaps() -> None:
    numbers = [3 * n for n in range(2500)]
    found = list(client_of(service_with([row(n) for n in numbers])).rows("job1"))
    assert [each.n for each in found] == numbers
    assert isinstance(found[0], Row)
    assert (found[7].inputs, found[7].optimized.score) == ({"text": "text 21"}, 1.0)


def test_no_rows_are_no_rows() -> None:
    assert list(client_of(service_with([])).rows("job1")) == []


def test_which_rows_is_the_services_to_know() -> None:
    service = service_with([row(1, "won"), row(2), row(3, "lost")])
    assert [each.n for each in client_of(service).rows("job1", "won")] == [1]
    assert service.requests[-1].url.params["which"] == "won"


async def test_the_async_client_reads_them_too() -> None:
    service = service_with([row(n) for n in range(1001)])
    async with AsyncClient("http://service", transport=service.transport) as client:
        assert [each.n async for each in client.rows("job1")] == list(range(1001))


def invoke(service: FakeService, *arguments: str) -> Any:
    connection = Connection("http://service", transport=service.transport, sleep=service.sleep)
    return CliRunner().invoke(cli, ["rows", "job1", *arguments], obj=connection)


def test_the_command_prints_them() -> None:
    service = service_with([row(1, "won"), row(2), row(3, "lost")])
    told = invoke(service)
    assert told.exit_code == 0
    assert [line for line in told.stdout.splitlines() if line.startswith("row ")] == [
        *("row 1: won", "row 2: tied", "row 3: lost")
    ]
    assert "\tbaseline\tfailed\tno\\x1b[2J answer" in told.stdout
    assert '\toptimized\t1\t{"y": 1}' in told.stdout
    assert [each["n"] for each in json.loads(invoke(service, "--which", "lost", "--output", "json").stdout)] == [3]
    assert invoke(service, "--which", "best").exit_code == 2
