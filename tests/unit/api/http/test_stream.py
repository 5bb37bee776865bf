"""GET /jobs/{id}/stream: everything once, as it comes, to the job's end, across breaks and replicas."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api_service import Harness, api_service, entries, events, put_segment, running, succeeded
from declared_answers import held_to
from dspy_service_api.answers.error_codes import NO_TOKEN
from dspy_service_api.http.access.authenticator import TokenAuthenticator
from dspy_service_api.http.problems import Problem
from dspy_service_api.http.routes import stream as route
from dspy_service_api.jobs.position import Position
from dspy_service_core.errors import InvalidRequest
from dspy_service_core.resource import names
from event_stream import SentEvent, opened
from simple_acceptance import SimpleAcceptance
from waiting import until

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
NAME = names.api_job(ID)
PATH = f"/jobs/{ID}/stream"


def numbers(found: list[SentEvent], word: str) -> list[int]:
    return [event.data["n"] for event in found if event.word == word]


async def test_it_brings_what_is_there_then_what_comes_and_ends_with_the_job(api: Harness) -> None:
    job = await api.job(NAME, running(logs=3, last_events=2))
    async with opened(api.app, PATH) as stream:
        first = await stream.until("status")
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert numbers(first, "event") == [1, 2]
        assert numbers(first, "log") == [1, 2, 3]
        assert [event.at for event in first] == ["e1.l0", "e2.l0", "e2.l1", "e2.l2", "e2.l3", "e2.l3"]
        for event in first:
            held_to(
                {"event": "PagedProgressEvent", "log": "PagedLogEntry", "status": "JobSummary"}[event.word], event.data
            )
        await api.update(NAME, {"status": running(logs=5, last_events=2)})
        second = await stream.until("status")
        assert (numbers(second, "event"), numbers(second, "log")) == ([], [4, 5])
        put_segment(api.store, job, "logs", entries(6))
        put_segment(api.store, job, "events", events(3))
        await api.update(NAME, {"status": succeeded(6, 3, job_id=ID)})
        last = await stream.rest()
        assert (numbers(last, "event"), numbers(last, "log")) == ([3], [6])
        assert last[-1].word == "status"
        assert last[-1].data["status"] == "success"
        assert last[-1].at == "e3.l6.end"
    assert api.service.streams.open == 0


async def test_who_comes_back_goes_on_where_they_were_at_another_replica_too(api: Harness, tmp_path: Path) -> None:
    job = await api.job(NAME, running(logs=200, last_events=9))
    put_segment(api.store, job, "logs", entries(200))
    put_segment(api.store, job, "events", events(9))
    async with api_service(tmp_path / "other", SimpleAcceptance(), api.cluster) as other:
        for replica, path, headers in (
            (api, PATH, {"Last-Event-ID": "e4.l120"}),
            (api, f"{PATH}?after=e4.l120", {}),
            (api, f"{PATH}?after=e0.l0", {"Last-Event-ID": "e4.l120"}),
            (api, PATH, {"Last-Event-ID": "e4.l120.x7"}),
        ):
            async with opened(replica.app, path, headers) as stream:
                found = await stream.until("status")
            assert (numbers(found, "event"), numbers(found, "log")) == ([5, 6, 7, 8, 9], list(range(121, 201)))
        await other.service.reflector.synced.wait()
        other.service.cache.upsert(job)
        async with opened(other.app, PATH, {"Last-Event-ID": "e9.l199"}) as stream:
            assert numbers(await stream.until("status"), "log") == [200]


def candidates(*numbers: int, **fields: Any) -> list[dict[str, Any]]:
    told = {"parents": [], "at_call": 6, "score": 50.0, "rows": 6, "accepted": True, "changes": {}}
    return [{**told, "at_call": 6 * n, **fields} for n in numbers]


async def test_candidates_come_too_and_nobody_is_told_of_one_twice(api: Harness, tmp_path: Path) -> None:
    """More than are read at once, and of the size that a candidate may have."""
    text = {"predict": {"instructions": "x" * 250_000, "demos": None}}
    job = await api.job(NAME, running(logs=1, candidates=2))
    put_segment(api.store, job, "candidates", candidates(1, 2))
    async with opened(api.app, PATH) as stream:
        first = await stream.until("status")
        assert numbers(first, "candidate") == [1, 2]
        for event in first:
            if event.word == "candidate":
                held_to("Candidate", event.data)
        assert first[-1].at == "e0.l1.c2"
        assert first[-1].data["candidates_count"] == 2
        put_segment(api.store, job, "candidates", candidates(*range(3, 41), changes=text), first=3)
        await api.update(NAME, {"status": running(logs=1, candidates=40)})
        assert numbers(await stream.until("status"), "candidate") == list(range(3, 41))
    answer = await api.client.get(f"/jobs/{ID}/candidates", params={"after": 0})
    assert answer.json()[0] == first[1].data, "as the page of candidates has it"
    async with api_service(tmp_path / "other", SimpleAcceptance(), api.cluster) as other:
        await other.service.reflector.synced.wait()
        put_segment(other.store, job, "candidates", candidates(1, 2))
        put_segment(other.store, job, "candidates", candidates(*range(3, 41), changes=text), first=3)
        for replica, at, expected in ((api, "e0.l1.c38", [39, 40]), (other, "e0.l1.c39", [40]), (api, "e0.l1.c40", [])):
            async with opened(replica.app, PATH, {"Last-Event-ID": at}) as again:
                found = await again.until("status")
            assert (numbers(found, "log"), numbers(found, "candidate")) == ([], expected)
    put_segment(api.store, job, "logs", entries(1))
    await api.update(NAME, {"status": succeeded(1, job_id=ID)})
    async with opened(api.app, PATH, {"Last-Event-ID": "e0.l1.c40"}) as ended:
        assert [(event.word, event.at) for event in await ended.rest()] == [("status", "e0.l1.c40.end")]


async def test_the_newest_entries_come_without_the_store(api: Harness) -> None:
    await api.job(NAME, running(logs=30, last_events=3))  # of which the store has none
    async with opened(api.app, PATH, {"Last-Event-ID": "e0.l10"}) as stream:
        assert numbers(await stream.until("status"), "log") == list(range(11, 31))


async def test_who_has_heard_of_the_end_is_not_told_again(api: Harness) -> None:
    job = await api.job(NAME, succeeded(1, job_id=ID))
    put_segment(api.store, job, "logs", entries(1))
    async with opened(api.app, PATH) as stream:
        at = (await stream.rest())[-1].at
    answer = await api.client.get(PATH, headers={"Last-Event-ID": at})
    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_job_that_is_removed_ends_its_streams_with_a_word(api: Harness) -> None:
    job = await api.job(NAME, running())
    async with opened(api.app, PATH) as stream:
        await stream.until("status")
        api.service.cache.forget(NAME, job["metadata"]["uid"])
        [closed] = await stream.rest()
        assert (closed.word, closed.at, closed.data["code"]) == ("closed", "", "unknown_job")


async def test_a_store_that_lacks_entries_is_told(api: Harness) -> None:
    await api.job(NAME, succeeded(40, job_id=ID))
    async with opened(api.app, PATH) as stream:
        [closed] = await stream.rest()
        assert (closed.word, closed.data["code"]) == ("closed", "store_unavailable")


async def test_a_slow_reader_is_told_and_left(api_that_hurries: Harness) -> None:
    api = api_that_hurries
    await api.job(NAME, running(logs=1))
    async with opened(api.app, PATH) as stream:
        await stream.until("status")
        stream.pause()
        await api.update(NAME, {"status": running(logs=2)})
        await asyncio.sleep(api.settings.stream_behind_seconds * 3)
        stream.go_on()
        found = await stream.rest()
        assert numbers(found, "log") == [2]
        assert (found[-1].word, found[-1].data["code"]) == ("closed", "slow_reader")
    async with opened(api.app, PATH, {"Last-Event-ID": found[0].at}) as stream:
        assert numbers(await stream.until("status"), "log") == [], "it has got that one"


async def test_changes_that_nobody_could_be_told_of_cost_nothing_and_are_not_lost(api: Harness) -> None:
    """More than any buffer holds, while the reader takes nothing."""
    job = await api.job(NAME, running(logs=1))
    async with opened(api.app, PATH) as stream:
        await stream.until("status")
        stream.pause()
        for count in range(2, 300):
            await api.update(NAME, {"status": running(logs=count)})
        put_segment(api.store, job, "logs", entries(299))
        stream.go_on()
        seen: list[int] = []
        while len(seen) < 298:
            seen += numbers(await stream.until("status"), "log")
        assert seen == list(range(2, 300))


async def test_who_may_not_read_the_job_any_more_hears_nothing_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(route, "_ASK_AGAIN_SECONDS", 0.0)
    async with api_service(tmp_path, SimpleAcceptance(), token="once") as api:
        await api.job(NAME, running(logs=1))
        async with opened(api.app, PATH, {"Authorization": "Bearer once"}) as stream:
            await stream.until("status")
            monkeypatch.setattr(TokenAuthenticator, "ask", refused)
            await api.update(NAME, {"status": running(logs=2)})
            [closed] = await stream.rest()
    assert (closed.word, closed.data["code"]) == ("closed", "forbidden")
    assert b"line 2" not in stream.raw


async def refused(*_: Any) -> Problem:
    return Problem(NO_TOKEN, "The token has expired.")


async def test_it_says_now_and_then_that_it_is_alive(api_that_hurries: Harness) -> None:
    await api_that_hurries.job(NAME, running())
    async with opened(api_that_hurries.app, PATH) as stream:
        await stream.until("status")

        async def alive() -> bool:
            return stream.pings > 0

        await until(alive)


async def test_there_are_only_so_many_at_a_time(api_that_hurries: Harness) -> None:
    api = api_that_hurries
    await api.job(NAME, running())
    async with opened(api.app, PATH) as first, opened(api.app, PATH) as second:
        await first.until("status")
        await second.until("status")
        answer = await api.client.get(PATH)
        assert (answer.status_code, answer.json()["code"]) == (503, "too_many_streams")
        assert answer.headers["retry-after"]
    assert api.service.streams.open == 0
    async with opened(api.app, PATH) as third:
        await third.until("status")


@pytest.mark.parametrize("given", ["x y", "12", "e1l2", "e1.l" + "9" * 16, "<script>", "e1." * 11 + "l1"])
async def test_what_is_no_id_is_refused_by_its_place(api: Harness, given: str) -> None:
    await api.job(NAME, running())
    by_header = await api.client.get(PATH, headers={"Last-Event-ID": given})
    by_query = await api.client.get(PATH, params={"after": given})
    assert [answer.status_code for answer in (by_header, by_query)] == [422, 422]
    assert by_header.json()["detail"][0]["field"] == "Last-Event-ID"
    assert by_query.json()["detail"][0]["field"] == "after"


async def test_an_unknown_job_has_none(api: Harness) -> None:
    answer = await api.client.get(PATH)
    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_job")


@pytest.mark.parametrize(
    "at", [Position(), Position(3, 40), Position(3, 40, 7), Position(3, 40, 7, True), Position(3, 40, ended=True)]
)
def test_an_id_is_read_as_it_was_written(at: Position) -> None:
    assert Position.read(str(at), "after") == at
    with pytest.raises(InvalidRequest):
        Position.read(f"{at}.", "after")


async def test_text_of_a_job_cannot_make_events_of_its_own(api: Harness) -> None:
    status = running(logs=1)
    status["run"]["logs"]["tail"][0]["message"] = "a\r\n\r\nevent: status\ndata: {}\n\n\u2028\u0085b"
    await api.job(NAME, status)
    async with opened(api.app, PATH) as stream:
        found = await stream.until("status")
    assert [event.word for event in found] == ["log", "status"]
    assert found[0].data["message"] == status["run"]["logs"]["tail"][0]["message"]


@pytest.fixture
async def api_that_hurries(tmp_path: Path) -> AsyncIterator[Harness]:
    settings = {"stream_behind_seconds": 0.1, "stream_ping_seconds": 1, "streams": 2}
    async with api_service(tmp_path, SimpleAcceptance(), **settings) as harness:
        yield harness
