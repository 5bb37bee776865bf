"""DELETE /jobs/{id} and GET /jobs."""

from pathlib import Path
from typing import Any

import pytest

from api_service import Harness, api_service, put_artifact, put_segment, resource, running, succeeded
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.protocol import KubeRequest
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from faulty_transport import fails
from simple_acceptance import SimpleAcceptance
from waiting import until

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"


async def listing(api: Harness, query: str = "", code: int = 200) -> dict[str, Any]:
    response = await api.client.get(f"/jobs{query}")
    assert response.status_code == code, response.text
    return dict(response.json())


async def test_a_deleted_job_is_gone_with_all_that_it_stored(api: Harness) -> None:
    job = await api.job(names.api_job(ID), succeeded(1))
    put_segment(api.store, job, "logs", [{}])
    put_artifact(api.store, job)
    response = await api.client.delete(f"/jobs/{ID}")
    assert (response.status_code, response.content) == (204, b"")
    assert (await api.client.get(f"/jobs/{ID}")).status_code == 404
    assert (await api.client.delete(f"/jobs/{ID}")).status_code == 404
    assert (await listing(api))["jobs"] == []
    assert api.store.files() == []


async def test_what_a_pod_uploads_while_it_ends_goes_too(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), last_upload_seconds=1) as api:
        job = await api.job("tickets", running())
        await api.client.delete("/jobs/tickets")
        put_segment(api.store, job, "logs", [{}])
        assert api.store.files() != []

        async def empty() -> bool:
            return api.store.files() == []

        await until(empty, what="the late upload to go")


async def test_what_is_still_said_of_a_deleted_job_is_late(api: Harness) -> None:
    job = await api.job("tickets", running())
    await api.client.delete("/jobs/tickets")
    api.service.cache.upsert(job)
    assert (await api.client.get("/jobs/tickets")).status_code == 404
    await api.job("tickets")  # the name may be used again
    assert (await api.client.get("/jobs/tickets")).status_code == 200


async def test_a_job_that_waits_for_its_finalizers_is_gone(api: Harness) -> None:
    job = await api.job("tickets")
    job["metadata"]["deletionTimestamp"] = job["metadata"]["creationTimestamp"]
    api.service.cache.upsert(api.cluster.put(OPTIMIZATION_JOBS, job))
    assert (await api.client.get("/jobs/tickets")).status_code == 404


async def test_another_job_of_the_same_name_is_not_deleted(api: Harness) -> None:
    await api.job("tickets")

    def replaced(request: KubeRequest) -> None:
        if request.verb == "delete":
            api.cluster.remove(OPTIMIZATION_JOBS, "tickets")
            api.cluster.add(OPTIMIZATION_JOBS, resource("tickets"))

    api.cluster.transport.before = replaced
    assert (await api.client.delete("/jobs/tickets")).status_code == 404
    assert api.cluster.find(OPTIMIZATION_JOBS, "tickets")


async def test_nothing_is_deleted_while_the_cluster_is_away(api: Harness) -> None:
    job = await api.job("tickets")
    put_segment(api.store, job, "logs", [{}])
    api.cluster.transport.before = fails("delete", OPTIMIZATION_JOBS, kube.Unavailable("away"))
    assert (await api.client.delete("/jobs/tickets")).status_code == 503
    assert (await api.client.get("/jobs/tickets")).status_code == 200
    assert len(api.store.files()) == 1


async def test_a_store_that_fails_leaves_its_part_to_the_sweep(api: Harness) -> None:
    await api.job("tickets")
    api.folder.joinpath("default").write_text("in the way")
    assert (await api.client.delete("/jobs/tickets")).status_code == 204


async def test_jobs_are_listed_newest_first_by_pages(api: Harness) -> None:
    ids = [(await api.client.post("/run", content=b"{}")).json()["job_id"] for _ in range(7)]
    seen: list[str] = []
    cursor = ""
    while True:
        page = await listing(api, f"?limit=3{cursor}")
        seen += [job["job_id"] for job in page["jobs"]]
        assert page["total"] == 7
        if not page["next_cursor"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == ids[::-1]


async def test_how_many_there_are_is_told_where_no_job_must_be_looked_at(api: Harness) -> None:
    for n in range(5):
        await api.job(f"waits-{n}")
    await api.job("runs", running())

    async def total(query: str) -> int | None:
        found: int | None = (await listing(api, query))["total"]
        return found

    assert await total("?limit=1") == 6
    assert await total("?limit=1&status=pending") == 5
    assert await total("?status=cancelled") == 0
    for query in ("optimizer=gepa", "verdict=worse", "name=runs", "label=team=support", "words=runs"):
        assert await total(f"?{query}") is None
    await api.client.delete("/jobs/waits-3")
    assert await total("?status=pending") == 4


async def test_jobs_are_filtered(api: Harness) -> None:
    await api.job("one", running())
    await api.job("two", optimizer={"name": "gepa"}, models={"reflection": {"name": "openai/gpt-4o"}})
    await api.job("three", succeeded())
    await api.update("two", {"metadata": {"labels": {"a.b/c": "d", "e": "", "team": None}}})

    async def names_of(query: str) -> set[str]:
        return {job["job_id"] for job in (await listing(api, query))["jobs"]}

    assert await names_of("") == {"one", "two", "three"}
    assert await names_of("?status=running") == {"one"}
    assert await names_of("?status=success&optimizer=miprov2") == {"three"}
    assert await names_of("?optimizer=gepa") == {"two"}
    assert await names_of("?label=team=support") == {"one", "three"}
    assert await names_of("?label=a.b/c=d&label=e=") == {"two"}
    assert await names_of("?label=a.b/c=d&label=team=support") == set()
    await api.job("four", succeeded(verdict="improved"))
    await api.job("five", succeeded(verdict="worse"))
    assert await names_of("?verdict=improved") == {"four"}
    assert await names_of("?verdict=worse&status=success") == {"five"}
    assert await names_of("?verdict=no_evidence") == set()
    assert await names_of("?words=GEPA+pend") == {"two"}
    assert await names_of("?words=success&verdict=worse") == {"five"}
    assert await names_of("?words=one+two") == set()


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?limit=0", "limit"),
        ("?verdict=better", "verdict"),
        ("?limit=501", "limit"),
        ("?limit=x", "limit"),
        ("?status=done", "status"),
        ("?label=team", "label"),
        ("?cursor=%00", "cursor"),
        ("?cursor=abc", "cursor"),
        ("?cursor=ä", "cursor"),
    ],
)
async def test_odd_queries_are_refused_by_field(api: Harness, query: str, field: str) -> None:
    answer = await listing(api, query, 422)
    assert answer["error"] == "invalid_request"
    assert [problem["field"] for problem in answer["detail"]] == [field]


async def test_what_others_do_is_told_by_the_watch(api: Harness) -> None:
    async def watching() -> bool:
        return any(request.verb == "watch" for request in api.cluster.transport.requests)

    await until(watching)
    job = await api.job("tickets")
    api.cluster.remove(OPTIMIZATION_JOBS, job["metadata"]["name"])

    async def gone() -> bool:
        return api.service.cache.get("tickets") is None

    await until(gone)
