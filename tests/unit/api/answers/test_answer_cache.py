"""Answers about finished jobs: within their bound, right after every change, and made when a job ends."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api_service import Harness, api_service, entries, events, put_artifact, put_result, put_segment, running, succeeded
from dspy_service_api.answers.answer_cache import Answer, AnswerCache, Key
from dspy_service_core.kube.protocol import Object
from dspy_service_core.resource import names
from simple_acceptance import SimpleAcceptance
from waiting import until

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
NAME = names.api_job(ID)
BOUND = 80_000


def key(n: int) -> Key:
    return ("job", str(n), "1")


def noise(n: int) -> Answer:
    """About 4,000 bytes that nothing makes smaller."""
    return Answer.of(b"%04d" % n + os.urandom(3_996))


def body(cache: AnswerCache, n: int) -> bytes | None:
    answer = cache.get(key(n))
    return None if answer is None else answer.body


def test_answers_come_back_within_the_bound() -> None:
    cache = AnswerCache(BOUND)
    answers = [noise(n) for n in range(100)]
    for n, answer in enumerate(answers):
        cache.put(key(n), answer)
        assert cache.size <= BOUND
        assert body(cache, n) == answer.body
    assert body(cache, 0) is None
    kept = [n for n in range(100) if body(cache, n) is not None]
    assert len(kept) > 10
    assert kept == list(range(100 - len(kept), 100))
    assert all(body(cache, n) == answers[n].body for n in kept)


def test_what_is_asked_for_stays() -> None:
    cache = AnswerCache(BOUND)
    for n in range(100):
        cache.put(key(n), noise(n))
        assert (body(cache, 0) or b"")[:4] == b"0000"
    assert body(cache, 1) is None


def test_the_bound_counts_what_is_held_and_not_what_is_answered() -> None:
    cache = AnswerCache(BOUND)
    for n in range(50):
        cache.put(key(n), Answer.of(b"%04d" % n + b"a line of a log, " * 1000))
    assert all(cache.get(key(n)) for n in range(50))
    assert cache.size <= BOUND


def test_many_tiny_answers_count_what_they_take_beside_their_bytes() -> None:
    cache = AnswerCache(BOUND)
    for n in range(1000):
        cache.put(key(n), Answer.of(b"{}"))
    assert sum(cache.get(key(n)) is not None for n in range(1000)) < 200


def test_a_huge_answer_pushes_nobody_out() -> None:
    cache = AnswerCache(BOUND)
    cache.put(key(1), Answer.of(b"small"))
    cache.put(key(2), Answer.of(os.urandom(50_000)))
    assert body(cache, 1) == b"small"
    assert body(cache, 2) is None


def test_no_room_is_no_fault() -> None:
    cache = AnswerCache(0)
    cache.put(key(1), Answer.of(b"x"))
    assert cache.get(key(1)) is None


def test_the_same_bytes_have_the_same_tag_however_they_are_held() -> None:
    cache = AnswerCache(BOUND)
    cache.put(key(1), Answer.of(b"an answer"))
    kept = cache.get(key(1))
    assert kept is not None
    assert kept.etag == Answer.of(b"an answer").etag != Answer.of(b"another").etag


def stored(api: Harness, job: Object) -> None:
    put_segment(api.store, job, "logs", entries(5))
    put_segment(api.store, job, "events", events(2))
    put_result(api.store, job)
    put_artifact(api.store, job)


async def detail(api: Harness) -> Any:
    response = await api.client.get(f"/jobs/{ID}")
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_finished_answer_is_read_from_the_store_once(api: Harness) -> None:
    stored(api, await api.job(NAME, running()))
    await api.update(NAME, {"status": succeeded(5, 2, job_id=ID)})
    first = await detail(api)
    artifact = (await api.client.get(f"/jobs/{ID}/artifact")).json()
    api.store.delete_folder("default")
    assert await detail(api) == first
    assert (await api.client.get(f"/jobs/{ID}/artifact")).json() == artifact


async def test_the_answer_about_a_job_is_made_when_it_ends(api: Harness) -> None:
    """The store is gone before anybody has asked; a running job's answer is never kept."""
    job = await api.job(NAME, running())
    assert api.service.jobs.answers.size == 0
    stored(api, job)
    job = await api.update(NAME, {"status": succeeded(5, 2, job_id=ID)})

    async def made() -> bool:
        return ("job", job["metadata"]["uid"], job["metadata"]["resourceVersion"]) in api.service.jobs.answers

    await until(made)
    api.store.delete_folder("default")
    assert (await detail(api))["status"] == "success"
    assert 0 < api.service.jobs.answers.size < 100_000


async def test_a_finished_job_that_changes_or_goes_leaves_no_old_answer(api: Harness) -> None:
    answers = api.service.jobs.answers
    stored(api, await api.job(NAME, running()))
    await api.update(NAME, {"status": succeeded(5, 2, job_id=ID)})
    await detail(api)
    one = answers.size
    for started in ("2026-03-01T09:30:06Z", "2026-03-01T09:30:07Z"):
        await api.update(NAME, {"status": {"startedAt": started}})
        assert (await detail(api))["started_at"] == started

    async def only_one() -> bool:
        return 0 < answers.size < 1.5 * one

    await until(only_one)
    assert (await api.client.delete(f"/jobs/{ID}")).status_code == 204

    async def empty() -> bool:
        return answers.size == 0

    await until(empty)


async def test_an_answer_that_cannot_be_made_is_told_to_whoever_asks_and_hinders_no_other(api: Harness) -> None:
    other_id = ID.replace("4", "5")
    await api.job(NAME, running())
    await api.update(NAME, {"status": succeeded(5, 2, job_id=ID)})  # the store holds nothing of it
    other = await api.job(names.api_job(other_id), running())
    stored(api, other)
    other = await api.update(names.api_job(other_id), {"status": succeeded(5, 2, job_id=other_id)})

    async def made() -> bool:
        return ("job", other["metadata"]["uid"], other["metadata"]["resourceVersion"]) in api.service.jobs.answers

    await until(made)
    assert (await api.client.get(f"/jobs/{ID}")).status_code == 503


@pytest.fixture
async def restarted(tmp_path: Path) -> AsyncIterator[Harness]:
    """Beside a cluster and a store in which a job has ended already."""
    async with api_service(tmp_path, SimpleAcceptance()) as before:
        stored(before, await before.job(NAME, running()))
        await before.update(NAME, {"status": succeeded(5, 2, job_id=ID)})
        async with api_service(tmp_path, SimpleAcceptance(), before.cluster) as after:
            yield after


async def test_a_start_makes_no_answers(restarted: Harness) -> None:
    assert restarted.service.cache.get(NAME) is not None
    assert restarted.service.jobs.answers.size == 0
    assert (await detail(restarted))["status"] == "success"
    assert restarted.service.jobs.answers.size > 0
