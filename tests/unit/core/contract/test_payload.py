import json
import math
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings, strategies as st

import deep_json
from dspy_service_core.contract.request import RunRequest, parse_run_request
from dspy_service_core.errors import InvalidRequest
from run_requests import run_request, ticket_rows


def parse(**changes: Any) -> RunRequest:
    return parse_run_request(orjson.dumps(run_request(**changes)))


def problems(body: bytes) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidRequest) as refused:
        parse_run_request(body)
    return [(p.field, p.message, p.type) for p in refused.value.problems]


def problems_of(**changes: Any) -> list[tuple[str, str, str]]:
    return problems(orjson.dumps(run_request(**changes)))


def test_defaults_are_the_contract_s() -> None:
    request = parse()

    assert (request.split_fractions.train, request.split_fractions.val, request.split_fractions.test) == (
        0.7,
        0.15,
        0.15,
    )
    assert (request.shuffle, request.seed, request.module_kwargs, request.compile_kwargs) == (True, None, {}, {})
    assert request.run_options.model_dump() == {
        "name": None,
        "note": None,
        "labels": {},
        "priority": 0,
        "deadline_seconds": None,
        "retries": None,
        "ttl_seconds": None,
        "max_failed_rows": None,
        "require": None,
        "threads": None,
        "hedge": False,
    }
    assert list(request.models) == ["default"]
    assert request.models["default"].temperature is None


def test_seed_zero_is_a_seed() -> None:
    assert parse(seed=0).seed == 0


def test_a_null_model_is_none_given() -> None:
    body = run_request() | {"reflection_model_config": None, "task_model_config": {"name": "openai/o3"}}

    assert list(parse_run_request(orjson.dumps(body)).models) == ["default", "task"]


def test_rows_come_as_they_were_sent() -> None:
    rows = [{"text": "x", "label": None, "more": {"deep": [1, 2.5, True]}}]

    assert parse(dataset=rows).dataset == rows


@pytest.mark.parametrize("field", ["module_kwargs", "column_mapping", "model_config", "run_options"])
def test_an_object_is_called_one(field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse(**{field: "text"})
    assert [(problem.field, problem.message) for problem in refused.value.problems] == [(field, "Should be an object")]


def test_unknown_keys_at_the_top_are_taken_and_reported() -> None:
    assert parse(zeta=1, client_version="3").unknown_fields == ("client_version", "zeta")


MAX_FAILED = "run_options.max_failed_rows"
DATASET_EMPTY = ("dataset", "Dataset must contain at least one row.", "dataset_empty")
CASES: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "rows that are no objects": ({"dataset": [{"a": 1}, 3]}, ("dataset[1]", "row_type")),
    "a dataset that is no list": ({"dataset": {"a": 1}}, ("dataset", "list_type")),
    "no inputs": ({"column_mapping": {"inputs": {}}}, ("column_mapping.inputs", "too_short")),
    "a column on both sides": (
        {"column_mapping": {"inputs": {"a": "x"}, "outputs": {"b": "x"}}},
        ("column_mapping", "mapping_overlap"),
    ),
    "a column that is no text": ({"column_mapping": {"inputs": {"a": 1}}}, ("column_mapping.inputs.a", "string_type")),
    "an unknown key below": (
        {"column_mapping": {"inputs": {"a": "a"}, "x": 1}},
        ("column_mapping.x", "extra_forbidden"),
    ),
    "fractions below 1": ({"split_fractions": {"train": 0.5}}, ("split_fractions", "fractions_sum")),
    "a negative fraction": (
        {"split_fractions": {"train": -0.5, "val": 1, "test": 0.5}},
        ("split_fractions.train", "greater_than_equal"),
    ),
    "a fraction as text": ({"split_fractions": {"train": "0.7"}}, ("split_fractions.train", "number_type")),
    "a seed as text": ({"seed": "7"}, ("seed", "number_type")),
    "a seed as a boolean": ({"seed": True}, ("seed", "number_type")),
    "a seed with a fraction": ({"seed": 7.5}, ("seed", "int_from_float")),
    "shuffle as a number": ({"shuffle": 1}, ("shuffle", "bool_type")),
    "kwargs that are a list": ({"module_kwargs": []}, ("module_kwargs", "dict_type")),
    "an empty name": ({"module_name": ""}, ("module_name", "string_too_short")),
    "a name with control characters": ({"optimizer_name": "gepa\x00"}, ("optimizer_name", "control_characters")),
    "a name with a line break": ({"module_name": "cot\n"}, ("module_name", "control_characters")),
    "a long name": ({"module_name": "x" * 300}, ("module_name", "string_too_long")),
    "no code": ({"signature_code": ""}, ("signature_code", "string_too_short")),
    "an unknown model key": (
        {"model_config": {"name": "x", "api_key": "k"}},
        ("model_config.api_key", "extra_forbidden"),
    ),
    "a model without name": ({"model_config": {}}, ("model_config.name", "missing")),
    "too hot": ({"model_config": {"name": "x", "temperature": 2.1}}, ("model_config.temperature", "less_than_equal")),
    "no tokens": ({"model_config": {"name": "x", "max_tokens": 0}}, ("model_config.max_tokens", "greater_than_equal")),
    "top_p": ({"model_config": {"name": "x", "top_p": 1.5}}, ("model_config.top_p", "less_than_equal")),
    "a model type": (
        {"model_config": {"name": "x", "model_type": "images"}},
        ("model_config.model_type", "literal_error"),
    ),
    "an endpoint of another kind": (
        {"model_config": {"name": "x", "base_url": "file:///etc"}},
        ("model_config.base_url", "url"),
    ),
    "an endpoint without host": (
        {"model_config": {"name": "x", "base_url": "http://"}},
        ("model_config.base_url", "url"),
    ),
    "an endpoint in pieces": (
        {"model_config": {"name": "x", "base_url": "http://[::1"}},
        ("model_config.base_url", "url"),
    ),
    "an endpoint with a backslash": (
        {"model_config": {"name": "x", "base_url": "http://good\\@evil"}},
        ("model_config.base_url", "url"),
    ),
    "an endpoint in extra": (
        {"model_config": {"name": "x", "extra": {"api_base": "http://evil"}}},
        ("model_config.extra", "extra_reserved"),
    ),
    "another model's": ({"task_model_config": {"nam": "x"}}, ("task_model_config.name", "missing")),
    "a label's key": ({"run_options": {"labels": {"a b": "c"}}}, ("run_options.labels", "label_key")),
    "a label's value": ({"run_options": {"labels": {"a": "c d"}}}, ("run_options.labels", "label_value")),
    "a reserved label": (
        {"run_options": {"labels": {"dspy-service.io/job": "x"}}},
        ("run_options.labels", "label_reserved"),
    ),
    "retries": ({"run_options": {"retries": 11}}, ("run_options.retries", "less_than_equal")),
    "a deadline": ({"run_options": {"deadline_seconds": 0}}, ("run_options.deadline_seconds", "greater_than_equal")),
    "a verdict that cannot be required": (
        {"run_options": {"require": "no_evidence"}},
        ("run_options.require", "literal_error"),
    ),
    "a required verdict as a flag": ({"run_options": {"require": True}}, ("run_options.require", "literal_error")),
    "failed rows below 0": ({"run_options": {"max_failed_rows": -0.1}}, (MAX_FAILED, "greater_than_equal")),
    "failed rows above 1": ({"run_options": {"max_failed_rows": 2}}, (MAX_FAILED, "less_than_equal")),
    "threads as text": ({"run_options": {"threads": "8"}}, ("run_options.threads", "number_type")),
    "hedge as text": ({"run_options": {"hedge": "yes"}}, ("run_options.hedge", "bool_type")),
    "half a thread": ({"run_options": {"threads": 1.5}}, ("run_options.threads", "int_from_float")),
    "failed rows as text": ({"run_options": {"max_failed_rows": "0.2"}}, (MAX_FAILED, "number_type")),
    "an unknown run option": ({"run_options": {"gpu": 1}}, ("run_options.gpu", "extra_forbidden")),
}


@pytest.mark.parametrize(("changes", "expected"), CASES.values(), ids=CASES)
def test_each_problem_names_its_field(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    found = problems_of(**changes)

    assert expected in [(field, kind) for field, _, kind in found]
    assert not any(message.startswith("Value error") for _, message, _ in found)


def test_an_empty_dataset_in_the_contract_s_words() -> None:
    assert problems_of(dataset=[]) == [DATASET_EMPTY]


def test_all_problems_come_at_once() -> None:
    found = problems_of(dataset=[], seed="x", shuffle=None, module_name="")

    assert [field for field, _, _ in found] == ["dataset", "module_name", "seed"]


def test_missing_fields() -> None:
    assert {field for field, _, kind in problems(b"{}") if kind == "missing"} == {
        "module_name",
        "signature_code",
        "metric_code",
        "optimizer_name",
        "dataset",
        "column_mapping",
        "model_config",
    }


def test_a_long_list_of_wrong_rows_is_cut() -> None:
    assert len(problems_of(dataset=[1] * 5000)) == 100


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "half": b'{"module_name": ',
    "a NaN where no value may be": b'{"seed": 1 NaN}',
    "a NaN for a name": b"{NaN: 1}",
    "a word that begins with NaN": b'{"seed": NaNny}',
    "a lone surrogate": b'{"module_name": "\\ud800"}',
    "no UTF-8": b'{"module_name": "\xff"}',
    "a thousand levels": b"[" * 2000 + b"]" * 2000,
    "endless digits": b'{"seed": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_json_is_one_problem(body: bytes) -> None:
    (found,) = problems(body)

    assert (found[0], found[2]) == ("body", "json_invalid")
    assert found[1].startswith("Malformed JSON: ")


@pytest.mark.parametrize("body", [b"[]", b"null", b'"x"', b"3"])
def test_a_body_that_is_no_object(body: bytes) -> None:
    assert problems(body) == [("body", "Input should be a JSON object", "object_type")]


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels - 1):
        value = [value]
    return value


def test_too_deep_names_the_field() -> None:
    assert problems_of(module_kwargs={"x": nested(70)}) == [
        ("module_kwargs", "Nested deeper than 64 levels", "too_deep")
    ]
    rows = [{"text": nested(70), "label": "x"}]
    assert problems(json.dumps(run_request(dataset=rows)).encode())[0][::2] == ("dataset", "too_deep")


@pytest.mark.parametrize("depth", deep_json.DEPTHS)
@pytest.mark.parametrize("field", ["module_kwargs", "optimizer_kwargs", "dataset", "model_config"])
def test_the_field_is_named_whatever_the_depth(field: str, depth: int) -> None:
    body = json.dumps(run_request(**{field: "@"})).encode().replace(b'"@"', deep_json.nested(depth))
    assert problems(body) == [(field, "Nested deeper than 64 levels", "too_deep")]


def test_deep_enough_passes_and_can_be_written_again() -> None:
    assert orjson.dumps(parse(module_kwargs={"x": nested(60)}).module_kwargs)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_integers_beyond_64_bits_are_refused_anywhere(number: int) -> None:
    body = json.dumps(run_request(dataset=[{"text": "x", "label": {"n": [number]}}])).encode()

    assert [(field, kind) for field, _, kind in problems(body)] == [("body", "int_too_large")]


def test_large_floats_are_no_integers() -> None:
    assert math.isclose(parse(dataset=[{"text": 1e300, "label": "x"}]).dataset[0]["text"], 1e300)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.sampled_from([*RunRequest.model_fields, "model_config"]), JSON_VALUES)
def test_any_json_is_taken_or_refused(field: str, value: Any) -> None:
    body = json.dumps(run_request() | {field: value}).encode("utf-8", "surrogatepass")
    with suppress(InvalidRequest):
        parse_run_request(body)


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_run_request(body)


def test_the_schema_shows_the_contract_s_fields() -> None:
    schema = RunRequest.model_json_schema()

    assert "model_config" in schema["required"]
    assert schema["properties"]["dataset"]["type"] == "array"
    assert schema["properties"]["seed"]["anyOf"][0]["type"] == "integer"


def test_rows_are_not_copied() -> None:
    """2,000 rows cost one parse: what the request holds is what orjson made."""
    rows = ticket_rows(3)
    assert RunRequest.model_validate(run_request(dataset=rows)).dataset is rows
