"""The OpenAPI document: whole, with examples that are true, and nothing answered that it does not declare."""

import platform
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api_service import Harness, api_service
from dspy_service_api.answers.schemas.components import components
from dspy_service_api.http.routes import examples
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as harness:
        yield harness


@pytest.fixture
async def document(real: Harness) -> dict[str, Any]:
    return dict((await real.client.get("/openapi.json")).json())


def contents(node: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every media type with a schema, wherever it is."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "application/json":
                yield path, value
            else:
                yield from contents(value, f"{path}/{name}")


async def test_every_endpoint_is_documented(document: dict[str, Any]) -> None:
    operations = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert operations == {
        ("POST", "/run"),
        ("GET", "/jobs"),
        ("GET", "/jobs/{job_id}"),
        ("DELETE", "/jobs/{job_id}"),
        ("GET", "/jobs/{job_id}/summary"),
        ("GET", "/jobs/{job_id}/logs"),
        ("GET", "/jobs/{job_id}/events"),
        ("GET", "/jobs/{job_id}/candidates"),
        ("GET", "/jobs/{job_id}/rows"),
        ("GET", "/jobs/{job_id}/artifact"),
        ("GET", "/jobs/{job_id}/payload"),
        ("GET", "/jobs/{job_id}/stream"),
        ("POST", "/jobs/{job_id}/cancel"),
        ("POST", "/jobs/{job_id}/stop"),
        ("POST", "/jobs/{job_id}/pause"),
        ("POST", "/jobs/{job_id}/resume"),
        ("GET", "/health"),
        ("GET", "/catalogue"),
    }


async def test_every_body_has_an_example_that_is_true(document: dict[str, Any]) -> None:
    found = list(contents(document["paths"]))
    assert len(found) > 40
    for path, content in found:
        assert content["examples"], path
        schema = content["schema"] | {"components": document["components"]}
        validator = jsonschema_rs.validator_for(schema)
        for name, example in content["examples"].items():
            validator.validate(example["value"])
            assert example["value"], (path, name)


async def test_every_code_that_a_route_may_answer_has_an_example(document: dict[str, Any]) -> None:
    for path, content in contents(document["paths"]):
        for one_of_these in content["schema"].get("allOf", ())[1:]:
            shown = {example["value"]["code"] for example in content["examples"].values()}
            assert shown == set(one_of_these["properties"]["code"]["enum"]), path


def test_a_schema_of_an_answer_is_none_of_a_requests() -> None:
    assert not components().keys() & CoreAcceptance.from_settings(Settings()).request_schemas().keys()


async def test_the_request_names_the_payloads_fields(document: dict[str, Any]) -> None:
    schema = document["components"]["schemas"]["RunRequest"]
    assert {"model_config", "reflection_model_config", "run_options"} <= schema["properties"].keys()
    assert set(schema["required"]) == {"metric_code", "optimizer_name", "dataset", "model_config"}
    without_program = {"module_name", "signature_code", "column_mapping"}
    assert all("program_code" in schema["properties"][name]["description"] for name in without_program)


async def test_the_example_request_is_accepted(real: Harness) -> None:
    response = await real.client.post("/run", json=examples.REQUEST)
    assert response.status_code == 200, response.text
    assert "warning" not in response.headers
    summary = (await real.client.get(f"/jobs/{response.json()['job_id']}/summary")).json()
    assert summary["dataset_rows"] == len(examples.REQUEST["dataset"])
    assert summary["split_fractions"] == examples.REQUEST["split_fractions"]


async def test_health_names_the_assets(real: Harness) -> None:
    assets = (await real.client.get("/health")).json()["registered_assets"]
    assert {"cot", "predict"} <= set(assets["modules"])
    assert {"gepa", "miprov2"} <= set(assets["optimizers"])


async def test_the_catalogue_says_what_a_job_may_name(real: Harness) -> None:
    found = (await real.client.get("/catalogue")).json()
    modules = {each["path"]: each for each in found["modules"]}
    optimizers = {each["path"]: each for each in found["optimizers"]}
    gepa = {each["name"]: each for each in optimizers["dspy.GEPA"]["arguments"]}

    assert modules["dspy.ChainOfThought"]["aliases"] == ["cot"]
    assert (modules["dspy.ReAct"]["predictors"], modules["dspy.ReAct"]["refused"]) == (2, None)
    assert modules["dspy.Refine"]["refused"] == "it takes no signature"
    assert optimizers["dspy.GEPA"]["aliases"] == ["gepa"]
    assert gepa["metric"]["set_by_service"] == "from metric_code"
    assert gepa["auto"]["choices"] == ["light", "medium", "heavy"]
    assert (gepa["auto"]["least"], gepa["reflection_minibatch_size"]["least"]) == (None, 1)
    assert gepa["max_metric_calls"]["description"] == "The maximum number of metric calls to perform."
    assert gepa["code_proposer"]["refused"] == "a Python object, which a job cannot hold"
    assert (gepa["instruction_proposer"]["refused"], gepa["instruction_proposer"]["types"]) == (None, ["dict", "null"])
    assert "tunes a model's weights" in optimizers["dspy.BootstrapFinetune"]["refused"]
    assert {each["name"] for each in optimizers["dspy.MIPROv2"]["compile_arguments"]} >= {"num_trials", "trainset"}
    assert (found["python"], found["packages"]["dspy"]) == ("3.12", "3.4.1")


async def test_the_catalogue_names_the_packages_of_where_jobs_run(tmp_path: Path) -> None:
    (tmp_path / "packages.json").write_text('{"python": "3.13.1", "packages": {"acme": "1.0"}}')
    (tmp_path / "registry.yaml").write_text("packages: packages.json\n")
    for settings, python, package in (
        (Settings(registry=tmp_path / "registry.yaml"), "3.13.1", "acme"),
        (Settings(jobs_run_here=True), platform.python_version(), "pytest"),
    ):
        async with api_service(tmp_path / package, CoreAcceptance.from_settings(settings)) as harness:
            found = (await harness.client.get("/catalogue")).json()
        assert (found["python"], package in found["packages"]) == (python, True)
