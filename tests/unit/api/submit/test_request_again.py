"""A request, made a spec and made a request again, says the same: by every field that a request has."""

from typing import Any

import orjson
import pytest

from dspy_service_api.submit.job_objects import AcceptedRequest, JobIdentity, draft
from dspy_service_api.submit.request_again import request_again
from dspy_service_api.submit.request_spec import translated
from dspy_service_core.contract.request import ModelSettings, RunOptions, RunRequest, parse_run_request
from run_requests import SIGNATURE, program_request, run_request

IDENTITY = JobIdentity("0b8a9c64-0c9e-4b0c-8f53-2f7ab3d1c9aa", "default", "2026-01-01T00:00:00Z")
PRICES = {"input": 0.15, "output": 0.6, "cached": 0.075}
JUDGE = {"name": "openai/y", "max_tokens": 9, "top_p": 0.5, "model_type": "text", "prices": PRICES}
LONG = "#" * 20_000 + "\n"
CASES: dict[str, dict[str, Any]] = {
    "an ordinary request": run_request(),
    "every setting": run_request(
        module_kwargs={"n": None},
        optimizer_kwargs={"auto": None},
        compile_kwargs={"seed": 1},
        column_mapping={"inputs": {"text": "text"}, "outputs": {"label": "label", "why": None}},
        split_fractions={"train": 0.5, "val": 0, "test": 0.5},
        split_column="part",
        shuffle=False,
        seed=0,
        adapter="json",
        budget={"metric_calls": 900, "model_calls": 5000, "tokens": 10**6, "cost_usd": 2.5, "seconds": 600},
        run_options={
            "name": "tickets-1",
            "note": "before the new rows",
            "labels": {"team": "a"},
            "priority": -1,
            "deadline_seconds": 60,
            "retries": 0,
            "ttl_seconds": 0,
            "require": "improved",
            "max_failed_rows": 0.5,
            "threads": 16,
            "hedge": True,
        },
        model_config={"name": "openai/x", "base_url": "http://h/v1", "temperature": 1, "extra": {"top_k": None}},
        reflection_model_config={"name": "openai/x", "temperature": None},
        task_model_config=JUDGE,
        prompt_model_config={"name": "openai/x", "temperature": 0},
        model_configs={"judge": JUDGE, "near": {"name": "openai/e", "model_type": "embedding"}},
    ),
    "a program": program_request(),
    "a program with all beside it": program_request(
        module_name="Triage",
        module_kwargs={"hint": "x"},
        signature_code=SIGNATURE,
        column_mapping={"inputs": {"text": "text"}, "outputs": {}},
        initial={"program_state": {"decide": {"demos": []}}},
    ),
    "long sources": program_request(metric_code=LONG + "def metric(gold, pred): return 1"),
    "long rows": run_request(dataset=[{"text": LONG, "label": "a"}] * 3),
}


def parsed(body: dict[str, Any]) -> RunRequest:
    return parse_run_request(orjson.dumps(body))


def run_of(request: RunRequest) -> dict[str, Any]:
    """As the API writes it."""
    options = request.run_options
    share = options.max_failed_rows
    given = {
        "name": options.name,
        "note": options.note,
        "priority": options.priority,
        "retries": options.retries,
        "deadlineSeconds": options.deadline_seconds,
        "ttlSeconds": options.ttl_seconds,
        "require": options.require,
        "maxFailedRows": None if share is None else str(share),
        "threads": options.threads,
        "hedge": options.hedge,
    }
    return {name: value for name, value in given.items() if value is not None}


@pytest.mark.parametrize("body", CASES.values(), ids=CASES)
def test_it_is_the_request_that_was_sent(body: dict[str, Any]) -> None:
    request = parsed(body)
    job = translated(request, run_of(request), lambda: 7)
    state = request.initial.program_state if request.initial else None
    accepted = AcceptedRequest(
        spec=job.json,
        rows=request.dataset,
        outlook=pytest.fail,  # type: ignore[arg-type]  # nobody asks for it
        initial=state,
        labels=request.run_options.labels,
    )
    made = draft(accepted, IDENTITY)
    again = request_again(made.resource, orjson.loads(made.payload or b"{}"), job.json["split"]["seed"])
    assert again.blanked == ()
    assert parsed(again.body) == parsed(body | {"seed": body.get("seed", 7)})
    assert translated(parsed(again.body), run_of(request), lambda: 8).json == job.json


def test_every_field_of_a_request_is_in_some_case() -> None:
    """A field that is added to the request comes back, too."""
    sent = {field.alias or name for name, field in RunRequest.model_fields.items()}
    given = {name for body in CASES.values() for name in body}
    assert sent - given == {"secrets"}, "they are blanked: test_payload.py"
    assert RunOptions.model_fields.keys() == CASES["every setting"]["run_options"].keys()
    models = [CASES["every setting"]["model_config"], CASES["every setting"]["task_model_config"]]
    assert ModelSettings.model_fields.keys() == {name for model in models for name in model}
