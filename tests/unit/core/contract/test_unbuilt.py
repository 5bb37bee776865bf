"""Whoever asks for a queue and is not heard waits in another: what is in the contract and not built is refused."""

from typing import Any

import orjson
import pytest

from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.errors import InvalidRequest
from run_requests import run_request


def refused(changes: dict[str, Any]) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidRequest) as caught:
        parse_run_request(orjson.dumps(run_request() | changes))
    return [(p.field, p.message, p.type) for p in caught.value.problems]


CASES: list[tuple[dict[str, Any], str]] = [
    ({"dataset": {"id": "d1"}}, "dataset.id"),
    ({"dataset": {"uri": "s3://b/rows.jsonl", "digest": "sha256:0"}}, "dataset.uri"),
    *(
        ({"run_options": {key: value}}, f"run_options.{key}")
        for key, value in {
            "image": "i",
            "resources": {"cpu": "1"},
            "queue": "q",
            "webhooks": [],
        }.items()
    ),
]


@pytest.mark.parametrize(("changes", "field"), CASES, ids=[field for _, field in CASES])
def test_what_is_not_built_is_refused_by_name(changes: dict[str, Any], field: str) -> None:
    ((named, message, kind),) = refused(changes)
    assert (named, kind) == (field, "not_built")
    assert message.startswith("This version of the service does not have ")


def test_all_of_it_is_said_at_once_beside_other_problems() -> None:
    found = refused({"run_options": {"queue": "q", "image": "i", "no_such": 1}, "seed": "x"})
    assert [(field, kind) for field, _, kind in found] == [
        ("run_options.image", "not_built"),
        ("run_options.queue", "not_built"),
        ("seed", "number_type"),
        ("run_options.no_such", "extra_forbidden"),
    ]


@pytest.mark.parametrize("name", ["client_version", "budgets", "Budget", "threads", "prices"])
def test_keys_that_the_contract_does_not_know_are_still_taken_and_reported(name: str) -> None:
    assert parse_run_request(orjson.dumps(run_request() | {name: 1})).unknown_fields == (name,)
