"""The cache under late, doubled and missing news."""

from typing import get_args

import orjson
import pytest

from api_service import running
from deep_json import nested
from dspy_service_api.answers import present
from dspy_service_api.jobs.cache import JobCache
from dspy_service_core.kube.protocol import Object
from dspy_service_core.resource.status import StatusWord
from job_versions import version


def cached(*objects: Object) -> JobCache:
    cache = JobCache()
    for obj in objects:
        cache.upsert(obj)
    return cache


def listed(cache: JobCache) -> list[str]:
    return [record.name for record in cache.newest_first()]


def test_an_older_version_changes_nothing() -> None:
    cache = cached(version("a", "1", 9, status=running()), version("a", "1", 10), version("a", "1", 8))
    record = cache.get("a")
    assert record is not None
    assert (record.version, record.status) == ("10", "pending")


def test_versions_that_are_no_numbers_come_as_they_come() -> None:
    older, newer = version("a", "1", 1), version("a", "1", 1, status=running())
    older["metadata"]["resourceVersion"], newer["metadata"]["resourceVersion"] = "opaque-b", "opaque-a"
    record = cached(older, newer).get("a")
    assert record is not None
    assert record.status == "running"


def test_a_new_job_of_an_old_name_takes_its_place() -> None:
    cache = cached(version("a", "1", 9), version("a", "2", 5))
    cache.remove(version("a", "1", 11))  # late word of the old one's end
    record = cache.get("a")
    assert record is not None
    assert record.uid == "2"
    assert len(cache) == len(listed(cache)) == 1


def test_what_a_list_does_not_name_is_gone() -> None:
    cache = cached(version("a", "1", 1), version("b", "2", 2))
    cache.retain(frozenset({("default", "b")}))
    assert listed(cache) == ["b"]
    cache.upsert(version("a", "1", 1))  # it was only not told of
    assert len(cache) == 2


def test_a_deleted_job_never_comes_back() -> None:
    cache = cached(version("a", "1", 1))
    cache.forget("a", "1")
    cache.upsert(version("a", "1", 2))
    assert cache.get("a") is None
    assert listed(cache) == []


def test_the_queue_follows_every_change() -> None:
    objects = [version(name, name, n) for n, name in enumerate("abc", 1)]
    objects[2]["spec"]["run"] = {"priority": 9}
    cache = cached(*objects)
    positions = {record.name: cache.position(record) for record in cache.newest_first()}
    assert positions == {"c": 1, "a": 2, "b": 3}
    cache.upsert(version("c", "c", 9, status=running()))
    cache.forget("a", "a")
    assert {record.name: cache.position(record) for record in cache.newest_first()} == {"c": 0, "b": 1}


@pytest.mark.parametrize(
    ("status", "reason", "suspend", "message"),
    [
        (None, None, False, "Waiting to start, at position 1 of the queue."),
        ("True", "Queued", False, "Waiting to start, at position 1 of the queue."),
        ("True", "SecretMissing", False, "the operator's word"),
        ("True", "Retrying", False, "the operator's word"),
        ("False", "Admitted", False, "the operator's word"),
        ("True", "Suspended", True, "the operator's word"),
    ],
)
def test_only_who_waits_for_a_slot_has_a_place(
    status: str | None, reason: str | None, suspend: bool, message: str
) -> None:
    conditions = [{"type": "Queued", "status": status, "reason": reason}] if status else []
    obj = version("a", "1", 1, status={"phase": "Pending", "conditions": conditions, "message": "the operator's word"})
    obj["spec"]["suspend"] = suspend
    cache = cached(obj)
    record = cache.get("a")
    assert record is not None
    assert present.message(record, cache.position(record)) == message


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"module": None},
        {"split": {"train": "a third"}},
        {"dataset": 7},
        {"models": []},
        {"module": {"name": "cot", "kwargs": {"x": orjson.loads(nested(400))}}},
    ],
    ids=["nothing", "no module", "no fractions", "no dataset", "no models", "deep"],
)
@pytest.mark.parametrize("phase", [None, "Failed", "Odd", 7])
def test_a_job_that_cannot_be_read_is_known_by_its_metadata(spec: Object, phase: object) -> None:
    odd = version("odd", "1", 5, status={"phase": phase, "message": "Invalid."})
    odd["spec"] = odd["spec"] | spec if spec else {}
    cache = cached(version("b", "2", 6), odd, version("a", "3", 7))
    assert sorted(listed(cache)) == ["a", "b", "odd"]
    record = cache.get("odd")
    assert record is not None
    assert (record.status, record.message) == ("failed" if phase == "Failed" else "pending", "Invalid.")
    assert orjson.loads(present.summary(record, 0))["job_id"] == "odd"
    cache.remove(odd)
    assert sorted(listed(cache)) == ["a", "b"]


def test_jobs_of_a_status_are_found_and_counted_through_every_change() -> None:
    cache = cached(version("a", "1", 1), version("b", "2", 2, status=running()), version("c", "3", 3))

    def by_status() -> dict[str, list[str]]:
        found = {status: [r.name for r in cache.newest_first(status=status)] for status in get_args(StatusWord)}
        assert {status: cache.count(status) for status in get_args(StatusWord)} == {s: len(f) for s, f in found.items()}
        return {status: names for status, names in found.items() if names}

    assert by_status() == {"pending": ["c", "a"], "running": ["b"]}
    cache.upsert(version("a", "1", 4, status=running()))
    assert by_status() == {"pending": ["c"], "running": ["b", "a"]}
    newest = cache.get("b")
    assert newest
    assert [r.name for r in cache.newest_first(newest.age, "running")] == ["a"]
    cache.upsert(version("a", "9", 5))  # another job of that name
    cache.forget("c", "3")
    assert by_status() == {"pending": ["a"], "running": ["b"]}
    cache.retain(frozenset())
    assert by_status() == {}
