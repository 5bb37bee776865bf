"""GET /jobs/{job_id}/payload: what was submitted, so that it can be submitted again, and nothing of its credentials."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from api_service import NAMESPACE, Harness, api_service
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from run_requests import run_request

KEYED = {"model_config": {"name": "openai/gpt-4o-mini", "extra": {"api_key": "sk-canary"}}}
LARGE = {"dataset": [{"text": "x" * 500, "label": "a"}] * 100}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as harness:
        yield harness


async def submitted(api: Harness, body: dict[str, Any]) -> str:
    answer = await api.client.post("/run", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


async def payload(api: Harness, job_id: str, code: int = 200) -> Any:
    answer = await api.client.get(f"/jobs/{job_id}/payload")
    assert answer.status_code == code, answer.text
    return answer.json()


@pytest.mark.parametrize("changes", [{}, LARGE], ids=["inline", "in the store"])
async def test_a_payload_submits_the_same_job(api: Harness, changes: dict[str, Any]) -> None:
    first = await submitted(api, run_request(**changes))
    body = await payload(api, first)
    second = await submitted(api, body)
    assert await payload(api, second) == body
    specs = [
        (await api.service.jobs.cluster.get(OPTIMIZATION_JOBS, f"job-{one}", NAMESPACE))["spec"]
        for one in (first, second)
    ]
    assert specs[0] == specs[1]
    assert body["dataset"] == run_request(**changes)["dataset"]
    assert isinstance(body["seed"], int), "the one that was drawn"


async def test_credentials_are_left_out_and_named(api: Harness) -> None:
    body = run_request(
        **KEYED,
        secrets={"SEARCH": "canary"},
        model_configs={"judge": {"name": "openai/gpt-4o", "base_url": "http://user:canary@h/v1?key=canary"}},
    )
    job_id = await submitted(api, body)
    answer = await api.client.get(f"/jobs/{job_id}/payload")
    assert "canary" not in answer.text
    assert answer.headers["warning"] == (
        '299 dspy-service "Credentials were left out: model_config, model_configs.judge, secrets.SEARCH"'
    )
    found = answer.json()
    assert found["secrets"] == {"SEARCH": ""}
    assert found["model_configs"]["judge"] == {"name": "openai/gpt-4o", "base_url": "http://h/v1"}
    refused = await api.client.post("/run", json=found)
    assert (refused.status_code, refused.json()["detail"][0]["field"]) == (422, "secrets.SEARCH")
    await submitted(api, found | {"secrets": {"SEARCH": "canary"}})


async def test_the_service_s_own_labels_are_not_the_sender_s(api: Harness) -> None:
    job_id = await submitted(api, run_request(run_options={"labels": {"team": "support"}, "priority": 3}))
    options = (await payload(api, job_id))["run_options"]
    assert (options["labels"], options["priority"]) == ({"team": "support"}, 3)


async def test_a_resource_that_holds_everything_has_a_payload_too(api: Harness) -> None:
    await api.job("tickets")
    found = await payload(api, "tickets")
    assert (found["module_name"], len(found["dataset"]), found["run_options"]["labels"]) == (
        "cot",
        20,
        {"team": "support"},
    )
    rows = {"signature_code": run_request()["signature_code"].replace("label", "team")}
    assert await submitted(api, found | rows)


ELSEWHERE: dict[str, tuple[dict[str, Any], str]] = {
    "a source": ({"metric": {"code": None, "configMapKeyRef": {"name": "m", "key": "m.py"}}}, "spec.metric"),
    "rows": ({"dataset": {"rows": None, "configMapKeyRef": {"name": "r", "key": "r.csv"}}}, "spec.dataset"),
}


@pytest.mark.parametrize(("spec", "named"), ELSEWHERE.values(), ids=ELSEWHERE)
async def test_what_lies_elsewhere_is_not_told(api: Harness, spec: dict[str, Any], named: str) -> None:
    await api.job("tickets", **spec)
    answer = await payload(api, "tickets", 404)
    assert answer["code"] == "no_payload"
    assert named in answer["detail"]


async def test_a_document_that_is_not_the_job_s_is_not_told(api: Harness) -> None:
    job_id = await submitted(api, run_request(**LARGE))
    (key,) = [entry.key for entry in api.store.files()]
    api.store.put(key, orjson.dumps({"rows": [{"text": "another"}]}))
    assert "is not what the job's spec says" in (await payload(api, job_id, 503))["detail"]
    api.store.delete(key)
    assert "has lost" in (await payload(api, job_id, 503))["detail"]


async def test_an_unknown_job_has_none(api: Harness) -> None:
    assert (await payload(api, "nothing", 404))["code"] == "unknown_job"
