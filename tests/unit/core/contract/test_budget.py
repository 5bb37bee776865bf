"""A job's budget, in a request and in a resource: what is taken, and what is refused by its name."""

from typing import Any

import orjson
import pytest

from checked_jobs import check_resource
from dspy_service_api.submit.request_spec import translated
from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.errors import InvalidRequest, UnusableRequest
from dspy_service_core.resource.job import OptimizationJobSpec
from run_requests import run_request

ALL = {"metric_calls": 900, "model_calls": 1000, "tokens": 2_000_000, "cost_usd": 2.5, "seconds": 600}
ALL_IN_SPEC = {"metricCalls": 900, "modelCalls": 1000, "tokens": 2_000_000, "costUsd": "2.5", "seconds": 600}


def with_budget(budget: Any) -> bytes:
    return orjson.dumps(run_request() | {"budget": budget})


@pytest.mark.parametrize(
    ("budget", "in_spec"),
    [(None, None), ({}, {}), (ALL, ALL_IN_SPEC), ({"tokens": None, "seconds": 60.0}, {"seconds": 60})],
)
def test_it_is_taken_and_written_into_the_spec(budget: Any, in_spec: Any) -> None:
    spec = translated(parse_run_request(with_budget(budget)), {}, lambda: 0).json
    assert spec.get("budget") == in_spec


@pytest.mark.parametrize(
    ("budget", "field"),
    [
        *(({name: 0}, name) for name in ALL),
        *(({name: -5}, name) for name in ALL),
        *(({name: "many"}, name) for name in ALL),
        *(({name: True}, name) for name in ALL),
        *(({name: 1e300}, name) for name in ALL),
        *(({name: 1.5}, name) for name in ALL if name != "cost_usd"),
        ({"calls": 5}, "calls"),
        ({"metric_calls": 5, "Tokens": 5}, "Tokens"),
        (500, ""),
        ([], ""),
    ],
)
def test_what_is_no_budget_is_refused_by_its_name(budget: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse_run_request(with_budget(budget))
    assert [problem.field for problem in raised.value.problems] == [".".join(filter(None, ["budget", field]))]


@pytest.mark.parametrize(
    ("budget", "field"), [({"costUsd": "0"}, "cost_usd"), ({"costUsd": "-1"}, "cost_usd"), ({"costUsd": "1e30"}, "")]
)
def test_a_resource_s_is_held_to_the_same(budget: dict[str, Any], field: str) -> None:
    spec = translated(parse_run_request(with_budget(None)), {}, lambda: 0).json
    with pytest.raises(UnusableRequest, match=rf"spec\.budget\.{field}"):
        check_resource(
            OptimizationJobSpec.model_validate(
                spec | {"budget": budget, "dataset": {"rows": [{"text": "a", "label": "b"}]}}
            )
        )
