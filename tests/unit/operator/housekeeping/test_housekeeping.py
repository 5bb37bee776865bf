"""Expiry, sweep, Events and places in the queue."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.kube.resources import EVENTS, OPTIMIZATION_JOBS, SECRETS
from dspy_service_core.resource import names
from dspy_service_core.storage.store import Store, open_store
from dspy_service_operator.decide.decision import Note
from dspy_service_operator.housekeeping.expiry import Expiry, expires_at
from dspy_service_operator.housekeeping.sweep import ORPHANED, Sweep
from dspy_service_operator.monitoring.events import MOST, EventRecorder
from dspy_service_operator.queue.queue import Queue
from dspy_service_operator.queue.queue_reports import QueueReports
from dspy_service_operator.settings import OperatorSettings
from operator_harness import Harness
from operator_objects import NOW, make_job, make_raw, stamp

SETTINGS = OperatorSettings(ttl_seconds=100, sweep_safety_seconds=3600, artifact_retention_seconds=86400)
DONE = {"phase": "Succeeded", "completedAt": stamp(NOW)}


# --- expiry


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"api_made": True, "status": DONE}, 100),
        ({"api_made": True, "status": DONE, "run": {"ttlSeconds": 5}}, 5),
        ({"status": DONE}, None),
        ({"status": DONE, "run": {"ttlSeconds": 0}}, 0),
        ({"api_made": True}, None),
    ],
)
def test_when_a_record_goes(given, seconds):
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert expires_at(make_raw(**given), SETTINGS) == expected


async def test_an_expired_record_goes_and_its_successor_of_that_name_stays():
    harness = Harness()
    expiry = Expiry(harness.api.client, SETTINGS, harness.clock)
    old = harness.submit("old", api_made=True, status=DONE)
    harness.submit("kept", status=DONE)
    expiry.watch(old)
    expiry.watch(harness.job("kept"))
    harness.clock.advance(99)
    await expiry.remove_due()
    assert harness.names() == ["old", "kept"]
    harness.api.remove(OPTIMIZATION_JOBS, old)
    harness.submit("old", api_made=True)
    harness.clock.advance(1)
    await expiry.remove_due()
    assert harness.names() == ["kept", "old"]
    expiry.watch(harness.job("old") | {"status": DONE})
    await expiry.remove_due()
    assert harness.names() == ["kept"]


async def test_a_record_is_removed_by_a_timer_soon_after_its_end():
    harness = Harness(concurrency=1)
    await harness.start()
    harness.submit(api_made=True, run={"ttlSeconds": 7}, stop="Cancel")
    await harness.settle()
    harness.clock.advance(7)
    await harness.controller.expiry.remove_due()
    assert harness.names() == []


async def test_an_api_server_that_is_away_only_delays_it():
    harness = Harness()
    expiry = Expiry(harness.api.client, SETTINGS, harness.clock)
    expiry.watch(harness.submit(api_made=True, status=DONE))
    harness.clock.advance(100)
    harness.api.fail_next = "before"
    await expiry.remove_due()
    assert harness.names() == ["tickets"]
    harness.clock.advance(30)
    await expiry.remove_due()
    assert harness.names() == []


# --- sweep


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path.as_uri())


class Swept:
    def __init__(self, store: Store | None, **settings: Any) -> None:
        self.harness = Harness()
        self.settings = SETTINGS.model_copy(update=settings)
        self.expiry = Expiry(self.harness.api.client, self.settings, self.harness.clock)
        self.sweep = Sweep(self.harness.api.client, store, self.expiry, self.settings, self.harness.clock)

    async def after(self, seconds: float) -> None:
        self.harness.clock.advance(seconds)
        await self.sweep.run_once(("default",))


async def test_folders_without_a_job_go_after_a_while(store):
    swept = Swept(store)
    kept = names.store_id(swept.harness.submit("kept")["metadata"])
    for folder in (kept, "gone"):
        store.put(f"default/jobs/{folder}/payload.json", b"{}")
    await swept.after(0)
    await swept.after(3599)
    assert store.folders("default/jobs") == sorted([kept, "gone"])
    await swept.after(1)
    assert store.folders("default/jobs") == [kept]


async def test_a_folder_whose_resource_comes_later_is_left_alone(store):
    swept = Swept(store)
    store.put("default/jobs/uid-1/payload.json", b"{}")
    await swept.after(0)
    assert names.store_id(swept.harness.submit()["metadata"]) == "uid-1"
    await swept.after(7200)
    assert store.folders("default/jobs") == ["uid-1"]


async def test_artifacts_outlive_their_record_by_their_retention_also_over_restarts(store):
    swept = Swept(store)
    store.put("default/artifacts/gone/manifest.json", b"{}")
    await swept.after(0)
    await swept.after(3600)
    assert json.loads(store.get(f"default/artifacts/gone/{ORPHANED}"))["since"]
    again = Swept(store)
    again.harness.clock.now = swept.harness.clock.now
    await again.after(0)
    await again.after(86399)
    assert store.folders("default/artifacts") == ["gone"]
    await again.after(1)
    assert store.folders("default/artifacts") == []


async def test_a_finished_job_that_nobody_saw_end_expires_by_the_sweep():
    swept = Swept(None)
    done = {"phase": "Succeeded", "completedAt": stamp(swept.harness.clock())}
    swept.harness.submit("old", api_made=True, status=done, labels={names.LABEL_FINISHED: "true"})
    swept.harness.submit("running", api_made=True)
    await swept.after(100)
    await swept.expiry.remove_due()
    assert swept.harness.names() == ["running"]


async def test_secrets_without_their_job_go_and_others_stay():
    swept = Swept(None)
    swept.harness.submit("kept")
    for name, labels in (
        ("kept-keys", names.child_labels("kept")),
        ("gone-keys", names.child_labels("gone")),
        ("openai", {names.LABEL_MODEL_KEY: "true"}),
    ):
        swept.harness.api.add(SECRETS, {"metadata": {"name": name, "labels": labels}})
    await swept.after(0)
    await swept.after(3600)
    assert [secret["metadata"]["name"] for secret in swept.harness.api.all(SECRETS)] == ["kept-keys", "openai"]


# --- Events


async def drained(harness: Harness, recorder: EventRecorder) -> list[str]:
    task = asyncio.create_task(recorder.run())
    await recorder.drain(5)
    task.cancel()
    return [event["reason"] for event in harness.api.all(EVENTS)]


async def test_a_job_that_is_tried_often_has_few_events_and_its_end_is_among_them():
    harness = Harness()
    recorder, job = EventRecorder(harness.api.client, harness.clock), make_job().metadata
    for number in range(30):
        recorder.record(job, [Note(f"Retrying{number}", "again")])
    recorder.record(job, [Note("Failed", "in the end", warning=True)], final=True)
    reasons = await drained(harness, recorder)
    assert len(reasons) == MOST
    assert reasons[-1] == "Failed"


async def test_an_event_that_is_refused_does_not_stop_the_next():
    harness = Harness()
    recorder, job = EventRecorder(harness.api.client, harness.clock), make_job().metadata
    harness.api.fail_next = "before"
    recorder.record(job, [Note("One", ""), Note("Two", ""), Note("Three", "")])
    assert len(await drained(harness, recorder)) == 2


# --- places in the queue


class Reports:
    def __init__(self, waiting: int, **settings: Any) -> None:
        self.queue = Queue(limit=0)
        self.made: list[tuple[str, int]] = []
        self.reports = QueueReports(
            self.queue, lambda key, position: self.made.append((key[1], position)), OperatorSettings(**settings)
        )
        for number in range(waiting):
            self.queue.offer(("default", f"job-{number:05}"), (0, "", "", f"job-{number:05}"))

    def at(self, now: float) -> list[tuple[str, int]]:
        self.made.clear()
        self.reports.tick(now)
        return list(self.made)


def test_a_job_that_waits_longer_than_a_moment_has_its_place_written():
    reports = Reports(2)
    assert reports.at(0) == []
    assert reports.at(2) == [("job-00000", 1), ("job-00001", 2)]
    assert reports.at(4) == []


def test_a_place_that_moves_is_written_at_most_once_a_minute():
    reports = Reports(2, queue_position_seconds=60)
    reports.at(0)
    reports.at(2)
    reports.queue.withdraw(("default", "job-00000"))
    assert [reports.at(now) for now in (4, 30, 61)] == [[], [], []]
    assert reports.at(62) == [("job-00001", 1)]


def test_of_ten_thousand_the_next_ones_come_first_and_few_at_a_time():
    reports = Reports(10_000, queue_reports_per_second=10)
    reports.at(0)
    assert reports.at(2) == [(f"job-{number:05}", number + 1) for number in range(20)]
    assert reports.at(4)[0] == ("job-00020", 21)
