"""GET /jobs/{id}/artifact?best=true: the best so far while the job runs, the artifact once there is one."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from api_service import NAMESPACE, Harness, failed, put_artifact, running, succeeded
from declared_answers import held_to
from dspy_service_core.resource import names
from dspy_service_core.storage.pod_files import MAX_TEXT_BYTES

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
BEST = {
    "score": 66.67,
    "rows": 6,
    "calls": 18,
    "state": {"predict": {"demos": [], "signature": {"instructions": "Better."}}},
    "prompt": "# Predictor `predict`\n",
    "messages": {"adapter": "chat", "predictors": {}},
}


def put_best(api: Harness, job: Mapping[str, Any], content: bytes = orjson.dumps(BEST)) -> None:
    api.store.put(f"{NAMESPACE}/jobs/{names.store_id(job['metadata'])}/checkpoint/best.json", content)


async def answer(api: Harness, job_id: str, code: int = 200, query: str = "best=true") -> Any:
    response = await api.client.get(f"/jobs/{job_id}/artifact?{query}")
    assert response.status_code == code, response.text
    return response.json()


async def test_while_it_runs_it_is_the_best_so_far(api: Harness) -> None:
    job = await api.job("tickets", running())
    put_best(api, job)
    found = await answer(api, "tickets")
    held_to("ArtifactAnswer", found)
    program = found["program_artifact"]
    assert (program["program_state"], program["optimized_prompt"]) == (BEST["state"], BEST["prompt"])
    assert program["messages"] == BEST["messages"]
    assert program["metadata"] == {
        "job_id": "tickets",
        "best_so_far": True,
        "score": 66.67,
        "rows": 6,
        "metric_calls": 18,
    }
    assert (program["program_pickle_base64"], program["signature_code"], program["digests"]) == (None, None, {})
    assert (await answer(api, "tickets", 409, "best=false"))["code"] == "not_finished"


async def test_before_anything_was_found_it_says_so(api: Harness) -> None:
    await api.job("tickets", running())
    assert (await answer(api, "tickets", 409))["code"] == "no_best_yet"
    assert (await answer(api, "nobody", 404))["code"] == "unknown_job"


async def test_of_a_finished_job_it_is_the_artifact(api: Harness) -> None:
    job = await api.job(names.api_job(ID), succeeded(job_id=ID))
    put_artifact(api.store, job)
    put_best(api, job)
    assert await answer(api, ID) == await answer(api, ID, query="")


async def test_of_a_job_that_made_none_it_is_what_is_still_there(api: Harness) -> None:
    job = await api.job("tickets", failed("gone"))
    assert (await answer(api, "tickets", 404))["code"] == "no_artifact"
    put_best(api, job)
    assert (await answer(api, "tickets"))["program_artifact"]["program_state"] == BEST["state"]


async def test_what_it_held_before_is_no_new_answer(api: Harness) -> None:
    job = await api.job("tickets", running())
    put_best(api, job)
    first = await api.client.get("/jobs/tickets/artifact?best=true")
    headers = {"If-None-Match": first.headers["etag"]}
    assert (await api.client.get("/jobs/tickets/artifact?best=true", headers=headers)).status_code == 304
    put_best(api, job, orjson.dumps(BEST | {"score": 80.0}))
    assert (await api.client.get("/jobs/tickets/artifact?best=true", headers=headers)).status_code == 200


@pytest.mark.parametrize("query", ["best=perhaps", "best=true&best=true", "best="])
async def test_what_is_no_yes_and_no_no_is_refused(api: Harness, query: str) -> None:
    await api.job("tickets", running())
    assert (await answer(api, "tickets", 422, query))["detail"][0]["field"] == "best"


SPOILT = {
    "no JSON": b"{",
    "a list": b"[]",
    "no state": orjson.dumps({**BEST, "state": None}),
    "far too large": b" " * (MAX_TEXT_BYTES + 1),
}


@pytest.mark.parametrize("content", SPOILT.values(), ids=SPOILT)
async def test_what_the_job_spoilt_is_an_error_of_the_store(api: Harness, content: bytes) -> None:
    put_best(api, await api.job("tickets", running()), content)
    assert (await answer(api, "tickets", 503))["code"] == "store_unavailable"


async def test_odd_parts_are_none(api: Harness) -> None:
    odd = {**BEST, "prompt": 7, "messages": [], "score": "high", "rows": -1, "calls": None}
    put_best(api, await api.job("tickets", running()), orjson.dumps(odd))
    program = (await answer(api, "tickets"))["program_artifact"]
    assert (program["optimized_prompt"], program["messages"]) == (None, None)
    assert [program["metadata"][name] for name in ("score", "rows", "metric_calls")] == [None, None, None]
