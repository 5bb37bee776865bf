"""The estimate of a job beside what its whole run calls: every optimizer, and programs with several predictors."""

from pathlib import Path
from typing import Any

import pytest

from checked_jobs import check_resource
from dspy_service_core.checks.job_checks import Contents
from dspy_service_core.checks.job_estimate import estimate_of
from dspy_service_core.estimate.estimate import Estimate
from dspy_service_core.resource.job import OptimizationJobSpec
from every_optimizer import OPTIMIZERS, models_beside
from optimizer_job import METRIC, OptimizerForge, make_folders, make_spec, program_spec
from scripted_lm import TICKETS, ScriptedServer

pytestmark = pytest.mark.timeout(180)

TWO_STEPS = """
class TwoSteps(dspy.Module):
    def __init__(self):
        super().__init__()
        self.topic = dspy.Predict("text -> topic")
        self.label = dspy.ChainOfThought("text -> label")

    def forward(self, text):
        self.topic(text=text)
        return self.label(text=text)
"""


def estimated(spec: dict[str, Any]) -> Estimate:
    parsed = OptimizationJobSpec.model_validate(spec | {"dataset": {"rows": TICKETS}})
    checked = check_resource(parsed, Contents(rows=TICKETS))
    assert checked.split_counts is not None
    return estimate_of(parsed, checked, checked.split_counts, METRIC)


def held(spec: dict[str, Any], forge: OptimizerForge, folder: Path) -> None:
    said, folders = estimated(spec), make_folders(folder, spec)
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]
    metric, model = folders.progress()["calls"], result["usage"]["calls"] + result["usage"]["cachedCalls"]
    assert metric in said.metric, (metric, said)
    assert model in said.model, (model, said)


@pytest.mark.parametrize("name", [*OPTIMIZERS, "evaluate"])
def test_a_job_calls_what_was_said(name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    further = models_beside(server.url) if name == "KNNFewShot" else {}
    optimizer = OPTIMIZERS.get(name, {"name": "evaluate"})
    held(make_spec(server.url, optimizer=optimizer, modelConfigs=further), forge, tmp_path / "job")


@pytest.mark.parametrize("name", ["BootstrapRS", "MIPROv2", "GEPA", "COPRO", "SIMBA"])
def test_a_program_of_two_predictors_calls_what_was_said(
    name: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    spec = program_spec(server.url, {"program": {"code": TWO_STEPS}}, optimizer=OPTIMIZERS[name])
    assert estimated(spec).predictors == 2
    held(spec, forge, tmp_path / "job")


def test_the_ranges_say_something() -> None:
    """None of them is so wide that it would hold for whatever happens."""
    for name, optimizer in OPTIMIZERS.items():
        spec = make_spec(optimizer=optimizer, modelConfigs=models_beside("http://127.0.0.1:1/v1"))
        said = estimated(spec)
        assert said.metric.most is not None, name
        assert said.model.most is not None, name
        assert said.metric.most <= 10 * said.metric.least, name
