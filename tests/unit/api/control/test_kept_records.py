"""Deleted jobs whose records somebody's finalizers keep: stopped, emptied, and told of until the record goes."""

from typing import Any

import pytest

from api_service import Harness, entries, failed, put_artifact, put_result, put_segment, running, succeeded
from dspy_service_api.control.remove import OPTIMIZATION_JOBS
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.protocol import KubeRequest, Object
from faulty_transport import fails, no_fault
from waiting import until

HOLD = "example.org/backup"
SUSPENDED = {"phase": "Pending", "message": "Held by spec.suspend."}
QUEUED = {"phase": "Pending", "conditions": [{"type": "Queued", "status": "True", "reason": "Queued"}]}


async def held(api: Harness, status: Object | None = None, name: str = "tickets") -> Object:
    await api.job(name, status)
    return await api.update(name, {"metadata": {"finalizers": [HOLD]}})


async def got(api: Harness, path: str, code: int = 200) -> Any:
    response = await api.client.get(path)
    assert response.status_code == code, response.text
    return response.json()


async def deleted(api: Harness, name: str = "tickets") -> dict[str, Any]:
    response = await api.client.delete(f"/jobs/{name}")
    assert response.status_code == 202, response.text
    return dict(response.json())


@pytest.mark.parametrize(
    "status",
    [None, QUEUED, SUSPENDED, {"phase": "Validating"}, running(30, 3)],
    ids=["new", "queued", "suspended", "validating", "running"],
)
async def test_what_had_not_ended_is_cancelled(api: Harness, status: Object | None) -> None:
    job = await held(api, status)
    put_segment(api.store, job, "logs", [{}])
    assert await deleted(api) == {
        "detail": f"The job is stopped; its record stays until its finalizers are removed: {HOLD}.",
        "code": "record_kept",
        "finalizers": [HOLD],
    }
    summary = await got(api, "/jobs/tickets/summary")
    assert (summary["status"], summary["message"]) == (
        "cancelled",
        "Deleted before its end; finalizers keep its record.",
    )
    assert summary["completed_at"]
    assert summary["estimated_seconds_remaining"] is None
    detail = await got(api, "/jobs/tickets")
    assert detail["status"] == "cancelled"
    assert detail["result"]["program_artifact"] is None
    await got(api, "/jobs/tickets/artifact", 404)
    assert [job["job_id"] for job in (await got(api, "/jobs?status=cancelled"))["jobs"]] == ["tickets"]
    assert api.store.files() == []
    assert (await deleted(api))["code"] == "record_kept"


async def test_the_log_of_a_running_one_ends_with_what_the_record_holds(api: Harness) -> None:
    await held(api, running(30, 3))
    await deleted(api)
    logs = await got(api, "/jobs/tickets/logs")
    assert logs == []  # the tail begins in the middle, and the beginning went with the store's folder
    assert [event["event"] for event in await got(api, "/jobs/tickets/events")] == ["optimizer_progress"] * 3
    assert [event["n"] for event in await got(api, "/jobs/tickets/events?after=1&limit=1")] == [2]


@pytest.mark.parametrize(
    ("status", "word"),
    [(succeeded(1, 1), "success"), (failed("no model"), "failed"), (failed("") | {"phase": "Cancelled"}, "cancelled")],
)
async def test_an_end_that_was_before_stays(api: Harness, status: Object, word: str) -> None:
    job = await held(api, status)
    for kind in ("logs", "events"):
        put_segment(api.store, job, kind, [{}])
    put_result(api.store, job)
    put_artifact(api.store, job)
    before = await got(api, "/jobs/tickets/summary")
    await deleted(api)
    assert await got(api, "/jobs/tickets/summary") == before
    detail = await got(api, "/jobs/tickets")
    assert (detail["status"], detail["result"]["program_artifact"]) == (word, None)
    assert await got(api, "/jobs/tickets/logs") == detail["logs"]
    await got(api, "/jobs/tickets/artifact", 404)
    assert api.store.files() == []


async def test_a_result_that_was_reported_is_not_taken_back(api: Harness) -> None:
    """The operator has yet to make it the job's end."""
    status = succeeded(1, 1) | {"phase": "Running"}
    del status["completedAt"]
    await held(api, status)
    await deleted(api)
    assert (await got(api, "/jobs/tickets/summary"))["status"] == "running"


async def test_it_waits_in_no_queue(api: Harness) -> None:
    await held(api, QUEUED, "first")
    await api.job("second", QUEUED)
    await deleted(api, "first")
    assert "at position 1" in (await got(api, "/jobs/second/summary"))["message"]


async def test_a_finalizer_that_the_cache_has_not_heard_of(api: Harness) -> None:
    job = await api.job("tickets", running())

    def taken_hold_of(request: KubeRequest) -> None:
        if request.verb == "delete":
            api.cluster.change(OPTIMIZATION_JOBS, "tickets", {"metadata": {"finalizers": [HOLD]}})

    api.cluster.transport.before = taken_hold_of
    assert not job["metadata"].get("finalizers")
    assert (await deleted(api))["finalizers"] == [HOLD]


async def test_one_that_kubectl_deleted_is_told_of_alike(api: Harness) -> None:
    job = await held(api, running(3, 1))
    put_segment(api.store, job, "logs", entries(1))
    await api.cluster.client.delete(OPTIMIZATION_JOBS, "tickets", "default")

    async def cancelled() -> bool:
        return bool((await got(api, "/jobs/tickets/summary"))["status"] == "cancelled")

    await until(cancelled, what="the watch to tell of the deletion")
    assert len(await got(api, "/jobs/tickets/logs")) == 3
    assert (await deleted(api))["finalizers"] == [HOLD]


async def test_the_record_goes_with_its_last_finalizer(api: Harness) -> None:
    await held(api, running())
    await deleted(api)
    api.cluster.change(OPTIMIZATION_JOBS, "tickets", {"metadata": {"finalizers": None}})

    async def gone() -> bool:
        return (await api.client.get("/jobs/tickets")).status_code == 404

    await until(gone)
    assert (await api.client.delete("/jobs/tickets")).status_code == 404


async def test_a_job_that_took_the_name_meanwhile_keeps_nothing_of_the_old(api: Harness) -> None:
    found = await api.job("tickets")

    def replaced(request: KubeRequest) -> None:
        if request.verb == "get":
            other = {**found["metadata"], "uid": "another", "finalizers": [HOLD]}
            api.cluster.put(OPTIMIZATION_JOBS, {**found, "metadata": other})

    api.cluster.transport.before = replaced
    assert (await api.client.delete("/jobs/tickets")).status_code == 204
    assert (await got(api, "/jobs/tickets/summary"))["status"] == "pending"


async def test_where_the_cluster_does_not_say_the_client_asks_again(api: Harness) -> None:
    await held(api, running())
    api.cluster.transport.before = fails("get", OPTIMIZATION_JOBS, kube.Unavailable("away"))
    refused = await api.client.delete("/jobs/tickets")
    assert (refused.status_code, "retry-after" in refused.headers) == (503, True)
    api.cluster.transport.before = no_fault
    assert (await deleted(api))["finalizers"] == [HOLD]
