"""The position that the API tells and the operator's order of admission are one order, over the same resources."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, strategies as st

from dspy_service_api.jobs.cache import JobCache
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from operator_harness import Harness
from operator_objects import make_raw

STAMP = "dspy-service.io/submitted-at"

stamps = st.one_of(
    st.integers(0, 3).map("2026-01-02T12:00:00.00000{}Z".format),
    st.sampled_from(["", "zzzz zzzz", "2026-01-02T12:00:00Z", "1970-01-01T00:00:00.000000Z", "0"]),
)
named = st.one_of(
    st.integers(0, 9).map("job-00000000-0000-4000-8000-{:012x}".format), st.sampled_from(["a", "job-1", "zz"])
)
waiting = st.tuples(st.integers(-1, 1), st.integers(0, 1), st.none() | st.dictionaries(st.just(STAMP), stamps))
jobs = st.dictionaries(named, waiting, min_size=1, max_size=8)


def made(harness: Harness, given_jobs: dict[str, Any]) -> None:
    for name, (priority, second, annotations) in given_jobs.items():
        raw = make_raw(name, run={"priority": priority})
        raw["metadata"] |= {"uid": f"uid-{name}", "creationTimestamp": f"2026-01-02T12:00:0{second}Z"}
        if annotations is not None:
            raw["metadata"]["annotations"] = annotations
        harness.api.add(OPTIMIZATION_JOBS, raw)


async def admitted(given_jobs: dict[str, Any]) -> tuple[list[str], JobCache]:
    """One after another, by an operator that has one slot; and what the API knows of the same resources."""
    harness = Harness(concurrency=1)
    made(harness, given_jobs)
    await harness.start()
    order = []
    while keys := harness.controller.queue.admit():
        order += [name for _, name in keys]
        for key in keys:
            harness.controller.queue.withdraw(key)
    cache = JobCache()
    for name in given_jobs:
        cache.upsert(harness.job(name))
    return order, cache


def position(cache: JobCache, name: str) -> int:
    record = cache.get(name)
    assert record is not None
    return cache.position(record)


@pytest.mark.timeout(120)
@given(jobs)
def test_who_is_told_to_be_next_is_next(given_jobs: dict[str, Any]) -> None:
    order, cache = asyncio.run(admitted(given_jobs))
    assert [position(cache, name) for name in order] == list(range(1, len(given_jobs) + 1))


def test_no_stamp_of_an_author_comes_before_anybodys_turn() -> None:
    order, cache = asyncio.run(
        admitted({"z": (0, 1, {STAMP: "1970-01-01T00:00:00.000000Z"}), "first": (0, 0, None), "urgent": (1, 1, None)})
    )
    assert order == sorted(order, key=lambda name: position(cache, name)) == ["urgent", "first", "z"]
