"""Names of jobs: who may have which, what is listed, and what is answered under one."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api_service import Harness, api_service, running, succeeded
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.protocol import KubeRequest
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS
from dspy_service_core.resource import names
from faulty_transport import fails, no_fault
from simple_acceptance import SimpleAcceptance
from waiting import until

NAMED = {"run": {"name": "tickets", "note": "before the new rows"}}


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[tuple[Harness, Harness]]:
    async with (
        api_service(tmp_path, SimpleAcceptance()) as one,
        api_service(tmp_path, SimpleAcceptance(), one.cluster) as other,
    ):
        yield one, other


async def submitted(api: Harness, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.client.post("/run", content=orjson.dumps(NAMED | body), headers=headers)


async def named(api: Harness, **body: Any) -> str:
    answer = await submitted(api, **body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


async def refused(api: Harness, **body: Any) -> None:
    before = (api.cluster.all(OPTIMIZATION_JOBS), api.cluster.all(SECRETS), api.store.files())
    answer = await submitted(api, **body)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken"), answer.text
    assert answer.json()["detail"].startswith("run_options.name: another job is called 'tickets'.")
    assert (api.cluster.all(OPTIMIZATION_JOBS), api.cluster.all(SECRETS), api.store.files()) == before


async def ends(api: Harness, job_id: str) -> None:
    await api.update(names.api_job(job_id), {"status": succeeded()})


async def listed(api: Harness, query: str = "") -> list[str]:
    return [job["job_id"] for job in (await api.client.get(f"/jobs{query}")).json()["jobs"]]


async def test_a_name_is_kept_in_spec_and_label_and_shown(api: Harness) -> None:
    job_id = await named(api)
    (made,) = api.cluster.all(OPTIMIZATION_JOBS)
    assert made["spec"]["run"]["name"] == made["metadata"]["labels"][names.LABEL_NAME] == "tickets"
    summary = (await api.client.get(f"/jobs/{job_id}/summary")).json()
    assert (summary["name"], summary["note"]) == ("tickets", "before the new rows")
    (shown,) = (await api.client.get("/jobs?name=tickets")).json()["jobs"]
    assert shown == summary
    assert (await api.client.get("/jobs?name=other")).json()["jobs"] == []


async def test_a_resource_is_called_by_its_own_name_and_an_unnamed_job_nothing(api: Harness) -> None:
    await api.job("tickets")
    other = (await api.client.post("/run", content=b"{}")).json()["job_id"]
    called = {job["job_id"]: job["name"] for job in (await api.client.get("/jobs")).json()["jobs"]}
    assert called == {"tickets": "tickets", other: None}
    assert await listed(api, "?name=tickets&status=pending") == ["tickets"]


async def test_no_two_jobs_that_have_not_ended_share_a_name(api: Harness) -> None:
    first = await named(api)
    await refused(api)
    await refused(api, dataset=[{"text": "x" * 500, "team": "a"}] * 100, api_key="k")
    await ends(api, first)
    second = await named(api)
    assert await listed(api, "?name=tickets") == [second, first]
    await refused(api)
    assert (await api.client.delete(f"/jobs/{second}")).status_code == 204
    assert await named(api) not in (first, second)


async def test_a_resource_has_its_name_as_long_as_it_is_there(api: Harness) -> None:
    await api.job("tickets", succeeded())
    await refused(api)
    await api.client.delete("/jobs/tickets")
    await named(api)


async def test_the_same_key_is_the_same_job_under_its_name(api: Harness) -> None:
    first = (await submitted(api, "k")).json()["job_id"]
    assert (await submitted(api, "k")).json()["job_id"] == first
    other = await submitted(api, "k", run={"name": "other"})
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")
    assert (await submitted(api, "k2")).json()["code"] == "name_taken"
    await ends(api, first)
    second = (await submitted(api, "k2")).json()["job_id"]
    assert (await submitted(api, "k")).json()["job_id"] == first, "it is the job of that key, ended or not"
    assert second != first


async def test_get_takes_a_name_and_means_the_newest(api: Harness) -> None:
    first = await named(api)
    assert (await api.client.get("/jobs/tickets")).json()["job_id"] == first
    await ends(api, first)
    second = await named(api)
    for below in ("", "/summary", "/"):
        answer = await api.client.get(f"/jobs/tickets{below}", follow_redirects=True)
        assert answer.json()["job_id"] == second
    assert (await api.client.get("/jobs/tickets/logs?after=0&limit=5")).json() == []
    assert (await api.client.get(f"/jobs/{first}/summary")).json()["job_id"] == first
    await api.client.delete(f"/jobs/{second}")
    assert (await api.client.get("/jobs/tickets/summary")).json()["job_id"] == first
    await api.client.delete(f"/jobs/{first}")
    unknown = await api.client.get("/jobs/tickets")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "Unknown job 'tickets'.")


async def test_a_resource_s_own_name_goes_before_what_others_were_called(api: Harness) -> None:
    await ends(api, await named(api))
    await api.job("tickets", running())
    assert (await api.client.get("/jobs/tickets")).json()["job_id"] == "tickets"


@pytest.mark.parametrize("verb", ["cancel", "stop", "pause", "resume"])
async def test_what_changes_a_job_takes_no_name(api: Harness, verb: str) -> None:
    job_id = await named(api)
    assert (await api.client.post(f"/jobs/tickets/{verb}")).status_code == 404
    assert (await api.client.delete("/jobs/tickets")).status_code == 404
    assert await listed(api) == [job_id]


async def test_replicas_that_know_nothing_of_each_other_give_a_name_once(replicas: tuple[Harness, Harness]) -> None:
    for _ in range(8):
        answers = await asyncio.gather(*(submitted(api) for api in replicas * 3))
        given = [answer.json()["job_id"] for answer in answers if answer.status_code == 200]
        assert {answer.json().get("code", "") for answer in answers} == {"", "name_taken"}
        assert len(given) == 1
        left = api_names(replicas[0])
        assert left == [names.api_job(given[0])], "whoever gave way left nothing"
        await replicas[0].client.delete(f"/jobs/{given[0]}")
        await until(lambda: free_everywhere(replicas), what="both to know that the name is free")


async def free_everywhere(replicas: tuple[Harness, Harness]) -> bool:
    return not any(api.service.cache.called("tickets") for api in replicas)


def api_names(api: Harness) -> list[str]:
    return [job["metadata"]["name"] for job in api.cluster.all(OPTIMIZATION_JOBS)]


async def test_where_nobody_can_tell_who_was_first_the_asking_one_gives_way(api: Harness) -> None:
    """The other one was made meanwhile by a replica whose news have not come, and has been written to."""

    def meanwhile(request: KubeRequest) -> None:
        if (request.verb, request.resource) == ("list", OPTIMIZATION_JOBS) and len(api_names(api)) == 1:
            metadata = {"name": names.api_job("4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10")}
            other = {**api.cluster.all(OPTIMIZATION_JOBS)[0], "status": running()}
            labels = {names.LABEL_NAME: "tickets"}
            api.cluster.add(OPTIMIZATION_JOBS, {**other, "metadata": metadata | {"labels": labels}})

    api.cluster.transport.before = meanwhile
    answer = await submitted(api)
    assert answer.json()["code"] == "name_taken"
    assert api_names(api) == [names.api_job("4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10")]


async def test_a_job_whose_name_cannot_be_checked_is_not_left_behind(api: Harness) -> None:
    api.cluster.transport.before = fails("list", OPTIMIZATION_JOBS, kube.Unavailable("away"))
    assert (await submitted(api)).status_code == 503
    assert (api_names(api), api.store.files()) == ([], [])
    api.cluster.transport.before = no_fault
    await named(api)
