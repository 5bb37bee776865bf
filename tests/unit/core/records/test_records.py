"""What is declared of a run arrives: written, read, and in the resource's schema, by the declaration alone."""

from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

import jsonschema_rs
import orjson
import pytest
from hypothesis import given, strategies as st

from dspy_service_core.crd import generate
from dspy_service_core.records.candidates import Candidate
from dspy_service_core.records.events import FIGURES, Event, LogEntry
from dspy_service_core.records.record import Reading, document, read, resource
from dspy_service_core.records.run import ProgressDocument, Result, ResultDocument, RunStatus
from dspy_service_core.records.usage import Usage
from dspy_service_core.resource.status import OptimizationJobStatus

THEN = "2026-01-01T00:00:00Z"
RECORDS = (Usage, ProgressDocument, ResultDocument, Result, RunStatus, LogEntry, Event, Candidate)
RUN_SCHEMA = generate.schema()["properties"]["status"]["properties"]["run"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def example(kind: Any) -> Any:
    """A value of the type; of a record, one with every field at something else than its default."""
    if is_dataclass(kind):
        return kind(**{field.name: example(field.type) for field in fields(kind)})  # type: ignore[operator]
    origin, arguments = get_origin(kind), get_args(kind)
    if hasattr(kind, "__metadata__"):
        return example(kind.__origin__)
    if origin is Literal:
        return arguments[0]
    if origin is list:
        return [example(arguments[0])]
    if NoneType in arguments:
        return example(arguments[0])
    return {bool: True, int: 3, float: 0.5, str: THEN, dict: {"a": 1}}[origin or kind]


@pytest.mark.parametrize("kind", RECORDS)
def test_what_is_written_is_read(kind: type) -> None:
    whole = example(kind)
    for write in (document, resource):
        assert read(kind, orjson.loads(orjson.dumps(write(whole)))) == whole


@pytest.mark.parametrize("kind", RECORDS)
def test_what_is_not_said_has_its_default(kind: type) -> None:
    """Another version may have written it."""
    required = {field.name: example(field.type) for field in fields(kind) if field.default is field.default_factory}
    said = {name: value for name, value in document(kind(**required)).items() if name in required}
    assert read(kind, said | {"fromTomorrow": 1}) == kind(**required)


def test_what_lacks_a_required_field_is_no_record() -> None:
    assert read(ResultDocument, {"message": "no outcome"}) is None
    assert read(ResultDocument, {"outcome": "Won"}) is None
    assert read(Usage, [1]) is None


def test_the_resource_holds_what_is_written_and_nothing_else() -> None:
    run = resource(example(RunStatus))
    assert jsonschema_rs.validator_for(RUN_SCHEMA).is_valid(run)
    assert _names(run) == _names_of_schema(RUN_SCHEMA)


def test_pydantic_reads_the_same() -> None:
    whole = example(RunStatus)
    assert OptimizationJobStatus.model_validate({"run": resource(whole)}).run == whole
    assert OptimizationJobStatus(run=whole).wire()["run"] == resource(whole)


def test_texts_are_cleaned_before_they_are_cut() -> None:
    reading = Reading(THEN, lambda text: text.replace("key", "***"))
    entry = read(LogEntry, {"message": "a key", "level": "k" * 300}, reading)
    assert entry is not None
    assert (entry.message, len(entry.level), entry.timestamp) == ("a ***", 256, THEN)


@given(JSON, st.sampled_from(RECORDS))
def test_nothing_foreign_breaks_reading(value: Any, kind: type) -> None:
    for name in document(example(kind)):
        read(kind, document(example(kind)) | {name: value}, Reading(THEN))
    read(kind, value)


def test_the_figures_of_our_events_are_known() -> None:
    assert {"train", "val", "test", "baseline_test_metric", "tqdm_n", "best_score"} <= FIGURES
    assert "tqdm_desc" not in FIGURES


def _names(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _names(item) for name, item in value.items()}
    return _names(value[0]) if isinstance(value, list) else None


def _names_of_schema(schema: dict[str, Any]) -> Any:
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {"a": None}
    if schema["type"] == "array":
        return _names_of_schema(schema["items"])
    if schema["type"] == "object":
        return {name: _names_of_schema(its) for name, its in schema["properties"].items()}
    return None
