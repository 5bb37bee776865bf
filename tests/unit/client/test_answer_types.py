"""The client's types and the OpenAPI document say the same, in both directions: names, types, and what may be null.

The client imports nothing of the service, so this is what holds them together.
"""

import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

import pytest

from dspy_service import answers, errors
from dspy_service.wire.error_answers import BY_CODE
from dspy_service_api.answers.error_codes import ALL
from dspy_service_local.reference_api import document

SCHEMAS: Mapping[str, Any] = document()["components"]["schemas"]
TYPES: Mapping[str, type] = {
    "Accepted": answers.Accepted,
    "CallRange": answers.CallRange,
    "Estimated": answers.Estimated,
    "EstimatedStage": answers.EstimatedStage,
    "Estimate": answers.Estimate,
    "DryRun": answers.DryRun,
    "JobSplitFractions": answers.SplitFractions,
    "SplitCounts": answers.SplitCounts,
    "PagedProgressEvent": answers.Event,
    "PagedLogEntry": answers.LogEntry,
    "JobSummary": answers.Summary,
    "JobList": answers.JobPage,
    "RecordKept": answers.RecordKept,
    "ProgramArtifact": answers.Artifact,
    "RunResponse": answers.Result,
    "Comparison": answers.Comparison,
    "UsageFigures": answers.Usage,
    "PredictorChange": answers.PredictorChange,
    "Candidate": answers.Candidate,
    "RowAnswer": answers.ProgramAnswer,
    "ScoredRow": answers.Row,
    "JobDetail": answers.Job,
    "RegisteredAssets": answers.Assets,
    "Health": answers.Health,
    "CatalogueArgument": answers.Argument,
    "CatalogueModule": answers.CatalogueModule,
    "CatalogueOptimizer": answers.CatalogueOptimizer,
    "Catalogue": answers.Catalogue,
    "FieldProblem": errors.FieldProblem,
}
WITHOUT_NUMBER = {"ProgressEvent": "PagedProgressEvent", "LogEntry": "PagedLogEntry"}
"""Read by the same type, whose `n` is then 0."""
NO_TYPE = {
    "ArtifactAnswer",
    "Submission",
    "Payload",
    "LogEntries",
    "ProgressEvents",
    "ScoredRows",
    "Candidates",
    "CandidateInBrief",
    "BudgetCaps",
    "Details",
    "UsageBreakdown",
    "FailedRow",
    "FailedRows",
    "ScoreScale",
    "OptimizationMetadata",
    "Error",
    "InvalidRequest",
}
"""Taken apart by the calls, left as a dict, or raised."""
HEADERS = {(answers.Accepted, "warning")}
SCALARS: Mapping[str, Any] = {"string": str, "integer": int, "number": float, "boolean": bool}


def hint_of(schema: Mapping[str, Any]) -> Any:
    """The one hint that a value of this schema has in the client."""
    if "anyOf" in schema:
        (kind,) = [choice for choice in schema["anyOf"] if choice != {"type": "null"}]
        return hint_of(kind) | None
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        kind = TYPES.get(WITHOUT_NUMBER.get(name, name))
        return kind or dict[str, Any]
    if schema.get("format") == "date-time":
        return datetime
    if schema.get("type") == "array":
        return tuple[hint_of(schema["items"]), ...]  # type: ignore[misc]  # made here
    if schema.get("type") == "object":
        values = schema["additionalProperties"]
        return dict[str, Any if values is True else hint_of(values)]  # type: ignore[misc]  # made here
    return SCALARS[schema["type"]] if "type" in schema else Any


def says_nothing(schema: Mapping[str, Any]) -> bool:
    """It is the same in every answer."""
    return "const" in schema or schema.get("type") == "null"


def test_every_answer_has_its_type() -> None:
    asked = {name for name in SCHEMAS if name not in request_schemas()}
    assert asked == TYPES.keys() | WITHOUT_NUMBER.keys() | NO_TYPE
    kinds = {kind for kind in vars(answers).values() if isinstance(kind, type) and is_dataclass(kind)}
    assert {kind for kind in kinds if kind.__name__[0] != "_"} == set(TYPES.values()) - {errors.FieldProblem}


def request_schemas() -> set[str]:
    """What `RunRequest` refers to, and itself."""
    found, left = set(), ["RunRequest"]
    while left:
        name = left.pop()
        if name not in found:
            found.add(name)
            left += references(SCHEMAS[name])
    return found


def references(node: Any) -> list[str]:
    if isinstance(node, list):
        return [name for item in node for name in references(item)]
    if not isinstance(node, dict):
        return []
    own = [str(node["$ref"]).rpartition("/")[2]] if "$ref" in node else []
    return own + [name for item in node.values() for name in references(item)]


@pytest.mark.parametrize("name", TYPES)
def test_a_type_has_the_fields_that_are_answered_and_no_others(name: str) -> None:
    kind, properties = TYPES[name], SCHEMAS[name]["properties"]
    hints = {field: hint for field, hint in typing.get_type_hints(kind).items() if (kind, field) not in HEADERS}
    answered = {
        field: hint_of(schema) for field, schema in properties.items() if field in hints or not says_nothing(schema)
    }
    nullable = {field.name for field in fields(kind) if field.default is None and hints.get(field.name) is not Any}
    assert hints == {field: hint | None if field in nullable else hint for field, hint in answered.items()}


def test_the_client_knows_every_code_of_the_service_and_no_others() -> None:
    assert BY_CODE.keys() == {error.code for error in ALL}
