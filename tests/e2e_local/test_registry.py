"""What an operator of the service registers, from `up`'s environment to the program that a job ends with."""

from pathlib import Path

import pytest

from payloads import payload
from scripted_lm import ScriptedServer
from whole_jobs import ended, submit
from whole_service import service

pytestmark = pytest.mark.e2e

REGISTRY = """
modules:
  stepwise: {path: dspy.ChainOfThought}
optimizers:
  two-labels: {path: dspy.LabeledFewShot, kwargs: {k: 2}}
"""


def test_an_alias_of_the_operator_s_runs_with_its_defaults_and_a_job_s_own(
    model: ScriptedServer, tmp_path: Path
) -> None:
    registry = tmp_path / "registry.yaml"
    registry.write_text(REGISTRY)
    ours = {"module_name": "stepwise", "optimizer_name": "two-labels"}
    with service(env={"DSPY_SERVICE_REGISTRY": str(registry)}) as running:
        assert "two-labels" in running.http.get("/health").json()["registered_assets"]["optimizers"]
        bodies = [payload(12, model.url, **ours, optimizer_kwargs=kwargs) for kwargs in ({}, {"k": 3})]
        answers = [ended(running.http, job_id) for job_id in [submit(running.http, body) for body in bodies]]

    assert [answer["status"] for answer in answers] == ["success", "success"], [answer["message"] for answer in answers]
    results = [answer["result"] for answer in answers]
    states = [result["program_artifact"]["program_state"] for result in results]
    assert [len(state["predict"]["demos"]) for state in states] == [2, 3]
    assert results[0]["optimizer_name"] == "two-labels"
