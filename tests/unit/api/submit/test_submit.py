"""POST /run: what is written, in which order, and what stays when something refuses."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from api_service import Harness, api_service
from dspy_service_api.submit.job_objects import JobIdentity, draft
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.protocol import KubeRequest, Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS, Resource
from dspy_service_core.resource import names
from dspy_service_core.resource.job import MAX_SPEC_BYTES, OptimizationJobSpec
from faulty_transport import fails, no_fault
from run_requests import FILES, PROGRAM
from simple_acceptance import SimpleAcceptance

ROWS = [{"text": "a", "team": "b"}] * 3
"""What is submitted where a test names none."""
BIG = {"dataset": [{"text": "x" * 500, "team": "a"} for _ in range(100)]}


@pytest.fixture
async def replicas(tmp_path: Path) -> AsyncIterator[tuple[Harness, Harness]]:
    """Two of the API on one cluster and one store."""
    async with (
        api_service(tmp_path, SimpleAcceptance()) as one,
        api_service(tmp_path, SimpleAcceptance(), one.cluster) as other,
    ):
        yield one, other


async def post(api: Harness, body: Any = None, key: str | None = None, code: int = 200) -> dict[str, Any]:
    response = await submitted(api, body, key)
    assert response.status_code == code, response.text
    return dict(response.json())


async def submitted(api: Harness, body: Any = None, key: str | None = None) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await api.client.post("/run", content=orjson.dumps(body or {}), headers=headers)


def made(api: Harness, resource: Resource = OPTIMIZATION_JOBS) -> list[Object]:
    return api.cluster.all(resource)


def stored(api: Harness) -> list[str]:
    return [entry.key for entry in api.store.files()]


async def test_a_small_request_is_a_resource_alone(api: Harness) -> None:
    answer = await post(api, {"labels": {"team": "support"}, "seed": 0})
    assert answer == {"job_id": answer["job_id"], "status": "pending", "estimated_remaining_seconds": None}
    (job,) = made(api)
    assert job["metadata"]["name"] == f"job-{answer['job_id']}"
    assert job["metadata"]["labels"] == {"team": "support", names.LABEL_SUBMITTED_BY: "api"}
    spec = OptimizationJobSpec.model_validate(job["spec"])
    assert spec.dataset.rows == ROWS
    assert spec.split.seed == 0
    assert stored(api) == made(api, SECRETS) == []


async def test_the_job_is_there_right_after_the_answer(api: Harness) -> None:
    api.cluster.transport.before = fails("get", OPTIMIZATION_JOBS, kube.Unavailable("away"))
    job_id = (await post(api))["job_id"]
    assert (await api.client.get(f"/jobs/{job_id}")).json()["status"] == "pending"


async def test_rows_beyond_a_resource_go_to_the_store_by_digest(api: Harness) -> None:
    job_id = (await post(api, BIG))["job_id"]
    (job,) = made(api)
    spec = OptimizationJobSpec.model_validate(job["spec"])
    document = api.store.get(f"default/jobs/{job_id}/payload.json")
    assert spec.dataset.payload is not None
    assert spec.dataset.payload.digest == f"sha256:{hashlib.sha256(document).hexdigest()}"
    assert (spec.dataset.payload.rows, spec.dataset.payload.bytes) == (100, len(document))
    assert orjson.loads(document) == {"rows": BIG["dataset"]}
    assert spec.signature.code
    assert (await api.client.get(f"/jobs/{job_id}/summary")).json()["dataset_rows"] == 100


async def test_long_sources_follow_the_rows(api: Harness) -> None:
    code = "class S(dspy.Signature): ...\n" + "# why\n" * 3000
    job_id = (await post(api, {"signature_code": code, "metric_code": "def m(a, b): ..."}))["job_id"]
    (job,) = made(api)
    spec = OptimizationJobSpec.model_validate(job["spec"])
    assert len(orjson.dumps(job["spec"])) <= MAX_SPEC_BYTES
    assert spec.signature.payload == spec.metric.payload is not None
    document = orjson.loads(api.store.get(f"default/jobs/{job_id}/payload.json"))
    assert document == {"rows": ROWS, "signature": code, "metric": "def m(a, b): ..."}


@pytest.mark.parametrize("text", ["x" * 15_000, "x" * 15_300, "x" * 15_500, "x" * 15_600, "x" * 15_800, "x" * 16_000])
async def test_a_spec_never_exceeds_its_limit(api: Harness, text: str) -> None:
    await post(api, {"dataset": [*ROWS[1:], {"text": text, "team": "a"}]})
    await post(api, {"signature_code": text})
    for job in made(api):
        assert len(orjson.dumps(job["spec"])) <= MAX_SPEC_BYTES


LARGE_FILES = {f"data/part-{n:02}.txt": f"{n} é" * 2_000 for n in range(61)}


def program_body(**changes: Any) -> dict[str, Any]:
    return {"program_code": PROGRAM, "program_files": FILES} | changes


async def test_a_small_program_is_in_the_resource_with_its_files(api: Harness) -> None:
    await post(api, program_body())
    spec = OptimizationJobSpec.model_validate(made(api)[0]["spec"])
    assert spec.program is not None
    assert spec.program.code == PROGRAM
    assert {file.path: file.code for file in spec.program.files} == FILES
    assert (spec.module, spec.signature, spec.columns, stored(api)) == (None, None, None, [])


async def test_files_beyond_a_resource_go_to_the_store_by_digest(api: Harness) -> None:
    job_id = (await post(api, program_body(program_files=LARGE_FILES | FILES | {"a.txt": ""})))["job_id"]
    (job,) = made(api)
    assert len(orjson.dumps(job["spec"])) <= MAX_SPEC_BYTES
    document = api.store.get(f"default/jobs/{job_id}/payload.json")
    sources = OptimizationJobSpec.model_validate(job["spec"]).sources()
    assert {source.payload_digest for source in sources} == {f"sha256:{hashlib.sha256(document).hexdigest()}"}
    payload = orjson.loads(document)
    assert payload["program"] == PROGRAM
    assert payload["program_files"] == LARGE_FILES | FILES | {"a.txt": ""}
    assert {source.file for source in sources if source.file is not None} == payload["program_files"].keys()
    assert payload["rows"]


async def test_paths_beyond_a_resource_are_refused(api: Harness) -> None:
    files = {f"{'x' * 120}{n:02}.txt": "x" * 1000 for n in range(64)}
    answer = await post(api, program_body(program_files=files, module_kwargs={"x": "y" * 2_000}), code=400)
    assert "paths of files" in answer["detail"]
    assert made(api) == stored(api) == []


async def test_a_state_to_begin_with_is_always_in_the_store() -> None:
    state = {"decide": {"demos": []}}
    accepted = replace(await SimpleAcceptance().accept(b"{}"), initial=state)
    job = draft(accepted, JobIdentity("0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa", "default", "2026-01-01T00:00:00Z"))
    assert job.payload is not None
    digest = f"sha256:{hashlib.sha256(job.payload).hexdigest()}"
    assert job.resource["spec"]["initial"] == {"payload": {"digest": digest}}
    assert orjson.loads(job.payload)["initial"] == state


async def test_kwargs_beyond_a_resource_are_refused(api: Harness) -> None:
    answer = await post(api, {"module_kwargs": {"x": "y" * 17_000}}, code=400)
    assert str(MAX_SPEC_BYTES) in answer["detail"]
    assert made(api) == stored(api) == []


async def test_credentials_live_in_a_secret_of_the_job(api: Harness) -> None:
    job_id = (await post(api, {"api_key": "canary"}))["job_id"]
    (secret,), (job,) = made(api, SECRETS), made(api)
    assert secret["metadata"]["name"] == f"job-{job_id}-keys"
    assert secret["metadata"]["labels"] == names.child_labels(f"job-{job_id}")  # and no label of model keys
    assert orjson.loads(base64.b64decode(secret["data"]["default"])) == {"extra": {"api_key": "canary"}}
    assert job["spec"]["models"]["default"]["credentialsFrom"] == {"name": f"job-{job_id}-keys", "key": "default"}
    assert b"canary" not in orjson.dumps(job)
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner["uid"] == job["metadata"]["uid"]


@pytest.mark.parametrize(
    "error", [kube.Forbidden("exceeded quota: secrets"), kube.Unavailable("away"), kube.Unavailable("away", sent=True)]
)
async def test_no_job_stays_without_its_secret(api: Harness, error: kube.KubeError) -> None:
    api.cluster.transport.before = fails("create", SECRETS, error)
    response = await submitted(api, BIG | {"api_key": "canary"})
    assert response.status_code == 503
    assert made(api) == stored(api) == []
    assert len(api.service.cache) == 0


async def test_a_try_that_died_before_its_secret_is_finished(api: Harness) -> None:
    await post(api, {"api_key": "canary"}, "k")
    before = api.cluster.remove(SECRETS, made(api, SECRETS)[0]["metadata"]["name"])
    await post(api, {"api_key": "other"}, "k", 409)
    assert made(api, SECRETS) == []
    await post(api, {"api_key": "canary"}, "k")
    (after,) = made(api, SECRETS)
    assert after["data"] == before["data"]
    assert after["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]


async def test_what_a_deleted_job_of_that_name_has_left_is_replaced(api: Harness) -> None:
    api.cluster.leave_garbage()
    job_id = (await post(api, {"api_key": "canary"}, "k"))["job_id"]
    assert (await api.client.delete(f"/jobs/{job_id}")).status_code == 204
    assert len(made(api, SECRETS)) == 1
    await post(api, {"api_key": "new"}, "k")
    (secret,), (job,) = made(api, SECRETS), made(api)
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert b"new" in base64.b64decode(secret["data"]["default"])


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (kube.Forbidden('exceeded quota: jobs "5"'), 503, "exceeded quota"),
        (kube.Invalid("spec.split: Invalid value"), 400, "spec.split: Invalid value"),
        (kube.Unavailable("connection refused"), 503, "connection refused"),
        (kube.TooManyRequests("slow down"), 503, "slow down"),
        (kube.Unauthorized("token expired"), 503, "token expired"),
    ],
)
async def test_nothing_stays_of_what_the_cluster_refuses(
    api: Harness, error: kube.KubeError, code: int, says: str
) -> None:
    api.cluster.transport.before = fails("create", OPTIMIZATION_JOBS, error)
    response = await submitted(api, BIG | {"api_key": "canary"})
    assert response.status_code == code
    assert says in response.json()["detail"]
    assert ("retry-after" in response.headers) == (code == 503)
    assert made(api) == made(api, SECRETS) == stored(api) == []


async def test_nothing_stays_when_the_store_refuses(api: Harness) -> None:
    api.folder.joinpath("default").write_text("in the way")
    response = await submitted(api, BIG | {"api_key": "canary"})
    assert response.status_code == 503
    assert "retry-after" in response.headers
    assert made(api) == made(api, SECRETS) == []


async def test_a_create_that_may_have_happened_is_looked_for(api: Harness) -> None:
    api.cluster.transport.after = fails("create", OPTIMIZATION_JOBS, kube.Unavailable("time-out", sent=True))
    job_id = (await post(api))["job_id"]
    assert (await api.client.get(f"/jobs/{job_id}")).status_code == 200


async def test_a_create_that_stays_uncertain_says_so_and_takes_nothing_back(api: Harness) -> None:
    def fault(request: KubeRequest) -> Exception | None:
        away = request.verb in ("create", "get") and request.resource == OPTIMIZATION_JOBS
        return kube.Unavailable("time-out", sent=True) if away else None

    api.cluster.transport.before = fault
    response = await submitted(api, BIG | {"api_key": "canary"})
    assert response.status_code == 503
    assert "may have been created" in response.json()["detail"]
    assert len(stored(api)) == 1


async def test_the_same_key_and_body_are_one_job(api: Harness) -> None:
    first = await post(api, {"seed": 1, "priority": 2}, "k")
    assert await post(api, {"priority": 2.0, "seed": 1}, "k") == first
    assert len(made(api)) == 1
    assert await post(api, {"seed": 1, "priority": 2}, "other") != first


@pytest.mark.parametrize("change", [{"seed": 2}, {"api_key": "other"}, {"api_key": None}])
async def test_the_same_key_with_another_body_is_a_conflict(api: Harness, change: dict[str, Any]) -> None:
    body = {"seed": 1, "api_key": "canary"}
    await post(api, body, "k")
    answer = await post(api, body | change, "k", 409)
    assert answer["detail"].startswith("Idempotency-Key 'k'")
    assert len(made(api)) == len(made(api, SECRETS)) == 1


async def test_equal_requests_at_once_are_one_job(replicas: tuple[Harness, Harness]) -> None:
    body = BIG | {"api_key": "canary"}
    answers = await asyncio.gather(*(post(replica, body, "k") for replica in replicas * 5))
    assert len({answer["job_id"] for answer in answers}) == 1
    assert len(made(replicas[0])) == len(made(replicas[0], SECRETS)) == 1


async def test_different_requests_with_one_key_at_once_are_one_job(replicas: tuple[Harness, Harness]) -> None:
    one, other = replicas
    responses = await asyncio.gather(
        *(submitted(api, BIG | {"seed": n, "api_key": f"canary{n}"}, "k") for n, api in enumerate((one, other) * 3))
    )
    assert sorted(response.status_code for response in responses)[:2] == [200, 409]
    (job,) = made(one)
    (secret,) = made(one, SECRETS)
    key = orjson.loads(base64.b64decode(secret["data"]["default"]))["extra"]["api_key"]
    assert key == f"canary{job['spec']['split']['seed']}"


async def test_a_try_that_got_no_further_is_taken_up(api: Harness) -> None:
    def fault(request: KubeRequest) -> Exception | None:
        away = request.verb in ("create", "get") and request.resource == OPTIMIZATION_JOBS
        return kube.Unavailable("time-out", sent=True) if away and stored(api) else None

    api.cluster.transport.before = fault
    await post(api, BIG | {"api_key": "canary"}, "k", 503)
    assert made(api) == []
    api.cluster.transport.before = no_fault
    await post(api, {"dataset": BIG["dataset"][1:]}, "k", 409)
    await post(api, BIG | {"api_key": "canary"}, "k")
    assert len(made(api)) == 1


async def test_a_key_is_free_again_once_its_job_is_deleted(api: Harness) -> None:
    job_id = (await post(api, {"seed": 1}, "k"))["job_id"]
    assert (await api.client.delete(f"/jobs/{job_id}")).status_code == 204
    assert (await post(api, {"seed": 2}, "k"))["job_id"] == job_id
    assert (await api.client.get(f"/jobs/{job_id}/summary")).json()["seed"] == 2


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256])
async def test_odd_keys_are_refused(api: Harness, key: str) -> None:
    response = await api.client.post("/run", content=b"{}", headers={"Idempotency-Key": key.encode()})
    assert response.status_code == 422
    assert response.json()["detail"][0]["field"] == "Idempotency-Key"


@pytest.mark.parametrize(
    "keys",
    [["priority"], ["dästination", "a\nb"], ['quote"d', "back\\slash"], ["x" * 5000], [str(n) for n in range(500)]],
)
async def test_unknown_keys_are_warned_of(api: Harness, keys: list[str]) -> None:
    warning = (await submitted(api, {"unknown": keys})).headers["warning"]
    assert warning.startswith('299 dspy-service "Unknown keys were ignored: ')
    assert warning.isascii()
    assert warning.isprintable()
    assert len(warning) < 2500


async def test_a_large_body_is_checked_beside_the_loop(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), inline_body_bytes=0) as api:
        await post(api)
        await post(api, {"unusable": True}, code=400)
