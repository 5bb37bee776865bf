"""A request as a spec: what of it goes where, and that each field of the one is a field of the other."""

from typing import Any

import orjson
import pytest
from pydantic.alias_generators import to_camel

from checked_jobs import check_request
from dspy_service_api.submit.request_spec import FIELDS, Translated, translated
from dspy_service_core.checks.job_checks import Contents, Installation
from dspy_service_core.contract.request import RunRequest, parse_run_request
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.registry import registry
from dspy_service_core.resource.job import OptimizationJobSpec
from dspy_service_core.resource.sources import NAMES
from dspy_service_core.resource.wire import Wire
from run_requests import FILES, METRIC, PROGRAM, SIGNATURE, program_request, run_request

LONG = SIGNATURE + "#" * 20_000


def translation(**changes: Any) -> Translated:
    return translated(parse_run_request(orjson.dumps(run_request(**changes))), {"retries": 1}, lambda: 7)


def test_what_a_request_says_is_in_the_spec() -> None:
    job = translation(
        module_kwargs={"n": None},
        optimizer_kwargs={"auto": None},
        compile_kwargs={"seed": 1},
        signature_code=LONG,
        split_fractions={"train": 0.5, "val": 0, "test": 0.5},
        shuffle=False,
        model_config={"name": "openai/x", "base_url": "http://h/v1", "temperature": 1, "extra": {"top_k": None}},
        task_model_config={"name": "openai/y", "max_tokens": 9, "top_p": 0.5, "model_type": "text"},
    )

    assert job.json == {
        "module": {"name": "cot", "kwargs": {"n": None}},
        "optimizer": {"name": "miprov2", "kwargs": {"auto": None}, "compileKwargs": {"seed": 1}},
        "signature": {"code": LONG},
        "metric": {"code": METRIC},
        "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
        "split": {"train": "0.5", "val": "0.0", "test": "0.5", "shuffle": False, "seed": 7},
        "models": {
            "default": {"name": "openai/x", "baseUrl": "http://h/v1", "temperature": "1.0", "extra": {"top_k": None}},
            "task": {"name": "openai/y", "maxTokens": 9, "topP": "0.5", "modelType": "text"},
        },
        "run": {"retries": 1},
    }
    assert job.contents == Contents(rows=run_request()["dataset"], code={"signature": LONG, "metric": METRIC})


def program_translation(**changes: Any) -> Translated:
    return translated(parse_run_request(orjson.dumps(program_request(**changes))), {}, lambda: 7)


def test_a_program_is_in_the_spec_instead_of_a_module() -> None:
    job = program_translation()
    files = [{"path": path, "code": text} for path, text in FILES.items()]
    assert job.json["program"] == {"code": PROGRAM, "kwargs": {}, "files": files}
    assert not job.json.keys() & {"module", "signature", "columns"}
    assert (job.contents.code, job.contents.files) == ({"program": PROGRAM, "metric": METRIC}, FILES)


def test_what_stands_beside_a_program_stands_beside_it_in_the_spec() -> None:
    mapping = {"inputs": {"text": "text"}, "outputs": {"label": None}}
    beside = {"signature_code": SIGNATURE, "column_mapping": mapping, "program_files": {}}
    job = program_translation(module_name="Triage", module_kwargs={"hint": "x"}, **beside)
    assert job.json["program"] == {"name": "Triage", "code": PROGRAM, "kwargs": {"hint": "x"}}
    assert job.json["signature"] == {"code": SIGNATURE}
    assert job.json["columns"] == {"inputs": {"text": "text"}, "outputs": {}, "withoutGold": ["label"]}
    assert (job.spec.module_name, job.spec.module_kwargs) == ("Triage", {"hint": "x"})


def test_what_is_checked_is_what_is_written() -> None:
    job = translation(reflection_model_config={"name": "x", "temperature": 0.5})
    written = OptimizationJobSpec.model_validate({**job.json, "dataset": {"rows": job.contents.rows}})

    assert job.spec == written.model_copy(update={name: getattr(job.spec, name) for name in (*NAMES, "dataset")})


def test_a_seed_is_drawn_where_none_is_given() -> None:
    assert translation().spec.split.seed == 7
    assert translation(seed=0).spec.split.seed == 0


def test_credentials_are_beside_the_spec() -> None:
    extra = {"api_key": "c4n4ry", "region": "eu"}
    job = translation(reflection_model_config={"name": "x", "base_url": "http://u:c4n4ry@h/v1", "extra": extra})

    assert job.json["models"]["reflection"] == {"name": "x", "baseUrl": "http://h/v1", "extra": {"region": "eu"}}
    assert "c4n4ry" not in str(job.json) + repr(job.spec)
    assert job.contents.withheld == {
        "reflection": {"base_url": "http://u:c4n4ry@h/v1", "extra": {"api_key": "c4n4ry"}},
    }


@pytest.mark.parametrize("name", ["token_url", "stop"])
def test_a_withheld_url_is_checked_too(name: str) -> None:
    model = {"name": "openai/x", "extra": {"fallbacks": [{"region": "eu"}, {name: "http://localhost:8000/v1"}]}}
    listed = Installation(registry.default(), ("models.example.org",))
    with pytest.raises(UnusableRequest, match=rf"^model_config\.extra\.fallbacks\[1\]\.{name}: this service asks no"):
        check_request(run_request(model_config=model), listed)
    with pytest.raises(UnusableRequest, match=rf"^model_config\.extra\.fallbacks\[1\]\.{name}: .* is this service"):
        check_request(run_request(model_config=model), Installation(registry.default(), own_ports=frozenset({8000})))


@pytest.mark.parametrize(("path", "field"), FIELDS.items())
def test_both_sides_of_the_declared_words_are_fields(path: str, field: str) -> None:
    root, *names = path.split(".")
    assert root == "spec"
    model: Any = OptimizationJobSpec
    for name in names:
        found = {to_camel(name): own.annotation for name, own in model.model_fields.items()}
        assert name in found, path
        model = _model(found[name])
    first = field.partition(".")[0]
    assert first in {own.alias or name for name, own in RunRequest.model_fields.items()}


def _model(annotation: Any) -> Any:
    return next((kind for kind in (annotation, *getattr(annotation, "__args__", ())) if _is_model(kind)), annotation)


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Wire)


def test_every_role_of_the_spec_has_its_words() -> None:
    for role in OptimizationJobSpec.model_fields["models"].annotation.model_fields:  # type: ignore[union-attr]
        assert {f"spec.models.{role}", f"spec.models.{role}.baseUrl"} <= FIELDS.keys()


def test_an_output_mapped_to_null_is_one_without_gold() -> None:
    mapping = {"inputs": {"text": "text"}, "outputs": {"label": "team", "reason": None}}
    job = translation(column_mapping=mapping)

    assert job.json["columns"] == {
        "inputs": {"text": "text"},
        "outputs": {"label": "team"},
        "withoutGold": ["reason"],
    }
    assert job.spec.columns.without_gold == ["reason"]


def test_a_column_that_splits_and_an_adapter() -> None:
    said = [{"text": "x", "label": "y", "part": "train"}] * 3
    found = translation(dataset=said, split_column="part", adapter="xml").json
    assert (found["split"]["column"], found["adapter"]) == ("part", "xml")
    plain = translation().json
    assert ("column" in plain["split"], "adapter" in plain) == (False, False)
