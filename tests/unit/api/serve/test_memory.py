"""What bodies take of memory together: counted while they come in, and work in turn."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import orjson
import pytest

from api_service import api_service
from dspy_service_api.serve.memory import Busy, Room, Work
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from run_requests import run_request
from simple_acceptance import SimpleAcceptance
from waiting import until


def test_room_is_refused_at_once_and_given_back() -> None:
    room = Room(100)
    room.take(60)
    with pytest.raises(Busy):
        room.take(41)
    room.take(40)
    room.give(100)
    room.take(100)


async def test_work_takes_turns_in_the_order_of_asking() -> None:
    work, done, may_end = Work(100, wait_seconds=60), [], asyncio.Event()

    async def one(name: str, size: int) -> None:
        async with work.of(size):
            done.append(name)
            await may_end.wait()

    async with asyncio.TaskGroup() as group:
        for name, size in (("first", 60), ("large", 10_000), ("small", 1)):
            group.create_task(one(name, size))

        async def begun() -> bool:
            return done == ["first"]

        await until(begun, what="the first to begin")
        may_end.set()
    assert done == ["first", "large", "small"]
    assert work.taken == 0


async def test_who_waits_too_long_is_refused_and_leaves_nothing() -> None:
    work = Work(100, wait_seconds=0.01)
    async with work.of(100):
        with pytest.raises(Busy):
            async with work.of(1):
                pass
    assert work.taken == 0
    async with work.of(100):
        assert work.taken == 100


async def test_who_goes_away_while_waiting_leaves_nothing() -> None:
    work = Work(100, wait_seconds=60)

    async def waiting() -> None:
        async with work.of(50):
            pass

    async with work.of(100):
        task = asyncio.create_task(waiting())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert work.taken == 0


async def test_a_body_without_room_is_told_when_to_come_again(tmp_path: Path) -> None:
    held, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b" " * 1500
        held.set()
        await go_on.wait()
        yield b"{}"

    async with api_service(
        tmp_path, SimpleAcceptance(), body_limit_bytes=2000, bodies_memory_bytes=2000, retry_after_seconds=7
    ) as api:
        first = asyncio.create_task(api.client.post("/run", content=slow()))
        await held.wait()
        refused = await api.client.post("/run", content=b"{}".rjust(600))
        fitting = await api.client.post("/run", content=b"{}".rjust(400))
        go_on.set()
        assert (await first).status_code == 200
        again = await api.client.post("/run", content=b"{}".rjust(600))

    assert (refused.status_code, refused.headers["retry-after"]) == (503, "7")
    assert "busy" in refused.json()["detail"]
    assert (fitting.status_code, again.status_code) == (200, 200)


async def test_work_without_room_is_told_when_to_come_again(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), work_wait_seconds=0.01) as api:
        async with api.service.submits.work.of(10**12):
            refused = await api.client.post("/run", content=b"{}")
        answered = await api.client.post("/run", content=b"{}")

    assert (refused.status_code, answered.status_code) == (503, 200)
    assert "retry-after" in refused.headers


async def submitted(folder: Path, body: bytes, **settings: int) -> httpx.Response:
    given = Settings(**settings)  # type: ignore[arg-type]
    async with api_service(folder, CoreAcceptance.from_settings(given), **settings) as api:
        return await api.client.post("/run", content=body)


@pytest.mark.parametrize(
    ("settings", "rows", "expected"),
    [
        ({"most_values": 1000}, [{"text": "a", "label": "b"}] * 500, ("dataset", "too_many_values")),
        ({"most_values": 1000}, [{"text": "a,{[" * 400, "label": "b"}] * 40, None),
        ({"most_values": 1000}, [{"text": '\\",' * 400, "label": "b\\"}] * 40, None),
        ({"most_rows": 40}, [{"text": "a", "label": "b"}] * 41, ("dataset", "too_many_rows")),
        ({"most_rows": 40}, [{"text": "a", "label": "b"}] * 40, None),
        ({"most_columns": 2}, [{"text": "a", "label": "b", "c": 1}] * 40, ("dataset[0]", "too_many_columns")),
        ({"most_columns": 2}, [{"text": "a", "label": "b"}] * 40, None),
    ],
)
async def test_the_bounds_of_a_request_are_settings(
    tmp_path: Path, settings: dict[str, int], rows: list[dict[str, object]], expected: tuple[str, str] | None
) -> None:
    response = await submitted(tmp_path, orjson.dumps(run_request(dataset=rows)), **settings)

    if expected is None:
        assert response.status_code == 200, response.text
    else:
        assert response.status_code == 422
        assert (response.json()["detail"][0]["field"], response.json()["detail"][0]["type"]) == expected


async def test_values_beside_the_rows_have_a_bound_of_their_own(tmp_path: Path) -> None:
    response = await submitted(tmp_path, orjson.dumps(run_request(module_kwargs={"x": [1] * 11_000})))

    assert response.status_code == 422
    assert response.json()["detail"][0]["field"] == "module_kwargs"
    assert "10000" in response.json()["detail"][0]["message"]
