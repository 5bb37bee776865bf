"""A request that begins with an earlier job's program: its state is copied, for whoever may read that job."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from api_service import Harness, api_service, failed, put_artifact, running, succeeded
from dspy_service_api.http.routes.examples import REQUEST
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from reviewer import Reviewer

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"
FIELDS = [
    {"prefix": "Text:", "description": "${text}"},
    {"prefix": "Team:", "description": "${team}"},
]
STATE: dict[str, Any] = {
    "traces": [],
    "train": [],
    "demos": [{"text": "x", "team": "billing"}],
    "signature": {"instructions": "Route with care.", "fields": FIELDS},
    "lm": None,
    "metadata": {"dependency_versions": {"python": "3.11", "dspy": "3.4.1", "cloudpickle": "3.1"}},
}
FROM_JOB = {"initial": {"job_id": ID}}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as harness:
        yield harness


async def earlier(api: Harness, name: str = f"job-{ID}", state: Any = STATE) -> Object:
    job = await api.job(name, succeeded(job_id=names.job_id(name)))
    put_artifact(api.store, job, contents={"program.json": orjson.dumps(state)})
    return job


def request(**changes: Any) -> dict[str, Any]:
    return {**REQUEST, **changes}


async def begun_with(api: Harness, body: dict[str, Any]) -> Any:
    response = await api.client.post("/run", json=body)
    assert response.status_code == 200, response.text
    name = f"job-{response.json()['job_id']}"
    made = api.cluster.find(OPTIMIZATION_JOBS, name)
    assert made is not None
    assert made["spec"]["initial"]["payload"] == {"digest": made["spec"]["dataset"]["payload"]["digest"]}
    return orjson.loads(api.store.get(f"default/jobs/{response.json()['job_id']}/payload.json"))["initial"]


async def test_an_earlier_jobs_state_is_copied(api: Harness) -> None:
    await earlier(api)
    assert await begun_with(api, request(**FROM_JOB)) == STATE


async def test_one_made_with_kubectl_is_named_by_its_name(api: Harness) -> None:
    await earlier(api, "tickets")
    assert await begun_with(api, request(initial={"job_id": "tickets"})) == STATE


async def test_a_state_of_ones_own_is_taken_as_it_is(api: Harness) -> None:
    assert await begun_with(api, request(initial={"program_state": STATE})) == STATE


async def test_the_copy_stays_when_the_earlier_job_is_removed(api: Harness) -> None:
    await earlier(api)
    job_id = (await api.client.post("/run", json=request(**FROM_JOB))).json()["job_id"]
    assert (await api.client.delete(f"/jobs/{ID}")).status_code == 204
    assert orjson.loads(api.store.get(f"default/jobs/{job_id}/payload.json"))["initial"] == STATE


async def test_the_same_key_answers_the_first_job_after_the_earlier_one_is_removed(api: Harness) -> None:
    await earlier(api)
    body, key = request(**FROM_JOB), {"Idempotency-Key": "once"}
    first = (await api.client.post("/run", json=body, headers=key)).json()["job_id"]
    assert (await api.client.delete(f"/jobs/{ID}")).status_code == 204
    again = await api.client.post("/run", json=body, headers=key)
    assert (again.status_code, again.json()["job_id"]) == (200, first)
    assert (await api.client.post("/run", json=body)).status_code == 404


async def refusal(api: Harness, code: int, body: dict[str, Any]) -> str:
    response = await api.client.post("/run", json=body)
    assert response.status_code == code, response.text
    assert len(api.cluster.all(OPTIMIZATION_JOBS)) <= 1
    return str(response.json()["detail"])


@pytest.mark.parametrize("job_id", [ID, "no-such-job", "Not/A/Name", "..", "x" * 256])
async def test_an_unknown_job(api: Harness, job_id: str) -> None:
    found = await refusal(api, 404, request(initial={"job_id": job_id}))
    assert found == f"initial.job_id: Unknown job '{job_id}'."


async def test_an_unfinished_job(api: Harness) -> None:
    await api.job(f"job-{ID}", running())
    found = await refusal(api, 400, request(**FROM_JOB))
    assert found == f"initial.job_id: job '{ID}' has not finished yet: wait for its program."


@pytest.mark.parametrize("status", [failed("it broke"), {"phase": "Cancelled"}], ids=["failed", "cancelled"])
async def test_a_job_without_a_program(api: Harness, status: Object) -> None:
    await api.job(f"job-{ID}", status)
    found = await refusal(api, 400, request(**FROM_JOB))
    assert found == f"initial.job_id: job '{ID}' made no program to begin with."


@pytest.mark.parametrize("content", [b"[1]", b"\xff", b"{", b"null"])
async def test_a_state_that_the_jobs_own_code_spoiled(api: Harness, content: bytes) -> None:
    job = await api.job(f"job-{ID}", succeeded(job_id=ID))
    put_artifact(api.store, job, contents={"program.json": content})
    found = await refusal(api, 400, request(**FROM_JOB))
    assert found == f"initial.job_id: the program's state of job '{ID}' cannot be read."


async def test_a_request_that_fails_by_itself_asks_for_no_earlier_job(api: Harness) -> None:
    """The job that it names is unknown, which is not what is told."""
    found = await refusal(api, 400, request(**FROM_JOB, optimizer_name="miprov3"))
    assert found.startswith("Unknown optimizer 'miprov3'.")


OTHER_FIELDS = [*FIELDS[:1], {"prefix": "Label:", "description": "${label}"}]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"draft": STATE, "check": STATE}, "initial: The state has 2 predictors ('draft', 'check'), and the program"),
        (
            STATE | {"signature": STATE["signature"] | {"fields": OTHER_FIELDS}},
            "initial: The state has the fields 'label', which signature 'Ticket' lacks.",
        ),
        ({}, "initial: The state holds no predictor."),
        (STATE | {"demos": "none"}, "initial: The demos of the predictor 'self' are no list of objects."),
    ],
)
async def test_another_programs_state(api: Harness, state: Any, message: str) -> None:
    assert (await refusal(api, 400, request(initial={"program_state": state}))).startswith(message)
    await earlier(api, state=state)
    assert (await refusal(api, 400, request(**FROM_JOB))).startswith(message)


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "initial"),
        ({"job_id": ID, "program_state": STATE}, "initial"),
        ({"job_id": 7}, "initial.job_id"),
        ({"job_id": ""}, "initial.job_id"),
        ({"program_state": [STATE]}, "initial.program_state"),
        ({"program_state": STATE, "x": 1}, "initial.x"),
        ("x", "initial"),
    ],
)
async def test_what_is_no_beginning(api: Harness, given: Any, field: str) -> None:
    response = await api.client.post("/run", json=request(initial=given))
    assert (response.status_code, response.json()["detail"][0]["field"]) == (422, field), response.text


async def test_whoever_may_not_read_a_job_does_not_begin_with_it(tmp_path: Path) -> None:
    acceptance = CoreAcceptance.from_settings(Settings())
    async with api_service(tmp_path, acceptance, auth_mode="kubernetes") as api:
        api.cluster.transport.inner = reviewer = Reviewer(api.cluster.transport.inner)
        api.client.headers["Authorization"] = "Bearer good"
        await earlier(api)

        for job_id in (ID, "no-such-job"):  # whether there is such a job is not told
            refused = await api.client.post("/run", json=request(initial={"job_id": job_id}))
            assert refused.status_code == (await api.client.get(f"/jobs/{job_id}")).status_code == 403
            name = names.resource_name(job_id)
            assert refused.json()["detail"].startswith("initial.job_id: User 'jane' may not get ")
            assert f'"{name}"' in refused.json()["detail"]
        assert len(api.cluster.all(OPTIMIZATION_JOBS)) == 1

    async with api_service(tmp_path / "other", acceptance, auth_mode="kubernetes") as api:
        api.cluster.transport.inner = reviewer = Reviewer(api.cluster.transport.inner)
        reviewer.readable.add(f"job-{ID}")
        api.client.headers["Authorization"] = "Bearer good"
        await earlier(api)
        assert await begun_with(api, request(**FROM_JOB)) == STATE
