"""What is known of a state before the program runs: its shape, how many predictors it is of, and their fields."""

import copy
import json
from typing import Any

import pytest

from checked_jobs import check_resource
from dspy_service_core.checks.initial_checks import problems
from dspy_service_core.checks.job_checks import Contents
from dspy_service_core.code.signature_source import read_signature
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.resource.job import OptimizationJobSpec
from run_requests import METRIC, SIGNATURE, ticket_rows


def predictor(*fields: str, demos: Any = (), **descriptions: str) -> dict[str, Any]:
    described = [
        {"prefix": f"{name.title()}:", "description": descriptions.get(name, f"${{{name}}}")} for name in fields
    ]
    return {"demos": list(demos), "signature": {"instructions": "Do.", "fields": described}, "lm": None}


OWN = predictor("text", "label")
THOUGHT = {"predict": predictor("text", "reasoning", "label")}
TICKET = read_signature(SIGNATURE, "signature_code")


@pytest.mark.parametrize(
    ("state", "predictors", "known"),
    [
        (OWN, 1, True),
        (THOUGHT, 1, True),
        ({**THOUGHT, "metadata": {"dependency_versions": {"dspy": "3.4.1"}}}, 1, True),
        (predictor("text", "label", demos=[{"text": "a", "label": "b"}]), 1, True),
        (predictor("text", "label", text="as the customer wrote it"), 1, True),
        ({"a": OWN, "b": predictor("x", "y")}, 2, False),
        ({"a": OWN, "b": OWN}, None, False),
        (json.dumps(THOUGHT), 1, True),
    ],
)
def test_states_that_may_fit(state: Any, predictors: int | None, known: bool) -> None:
    assert list(problems(state, predictors, TICKET if known else None)) == []


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("{", "The state is no JSON: "),
        ("[1]", "The state is no JSON object: "),
        ("[" * 100_000, "The state is no JSON: "),
        ({}, "The state holds no predictor."),
        ({"predict": 3}, "The state of 'predict' is no object."),
        ({"metadata": {"dependency_versions": {"acme": "1"}}, **OWN}, "The state's metadata names 'acme'"),
        ({"a": OWN, "b": OWN}, "The state has 2 predictors ('a', 'b'), and the program has 1."),
        (predictor("text", "team"), "The state has the fields 'team', which signature 'Ticket' lacks."),
        ({"predict": predictor("question", "answer")}, "The state has the fields 'answer', 'question', which"),
    ],
)
def test_states_that_cannot_fit(state: Any, words: str) -> None:
    before = copy.deepcopy(state)
    (found,) = problems(state, 1, TICKET)
    assert found.startswith(words)
    assert state == before


def spec(**changes: Any) -> OptimizationJobSpec:
    given: dict[str, Any] = {
        "module": {"name": "cot"},
        "optimizer": {"name": "miprov2"},
        "signature": {"code": SIGNATURE},
        "metric": {"code": METRIC},
        "dataset": {"rows": ticket_rows(40)},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "models": {"default": {"name": "openai/gpt-4o-mini"}},
        "initial": {"configMapKeyRef": {"name": "begun", "key": "program.json"}},
    }
    return OptimizationJobSpec.model_validate(given | changes)


def test_a_resources_state_is_checked_as_soon_as_its_config_map_is_read() -> None:
    check_resource(spec())
    check_resource(spec(), Contents(code={"initial": json.dumps(THOUGHT)}))
    with pytest.raises(UnusableRequest, match=r"^spec\.initial: The state has 2 predictors"):
        check_resource(spec(), Contents(code={"initial": json.dumps({"a": OWN, "b": OWN})}))
    with pytest.raises(UnusableRequest, match=r"^spec\.initial: The state is no JSON"):
        check_resource(spec(), Contents(code={"initial": "p = 1"}))
