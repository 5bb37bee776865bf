"""POST /run?dry_run=true: all checks of a submit, what it answers, and that nothing is left of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from api_service import NAMESPACE, Harness, api_service
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS
from faulty_transport import fails
from run_requests import run_request, ticket_rows

KEYED = {"model_config": {"name": "openai/gpt-4o-mini", "extra": {"api_key": "sk-canary"}}}
LARGE = {"dataset": [{"text": "x" * 500, "label": "a"}] * 100}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as harness:
        yield harness


async def dry_run(api: Harness, code: int = 200, key: str = "", **changes: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    answer = await api.client.post("/run?dry_run=true", json=run_request(**changes), headers=headers)
    assert answer.status_code == code, answer.text
    return answer.json()


async def kept(api: Harness) -> int:
    made = [(await api.service.jobs.cluster.list(kind, NAMESPACE)).items for kind in (OPTIMIZATION_JOBS, SECRETS)]
    return sum(map(len, made)) + len([path for path in api.folder.rglob("*") if path.is_file()])


async def test_it_says_what_the_job_would_be(api: Harness) -> None:
    said = await dry_run(api, optimizer_name="bootstrapfewshot", split_fractions={"train": 0.5, "val": 0, "test": 0.5})
    assert said["valid"] is True
    assert said["split_counts"] == {"train": 20, "val": 0, "test": 20}
    assert said["warnings"] == []
    estimate = said["estimate"]
    assert {name: estimate["metric_calls"][name] for name in ("least", "most")} == {"least": 44, "most": 60}
    assert estimate["predictors"] == 1
    for unknown in ("tokens", "cost_usd"):
        assert (estimate[unknown]["least"], estimate[unknown]["most"]) == (None, None)
        assert "Not known before the run" in estimate[unknown]["rule"]
    for calls in ("metric_calls", "model_calls"):
        assert estimate[calls]["least"] == sum(stage[calls]["least"] for stage in estimate["by_stage"].values())


@pytest.mark.parametrize("changes", [{}, KEYED, LARGE, {"secrets": {"SEARCH": "canary"}}])
async def test_nothing_is_left_of_it(api: Harness, changes: dict[str, Any]) -> None:
    await dry_run(api, **changes)
    assert await kept(api) == 0
    assert (await api.client.get("/jobs")).json()["jobs"] == []


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "an unknown optimizer": ({"optimizer_name": "mipro"}, 400),
    "no rows": ({"dataset": []}, 422),
    "an unbuilt key": ({"run_options": {"queue": "q"}}, 422),
    "a budget that is spent for nothing": ({"budget": {"metric_calls": 10}}, 400),
    "a test split without rows": ({"dataset": ticket_rows(2)}, 400),
    "settings over the limit": (
        {"optimizer_kwargs": {"init_temperature": 1.0}, "module_kwargs": {"x": "y" * 20_000}, "seed": 7},
        400,
    ),
}


@pytest.mark.parametrize(("changes", "code"), REFUSED.values(), ids=REFUSED)
async def test_what_a_submit_refuses_is_refused_in_the_same_words(
    api: Harness, changes: dict[str, Any], code: int
) -> None:
    submitted = await api.client.post("/run", json=run_request(**changes))
    assert submitted.status_code == code, submitted.text
    assert await dry_run(api, code, **changes) == submitted.json()
    assert await kept(api) == 0


async def test_the_cluster_s_own_refusal_is_told(api: Harness) -> None:
    api.cluster.transport.before = fails("create", OPTIMIZATION_JOBS, kube.Forbidden("exceeded quota: jobs"))
    answer = await dry_run(api, 503)
    assert answer["code"] == "cluster_refused"
    assert "exceeded quota" in answer["detail"]


async def test_a_key_that_came_with_another_body_is_told(api: Harness) -> None:
    body = run_request()
    first = await api.client.post("/run", json=body, headers={"Idempotency-Key": "k"})
    assert first.status_code == 200, first.text
    before = await kept(api)
    assert (await dry_run(api, key="k"))["valid"] is True
    assert (await dry_run(api, 409, key="k", shuffle=False))["code"] == "idempotency_conflict"
    assert (await dry_run(api, key="another"))["valid"] is True
    assert await kept(api) == before


async def test_a_name_that_another_job_has_is_told(api: Harness) -> None:
    named = {"run_options": {"name": "tickets"}}
    headers = {"Idempotency-Key": "k"}
    first = await api.client.post("/run", json=run_request(**named), headers=headers)
    assert first.status_code == 200, first.text
    before = await kept(api)
    assert (await dry_run(api, 409, **named))["code"] == "name_taken"
    assert (await dry_run(api, 409, key="another", **named))["code"] == "name_taken"
    assert (await dry_run(api, key="k", **named))["valid"] is True, "a submit would answer that very job"
    assert await kept(api) == before


@pytest.mark.parametrize("query", ["dry_run=", "dry_run=maybe", "dry_run=true&dry_run=false", "dry_run=2"])
async def test_what_is_no_yes_or_no_never_becomes_a_job(api: Harness, query: str) -> None:
    answer = await api.client.post(f"/run?{query}", json=run_request())
    assert (answer.status_code, answer.json()["detail"][0]["field"]) == (422, "dry_run")
    assert await kept(api) == 0


@pytest.mark.parametrize("query", ["", "dry_run=false", "dry_run=0", "other=1"])
async def test_without_it_a_job_is_made(api: Harness, query: str) -> None:
    answer = await api.client.post(f"/run?{query}", json=run_request())
    assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    assert await kept(api) == 1


WARNED: dict[str, tuple[dict[str, Any], str]] = {
    "unknown keys": ({"experiment": 1}, "Unknown keys were ignored: experiment"),
    "rows for nothing": ({"optimizer_name": "bootstrapfewshot"}, "6 rows are used for nothing"),
    "a budget that ends the search": (
        {"budget": {"metric_calls": 50}},
        "budget.metric_calls 50 ends the search early, with the best program so far: to its end the job would take",
    ),
    "a single test row": (
        {"split_fractions": {"train": 0.8, "val": 0.1875, "test": 0.0125}, "rows": 40},
        "The verdict of one test row is 'unknown'",
    ),
    "a signature that is made by a call": (
        {"signature_code": "Ticket = type('Ticket', (dspy.Signature,), {})"},
        "signature_code can only be checked when the job runs",
    ),
}


@pytest.mark.parametrize(("changes", "said"), WARNED.values(), ids=WARNED)
async def test_what_may_not_be_meant_is_said(api: Harness, changes: dict[str, Any], said: str) -> None:
    (warning,) = (await dry_run(api, **changes))["warnings"]
    assert said in warning
