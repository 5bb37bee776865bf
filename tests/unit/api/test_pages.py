"""Pages of the list over arbitrary metadata: what stands in one resource moves none of the others."""

import json
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from api_service import resource
from dspy_service_api.answers import listing
from dspy_service_api.answers.listing import Wanted, list_jobs
from dspy_service_api.jobs.cache import JobCache
from dspy_service_core.kube.protocol import Object
from dspy_service_core.resource import names

STAMP = "dspy-service.io/submitted-at"
SECOND = "2026-03-01T09:30:00Z"
UUID = "00000000-0000-4000-8000-{:012x}"

stamps = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["", " ", "zzzz zzzz", "2026-03-01T09:30:00Z", "9999-99-99T99:99:99.999999Z", "0", "~"]),
    st.integers(0, 59).map("2026-03-01T09:30:00.{:06}Z".format),
    st.integers(0, 59).map("2020-01-01T00:00:00.{:06}Z ".format),
)
annotations = st.dictionaries(st.one_of(st.just(STAMP), st.text(max_size=8)), stamps, max_size=3)
labels = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=2)
created = st.integers(0, 3).map("2026-03-01T09:30:0{}Z".format)
metadata = st.fixed_dictionaries(
    {"creationTimestamp": created}, optional={"annotations": st.none() | annotations, "labels": st.none() | labels}
)
kept = metadata.map(lambda given: given | {"deletionTimestamp": SECOND, "finalizers": ["example.org/hold"]})
named = st.one_of(
    st.integers(0, 9).map(lambda n: f"job-{UUID.format(n)}"), st.from_regex(r"[a-z0-9][a-z0-9.-]{0,8}", fullmatch=True)
)
jobs = st.dictionaries(named, metadata | kept, max_size=9)


def cached(given_jobs: dict[str, Object]) -> JobCache:
    cache = JobCache()
    for number, (name, given_metadata) in enumerate(given_jobs.items()):
        made = resource(name)
        made["metadata"] = {**made["metadata"], "uid": str(number), "resourceVersion": "1", **given_metadata}
        cache.upsert(made)
    return cache


def listed(cache: JobCache, limit: int) -> list[str]:
    """Through every page, as a client goes: each cursor must be taken back."""
    found: list[str] = []
    cursor = None
    for _ in range(len(cache) + 1):
        page: dict[str, Any] = json.loads(list_jobs(cache, Wanted(limit, cursor=cursor)))
        found += [names.resource_name(job["job_id"]) for job in page["jobs"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
    raise AssertionError("the pages do not end")


@pytest.mark.timeout(120)
@given(jobs, st.integers(1, 4))
def test_every_job_is_on_one_page_newest_first(given_jobs: dict[str, Object], limit: int) -> None:
    found = listed(cached(given_jobs), limit)
    assert sorted(found) == sorted(given_jobs)
    made = [given_jobs[name]["creationTimestamp"] for name in found]
    assert made == sorted(made, reverse=True)


@pytest.mark.timeout(120)
@given(jobs, jobs, st.integers(1, 4))
def test_what_others_hold_moves_nobody(own: dict[str, Object], others: dict[str, Object], limit: int) -> None:
    together = listed(cached({**others, **own}), limit)
    assert [name for name in together if name in own] == listed(cached(own), limit)


@given(jobs, st.tuples(st.booleans(), st.booleans()))
@example({name: {"creationTimestamp": SECOND, "annotations": {STAMP: "z z"}} for name in "abc"}, (True, True))
def test_pages_stay_right_while_jobs_go(given_jobs: dict[str, Object], goes: tuple[bool, bool]) -> None:
    """The job that a cursor names may be gone when the next page is asked for."""
    cache = cached(given_jobs)
    first = json.loads(list_jobs(cache, Wanted(2)))
    rest = [name for name in listed(cache, 9) if name not in {names.resource_name(j["job_id"]) for j in first["jobs"]}]
    for job, gone in zip(first["jobs"], goes, strict=False):
        if gone and (record := cache.get(names.resource_name(job["job_id"]))):
            cache.forget(record.name, record.uid)
    if first["next_cursor"]:
        page = json.loads(list_jobs(cache, Wanted(9, cursor=first["next_cursor"])))
        assert [names.resource_name(job["job_id"]) for job in page["jobs"]] == rest


def test_within_a_second_the_apis_jobs_go_by_its_own_stamp() -> None:
    late, early = f"job-{UUID.format(1)}", f"job-{UUID.format(2)}"
    given_jobs: dict[str, Object] = {
        late: {"creationTimestamp": SECOND, "annotations": {STAMP: "2026-03-01T09:30:00.000002Z"}},
        early: {"creationTimestamp": SECOND, "annotations": {STAMP: "2026-03-01T09:30:00.000001Z"}},
        "mine": {"creationTimestamp": SECOND, "annotations": {STAMP: "9999-12-31T23:59:59.999999Z"}},
    }
    assert listed(cached(given_jobs), 1) == [late, early, "mine"]


def test_a_search_by_words_ends_its_page_before_it_has_looked_through_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_LOOKED_THROUGH", 3)
    cache = JobCache()
    for number in range(7):
        made = resource(f"job-{number}")
        made["metadata"] |= {
            "uid": str(number),
            "resourceVersion": "1",
            "creationTimestamp": f"2026-01-01T00:00:0{number}Z",
        }
        cache.upsert(made)
    pages, cursor = [], None
    while True:
        page = json.loads(list_jobs(cache, Wanted(5, cursor=cursor, words=("job-1",))))
        pages.append([job["job_id"] for job in page["jobs"]])
        if (cursor := page["next_cursor"]) is None:
            break
    assert pages == [[], ["job-1"], []]
