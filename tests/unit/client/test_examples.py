"""The examples are documents that people copy: they must agree with each other and with what the service takes."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from dspy_service import read_rows
from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.resource import names
from dspy_service_core.resource.job import MAX_SPEC_BYTES, OptimizationJobSpec

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"


@pytest.fixture
def resource() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((EXAMPLES / "job.yaml").read_text())
    return loaded


def test_the_payload_is_one() -> None:
    request = parse_run_request((EXAMPLES / "payload.json").read_bytes())
    assert request.optimizer_name == "miprov2"


def test_payload_and_files_are_the_same_job() -> None:
    document = json.loads((EXAMPLES / "payload.json").read_text())
    assert document["signature_code"] == (EXAMPLES / "signature.py").read_text()
    assert document["metric_code"] == (EXAMPLES / "metric.py").read_text()
    assert document["dataset"] == read_rows(EXAMPLES / "tickets.jsonl")


def test_the_resource_is_the_same_task(resource: dict[str, Any]) -> None:
    assert (resource["apiVersion"], resource["kind"]) == (names.API_VERSION, names.KIND)
    spec = OptimizationJobSpec.model_validate(resource["spec"])
    assert spec.signature.code == (EXAMPLES / "signature.py").read_text()
    assert spec.metric.code == (EXAMPLES / "metric.py").read_text()
    assert spec.dataset.rows == read_rows(EXAMPLES / "tickets.jsonl")
    assert len(json.dumps(resource["spec"])) < MAX_SPEC_BYTES


def test_the_resource_fits_the_crd(resource: dict[str, Any]) -> None:
    crd = yaml.safe_load((ROOT / "crds" / "optimizationjobs.yaml").read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    jsonschema_rs.validate(schema, resource["spec"])


def test_a_file_may_be_named_by_a_string(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\n')
    assert read_rows(str(tmp_path / "rows.jsonl")) == [{"a": 1}]
