"""Watching through a job's stream: what it brings, what happens when it breaks, and when there is none."""

import httpx
import pytest

from dspy_service import AsyncClient, Client
from dspy_service.watching import Update, Watch
from dspy_service.wire.streaming import Rounds
from fake_service import FakeService

LINES = [str(n) for n in range(10)]


def watched(service: FakeService, job_id: str = "job1") -> list[Update]:
    with Client("http://service", transport=service.transport, sleep=service.sleep) as client:
        return list(client.watch(job_id))


def lines(updates: list[Update]) -> list[str]:
    return [entry.message for update in updates for entry in update.logs]


def test_one_request_brings_all_of_it() -> None:
    service = FakeService()
    service.streams = True
    service.add("pending", "running", "running", "success", logs=LINES, events=[("baseline_evaluated", {"a": 1})])
    updates = watched(service)
    assert lines(updates) == LINES
    assert [event.event for update in updates for event in update.events] == ["baseline_evaluated"]
    assert [update.summary.status for update in updates] == ["pending", "running", "running", "success"]
    assert service.opened == ["e0.l0"]
    assert not [request for request in service.requests if "/jobs/" in request.url.path]
    assert service.slept == []


def test_a_stream_that_breaks_goes_on_from_what_was_seen() -> None:
    service = FakeService()
    service.streams = 1
    service.add("pending", "running", "running", "running", "running", "success", logs=LINES)
    updates = watched(service)
    assert lines(updates) == LINES, "each entry once, whether a stream or an answer brought it"
    assert len(service.opened) > 1
    assert service.opened == sorted(set(service.opened), key=lambda at: int(at.split(".l")[1]))


def test_an_older_service_is_asked_instead_and_for_a_stream_only_once() -> None:
    service = FakeService()
    service.add("pending", "running", "running", "success", logs=LINES)
    updates = watched(service)
    assert lines(updates) == LINES
    assert service.opened == ["e0.l0"]


def test_a_watch_from_a_log_entry_on_streams_from_there() -> None:
    service = FakeService()
    service.streams = True
    service.add("success", logs=LINES)
    with Client("http://service", transport=service.transport, sleep=service.sleep) as client:
        updates = list(client.watch("job1", from_log=7))
    assert service.opened == ["e0.l7"]
    assert lines(updates) == LINES[7:]


async def test_so_does_the_asynchronous_client() -> None:
    service = FakeService()
    service.streams = 2
    service.add("pending", "running", "running", "running", "success", logs=LINES)

    async def sleep(seconds: float) -> None:
        service.sleep(seconds)

    async with AsyncClient("http://service", transport=service.transport, sleep=sleep) as client:
        updates = [update async for update in client.watch("job1")]
    assert lines(updates) == LINES
    assert len(service.opened) == 2


CANDIDATES = [
    {"n": n, "parents": [1], "at_call": n, "score": 50.0, "rows": 4, "accepted": True, "changes": {}}
    for n in range(1, 6)
]


@pytest.mark.parametrize("streams", [True, 1, False])
def test_candidates_come_once_by_a_stream_or_by_asking(streams: bool | int) -> None:
    service = FakeService()
    service.streams = streams
    service.add("running", "running", "running", "success", candidates=CANDIDATES)
    updates = watched(service)
    assert [each.n for update in updates for each in update.candidates] == [1, 2, 3, 4, 5]
    assert service.opened[1:] == ["e0.l0.c5"] * len(service.opened[1:])


async def test_so_they_do_for_the_asynchronous_client() -> None:
    service = FakeService()
    service.add("running", "success", candidates=CANDIDATES)

    async def sleep(seconds: float) -> None:
        service.sleep(seconds)

    async with AsyncClient("http://service", transport=service.transport, sleep=sleep) as client:
        updates = [update async for update in client.watch("job1")]
    assert [each.n for update in updates for each in update.candidates] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("data", ["", "no JSON", "[1]", "3", '{"n": "x"}'])
def test_what_is_no_entry_ends_no_watch(data: str) -> None:
    rounds = Rounds(Watch())
    assert rounds.take("event", data) is None
    assert rounds.take("something newer", data) is None


def test_a_service_that_is_busy_is_tried_again() -> None:
    service = FakeService()
    service.add("running", "running", "success", logs=LINES)
    refusals = iter([True])

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/stream") and next(refusals, False):
            service.streams = True
            return httpx.Response(503, json={"detail": "full", "code": "too_many_streams"})
        return service.transport.handler(request)  # type: ignore[return-value]  # a synchronous one

    with Client("http://service", transport=httpx.MockTransport(handle), sleep=service.sleep) as client:
        assert lines(list(client.watch("job1"))) == LINES
    assert len(service.opened) == 1
