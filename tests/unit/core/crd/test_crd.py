"""The CRD: fresh, structural by Kubernetes' rules, and its CEL rules by what they let through.

What a real API server makes of it (estimated costs of the rules among it) is the conformance suite's to see.
"""

from collections.abc import Iterator
from typing import Any

import cel
import jsonschema_rs
import pytest
import yaml

from dspy_service_core.crd import generate
from dspy_service_core.crd.schema import UnsupportedSchema, structural
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.splits import Fractions, counts
from dspy_service_core.resource.status import OptimizationJobStatus
from dspy_service_core.resource.wire import Wire
from run_requests import METRIC, SIGNATURE, ticket_rows

Json = dict[str, Any]
SCHEMA = generate.schema()


def schemas(schema: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    yield path, schema
    for name, its in schema.get("properties", {}).items():
        yield from schemas(its, f"{path}.{name}")
    if "items" in schema:
        yield from schemas(schema["items"], f"{path}[]")
    if "additionalProperties" in schema:
        yield from schemas(schema["additionalProperties"], f"{path}{{}}")


ALL = dict(schemas(SCHEMA))


def rules() -> Iterator[tuple[str, Json]]:
    for path, schema in ALL.items():
        for rule in schema.get("x-kubernetes-validations", []):
            yield path, rule


def holds(path: str, number: int, value: Json, old: Json | None = None) -> bool:
    rule = ALL[path]["x-kubernetes-validations"][number]["rule"]
    return bool(cel.compile(rule).execute({"self": value} | ({} if old is None else {"oldSelf": old})))


def test_the_committed_file_is_fresh() -> None:
    generate.main(["--check"])


def test_is_one_yaml_document_as_go_reads_it() -> None:
    """YAML 1.1 has a bare n for false, and Go's reader holds to it."""
    assert yaml.safe_load(generate.rendered()) == generate.definition()
    assert not any(line.strip() in ("n:", "- n") for line in generate.rendered().splitlines())


@pytest.mark.parametrize("path", ALL)
def test_structural(path: str) -> None:
    schema = ALL[path]
    free = schema.get("x-kubernetes-preserve-unknown-fields", False)

    assert not schema.keys() & {"$ref", "anyOf", "oneOf", "allOf", "not", "const", "title", "propertyNames"}
    assert "nullable" not in schema or path.startswith(".spec.optimizer."), "Kubernetes drops nulls elsewhere"
    assert schema.get("type") in ("object", "array", "string", "integer", "boolean") or (free and "type" not in schema)
    assert schema.get("additionalProperties") is not False
    assert not ("properties" in schema and "additionalProperties" in schema)
    if schema.get("type") == "array":
        assert schema["x-kubernetes-list-type"] in ("atomic", "map")
    if schema.get("type") == "object" and not path.startswith((".metadata", ".spec.models.")):
        assert free or "properties" in schema or "additionalProperties" in schema


@pytest.mark.parametrize("path", [path for path in ALL if not path.endswith(("[]", "{}")) and "metadata" not in path])
def test_every_field_is_described(path: str) -> None:
    assert ALL[path]["description"].strip()


@pytest.mark.parametrize(
    "path", [p for p, s in ALL.items() if p.startswith(".spec") and s.get("type") in ("array", "string")]
)
def test_what_a_user_writes_is_bounded(path: str) -> None:
    """Rules are priced by the largest value that the schema lets through."""
    schema = ALL[path]

    assert schema.keys() & {"maxItems", "maxLength", "enum", "pattern"}


def test_conditions_are_a_map_by_type() -> None:
    conditions = ALL[".status.conditions"]

    assert (conditions["x-kubernetes-list-type"], conditions["x-kubernetes-list-map-keys"]) == ("map", ["type"])


def test_columns_show_fields_that_exist() -> None:
    for column in generate.COLUMNS:
        if not column["jsonPath"].startswith(".metadata"):
            assert ALL[column["jsonPath"]]["type"] == column["type"]
    assert [c["name"] for c in generate.COLUMNS if "priority" not in c] == [
        *("PHASE", "OPTIMIZER", "MODULE", "PROGRESS", "BEST", "VERDICT", "DIFFERENCE", "SCORE", "ETA", "AGE")
    ]


def test_defaults_are_the_models() -> None:
    job = {
        "module": {"name": "cot"},
        "optimizer": {"name": "gepa"},
        "signature": {"code": "x"},
        "metric": {"code": "x"},
        "dataset": {"rows": [{}]},
        "columns": {"inputs": {"a": "a"}},
        "models": {"default": {"name": "m"}},
    }
    wire = OptimizationJobSpec.model_validate(job).wire()

    for path, schema in ALL.items():
        if "default" in schema and path.count(".") == 2:
            name = path.rpartition(".")[2]
            default = schema["default"]
            written = wire[name]
            assert default == ({k: written[k] for k in default} if isinstance(default, dict) else written)


def test_a_status_has_no_defaults() -> None:
    assert not [path for path, schema in ALL.items() if path.startswith(".status") and "default" in schema]


def job(**changes: Any) -> Json:
    spec = {
        "module": {"name": "cot", "kwargs": {"n": 3, "deep": {"x": [1]}}},
        "optimizer": {"name": "miprov2"},
        "signature": {"code": SIGNATURE},
        "metric": {"code": METRIC},
        "dataset": {"rows": ticket_rows(3)},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "models": {"default": {"name": "openai/gpt-4o-mini"}},
        "split": {"train": "0.7", "val": "0.15", "test": "0.15", "shuffle": True},
        "suspend": False,
        "stop": "",
    }
    return {"apiVersion": "x", "kind": "y", "metadata": {"name": "tickets"}, "spec": spec | changes}


def test_the_schema_takes_a_job() -> None:
    assert jsonschema_rs.validator_for(SCHEMA).is_valid(job())


@pytest.mark.parametrize(
    "changes",
    [
        {"module": {}},
        {"module": {"name": "x" * 300}},
        {"stop": "Now"},
        {"columns": {"inputs": {}}},
        {"dataset": {"uri": "s3://x", "digest": "md5:0"}},
        {"split": {"train": 0.7}},
        {"run": {"retries": 11}},
        {"models": {}},
    ],
)
def test_the_schema_refuses(changes: Json) -> None:
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid(job(**changes))


def test_what_the_models_write_is_what_the_schema_takes() -> None:
    wire = OptimizationJobSpec.model_validate(job()["spec"]).wire()
    status = OptimizationJobStatus().wire()

    assert jsonschema_rs.validator_for(SCHEMA).is_valid(job() | {"spec": wire, "status": status})


@pytest.mark.parametrize(("path", "rule"), list(rules()))
def test_every_rule_compiles_and_says_why(path: str, rule: Json) -> None:
    cel.compile(rule["rule"])
    assert rule["message"]


CHANGES: list[tuple[str, Any, bool]] = [
    ("suspend", True, True),
    ("stop", "KeepBest", True),
    ("stop", "Cancel", True),
    ("module", {"name": "cot", "kwargs": {"n": 4, "deep": {"x": [1]}}}, False),
    ("module", {"name": "cot"}, False),
    ("dataset", {"rows": ticket_rows(2)}, False),
    ("split", {"train": "0.6", "val": "0.2", "test": "0.2", "shuffle": True}, False),
    ("models", {"default": {"name": "openai/gpt-4o"}}, False),
    ("run", {"priority": 3}, False),
]


@pytest.mark.parametrize(("field", "value", "allowed"), CHANGES)
def test_the_spec_is_immutable_but_for_the_control_fields(field: str, value: Any, allowed: bool) -> None:
    assert holds(".spec", 0, job(**{field: value})["spec"], job()["spec"]) is allowed


def test_every_other_field_of_the_spec_is_immutable() -> None:
    rule = ALL[".spec"]["x-kubernetes-validations"][0]["rule"]

    for field in set(ALL[".spec"]["properties"]) - {"suspend", "stop"}:
        assert f"self.{field} == oldSelf.{field}" in rule


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("", "Cancel", True),
        ("KeepBest", "Cancel", True),
        ("Cancel", "Cancel", True),
        ("Cancel", "", False),
        ("Cancel", "KeepBest", False),
        ("KeepBest", "", True),
    ],
)
def test_no_way_back_from_cancel(old: str, new: str, allowed: bool) -> None:
    assert holds(".spec", 1, {"stop": new}, {"stop": old}) is allowed


def test_a_cancel_cannot_be_left_out_either() -> None:
    assert not holds(".spec", 1, {}, {"stop": "Cancel"})
    assert holds(".spec", 1, {"stop": "Cancel"}, {})


@pytest.mark.parametrize(
    ("value", "allowed"),
    [
        ({"code": "x"}, True),
        ({"configMapKeyRef": {"name": "a", "key": "b"}}, True),
        ({}, False),
        ({"code": "x", "payload": {"digest": "y"}}, False),
    ],
)
def test_one_source_of_code(value: Json, allowed: bool) -> None:
    assert holds(".spec.signature", 0, value) is allowed
    assert holds(".spec.metric", 0, value) is allowed


@pytest.mark.parametrize(
    ("value", "one", "paired"),
    [
        ({"rows": [{}]}, True, True),
        ({"uri": "s3://x", "digest": "sha256:0"}, True, True),
        ({"uri": "s3://x"}, True, False),
        ({"rows": [{}], "digest": "sha256:0"}, True, False),
        ({"rows": [{}], "uri": "s3://x", "digest": "d"}, False, True),
        ({}, False, True),
    ],
)
def test_one_dataset(value: Json, one: bool, paired: bool) -> None:
    assert (holds(".spec.dataset", 0, value), holds(".spec.dataset", 1, value)) == (one, paired)


@pytest.mark.parametrize(
    ("shares", "allowed"),
    [
        (("0.7", "0.15", "0.15"), True),
        (("1", "0", "0"), True),
        (("5e-1", "0.25", "0.25"), True),
        (("0.7", "0.2", "0.2"), False),
        (("-0.5", "1", "0.5"), False),
    ],
)
def test_shares(shares: tuple[str, str, str], allowed: bool) -> None:
    assert holds(".spec.split", 0, dict(zip(("train", "val", "test"), shares, strict=True))) is allowed


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("", True),
        ("http://localhost:11434/v1", True),
        ("https://h/v1/@models", True),
        ("https://u:p@h/v1", False),
        ("https://h/v1?key=1", False),
        ("https://h?key=1", False),
        ("file:///etc/passwd", False),
    ],
)
def test_endpoints_hold_no_credentials(url: str, allowed: bool) -> None:
    assert holds(".spec.models.reflection", 0, {"name": "m", "baseUrl": url}) is allowed


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("tickets", True),
        ("job-6b1d5c0e-6f0f-4f5e-9a86-0b0f6f3a6a55", True),
        ("6b1d5c0e-6f0f-4f5e-9a86-0b0f6f3a6a55", False),
    ],
)
def test_a_bare_uuid_is_no_name(name: str, allowed: bool) -> None:
    assert holds("", 0, {"metadata": {"name": name}}) is allowed


@pytest.mark.parametrize(
    ("cost", "allowed"), [("0", False), ("0.0", False), ("-1", False), ("0.01", True), ("5", True)]
)
def test_a_budget_of_no_money_is_none(cost: str, allowed: bool) -> None:
    assert holds(".spec.budget", 0, {"costUsd": cost}) is allowed


MIPRO, GEPA = "miprov2", "dspy.teleprompt.GEPA"
REFLECTING = {"default": {"name": "m"}, "reflection": {"name": "m"}}


@pytest.mark.parametrize(
    ("optimizer", "refused"),
    [
        ({"name": MIPRO, "kwargs": {"auto": "light"}}, False),
        ({"name": MIPRO, "kwargs": {"num_candidates": 3}, "compileKwargs": {"num_trials": 3}}, False),
        ({"name": MIPRO, "kwargs": {"auto": "light", "num_candidates": 3}}, True),
        ({"name": "dspy.MIPROv2", "kwargs": {"auto": "light"}, "compileKwargs": {"num_trials": 3}}, True),
        ({"name": "acme.Own", "kwargs": {"auto": "light", "num_candidates": 3}}, False),
        ({"name": GEPA, "kwargs": {"max_metric_calls": 40}}, False),
        ({"name": GEPA}, False),
        ({"name": "gepa", "kwargs": {"max_metric_calls": 40, "auto": "light"}}, True),
        ({"name": GEPA, "kwargs": {"max_full_evals": 4, "max_metric_calls": 40, "auto": "light"}}, True),
    ],
)
def test_budgets_that_contradict_each_other(optimizer: Json, refused: bool) -> None:
    broken = [number for number in (0, 1) if not holds(".spec.optimizer", number, optimizer)]
    assert bool(broken) is refused


@pytest.mark.parametrize(
    ("name", "models", "allowed"),
    [
        ("gepa", {"default": {"name": "m"}}, False),
        ("dspy.GEPA", {"default": {"name": "m"}}, False),
        (GEPA, {"default": {"name": "m"}}, False),
        (GEPA, REFLECTING, True),
        (MIPRO, {"default": {"name": "m"}}, True),
    ],
)
def test_gepa_needs_a_reflection_model(name: str, models: Json, allowed: bool) -> None:
    assert holds(".spec", 2, job(optimizer={"name": name}, models=models)["spec"]) is allowed


@pytest.mark.parametrize("name", ["dspy.Ensemble", "dspy.teleprompt.Ensemble"])
def test_an_ensemble_needs_programs(name: str) -> None:
    joined = {"joined": {"configMapKeyRef": {"name": "programs", "key": "programs.json"}}}
    given = {"optimizer": {"name": name, "kwargs": {"programs": ["a", "b"]}}}
    assert not holds(".spec", 3, job(**given)["spec"])
    assert holds(".spec", 3, job(**given, **joined)["spec"])
    assert holds(".spec", 3, job()["spec"])
    assert not holds(".spec.joined", 0, {})


@pytest.mark.parametrize(
    ("optimizer", "allowed"),
    [
        ({"name": "dspy.Ensemble", "kwargs": {"size": 0}}, False),
        ({"name": "dspy.teleprompt.Ensemble", "kwargs": {"size": -1}}, False),
        ({"name": "dspy.Ensemble", "kwargs": {"size": 1}}, True),
        ({"name": "dspy.Ensemble", "kwargs": {"reduce_fn": "majority"}}, True),
        ({"name": "dspy.Ensemble"}, True),
        ({"name": "acme.Own", "kwargs": {"size": 0}}, True),
    ],
)
def test_an_ensemble_asks_some_of_its_programs(optimizer: Json, allowed: bool) -> None:
    number = len(ALL[".spec.optimizer"]["x-kubernetes-validations"]) - 1
    assert "Ensemble" in ALL[".spec.optimizer"]["x-kubernetes-validations"][number]["message"]
    assert holds(".spec.optimizer", number, optimizer) is allowed


@pytest.mark.parametrize(
    ("rows", "shares", "train", "test"),
    [
        (3, ("0.7", "0.15", "0.15"), True, True),
        (1, ("0.7", "0.15", "0.15"), False, True),
        (10, ("0.9", "0.1", "0"), True, False),
        (2, ("0.5", "0.5", "0"), True, False),
        (3, ("0.0", "0.5", "0.5"), False, True),
    ],
)
def test_splits_that_come_out_empty(rows: int, shares: tuple[str, str, str], train: bool, test: bool) -> None:
    split = dict(zip(("train", "val", "test"), shares, strict=True))
    spec = job(dataset={"rows": ticket_rows(rows)}, split=split)["spec"]
    assert (holds(".spec", 4, spec), holds(".spec", 5, spec)) == (train, test)
    counted = counts(rows, Fractions(*map(float, shares)))
    assert (train, test) == (counted.train > 0, counted.test > 0), "the API counts otherwise"


@pytest.mark.parametrize(
    ("outputs", "allowed"), [({"label": "label"}, True), ({"label": "text"}, False), ({"a": "b", "c": "text"}, False)]
)
def test_a_column_is_used_once(outputs: Json, allowed: bool) -> None:
    assert holds(".spec.columns", 0, {"inputs": {"text": "text"}, "outputs": outputs}) is allowed


@pytest.mark.parametrize(
    ("model", "allowed"),
    [
        ({"temperature": "0"}, True),
        ({"temperature": "2.0", "topP": "1"}, True),
        ({"temperature": "2.1"}, False),
        ({"temperature": "-0.1"}, False),
        ({"topP": "1.01"}, False),
        ({}, True),
    ],
)
def test_sampling_is_within_its_range(model: Json, allowed: bool) -> None:
    assert all(holds(".spec.models.default", number, {"name": "m"} | model) for number in (0, 1, 2)) is allowed


@pytest.mark.parametrize(
    ("share", "allowed"), [("0", True), ("0.2", True), ("1", True), ("1.0", True), ("1.01", False), ("-0.1", False)]
)
def test_a_share_of_failed_rows_is_within_its_range(share: str, allowed: bool) -> None:
    assert holds(".spec.run", 0, {"maxFailedRows": share}) is allowed
    assert holds(".spec.run", 0, {}) is True


@pytest.mark.parametrize(("threads", "allowed"), [(1, True), (100, True), (0, False), (-1, False), (10_000, False)])
def test_threads_are_within_what_any_service_allows(threads: int, allowed: bool) -> None:
    assert holds(".spec.run", 1, {"threads": threads}) is allowed
    assert holds(".spec.run", 1, {}) is True


def test_names_leave_room_for_attempts() -> None:
    assert ALL[".metadata.name"]["maxLength"] == 52


def test_a_choice_of_types_is_refused() -> None:
    class Undecided(Wire):
        either: int | str

    with pytest.raises(UnsupportedSchema, match="a choice of types"):
        structural(Undecided, {}, defaults=True)


@pytest.mark.parametrize(
    ("name", "run", "taken"),
    [
        ("job-0f8fad5b-d9cb-469f-a165-70867728950e", {"name": "tickets"}, True),
        ("tickets", {}, True),
        ("tickets", {"note": "mine"}, True),
        ("tickets", {"name": "tickets"}, False),
        ("job-0f8fad5b-d9cb-469f-a165-7086772895xx", {"name": "tickets"}, False),
    ],
)
def test_only_a_job_of_the_api_is_called_otherwise_than_its_own_name(name: str, run: Json, taken: bool) -> None:
    assert holds("", 1, {"metadata": {"name": name}, "spec": {"run": run}}) is taken
