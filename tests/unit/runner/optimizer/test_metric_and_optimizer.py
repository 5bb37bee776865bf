"""What metrics and optimizers get from each other through the service."""

import json
from pathlib import Path

import pytest

from dspy_service_core.registry.catalogue import bundled
from dspy_service_core.registry.registry import build
from dspy_service_core.registry.registry_file import RegistryFile
from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

WITH_FEEDBACK = """
def metric(gold, pred):
    right = gold.label == pred.label
    return {"score": right, "feedback": "well done" if right else f"it should have been {gold.label}, alas"}
"""
AS_PREDICTION = """
def metric(gold, pred, trace=None):
    return dspy.Prediction(score=float(gold.label == pred.label))
"""
ON_REAL_PREDICTIONS_ONLY = """
def metric(gold, pred):
    return gold.label == pred.completions.label[0]
"""


def test_gepa_reflects_on_the_metric_s_feedback(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    server.keep_requests = True
    optimizer = {"name": "gepa", "kwargs": {"max_metric_calls": 60}}
    spec = make_spec(server.url, optimizer=optimizer, metric={"code": WITH_FEEDBACK})
    assert forge.run(make_folders(tmp_path / "job", spec))["outcome"] == "Succeeded"
    proposals = [json.dumps(entry["request"]) for entry in server.requests if entry["kind"] == "propose"]
    assert any("it should have been" in proposal for proposal in proposals)


def test_a_prediction_with_score_zero_is_no_demo(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    """`bool(Prediction(score=0.0))` is true: bootstrapping would keep wrong answers."""
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": AS_PREDICTION}))
    assert forge.run(folders)["outcome"] == "Succeeded"
    state = json.loads((folders.out / "artifact" / "program.json").read_text())
    rows = [json.loads(line) for line in (folders.inputs / "rows.jsonl").read_text().splitlines()]
    labels = {row["text"]: row["label"] for row in rows}
    found = [demo for demo in state["demos"] if demo.get("augmented")]
    assert found
    assert all(labels[demo["text"]] == demo["label"] for demo in found)


def test_a_metric_that_needs_a_real_prediction_passes_the_preflight(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url, metric={"code": ON_REAL_PREDICTIONS_ONLY}))
    assert forge.run(folders)["outcome"] == "Succeeded"


def test_a_metric_imports_what_the_signature_defines(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """The Python client relies on the name: a class that both define is two classes."""
    judged = "def judged(gold, pred):\n    return 'label' in Ticket.output_fields\n"
    metric = f"from user_signature import Ticket\n{judged}\nmetric = judged"
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, metric={"code": metric})))
    assert (result["outcome"], result["baselineScore"]) == ("Succeeded", 100)


def test_a_score_is_on_dspy_s_scale(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    metric = "def metric(gold, pred):\n    return int(gold.text.split()[1].rstrip(':')) % 4 != 0"
    split = {"train": "0.5", "val": "0.4", "test": "0.1", "shuffle": False}
    spec = make_spec(server.url, metric={"code": metric}, split=split, optimizer={"name": "dspy.LabeledFewShot"})
    assert forge.run(make_folders(tmp_path / "job", spec))["baselineScore"] == 75.0


@pytest.mark.parametrize("module", ["predict", "cot"])
def test_rules_are_written_into_one_candidate_alone(
    module: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    optimizer = {"name": "inferrules", "kwargs": {"num_candidates": 3}}
    spec = make_spec(server.url, module={"name": module}, optimizer=optimizer)
    folders = make_folders(tmp_path / "job", spec)
    result = forge.run(folders)
    assert result["optimizedScore"] > result["baselineScore"]
    state = json.loads((folders.out / "artifact" / "program.json").read_text())
    signature = state["signature"] if module == "predict" else state["predict"]["signature"]
    assert signature["instructions"].count("Please adhere to the following rules") == 1


def test_an_operator_s_own_optimizer_runs(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    optimizer = {"name": "own_optimizer.FirstDemos", "kwargs": {"most": 3}}
    folders = make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer))
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded", result["message"]
    assert len(result["details"]["candidate_scores"]) == 3
    assert folders.events("optimizer_progress")[-1]["metrics"]["tqdm_n"] == 30


def test_what_the_operator_registered_runs_with_its_defaults(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    file = RegistryFile.model_validate(
        {"optimizers": {"demos": {"path": "own_optimizer.FirstDemos", "kwargs": {"most": 1}}}}
    )
    spec = make_spec(server.url, optimizer={"name": "demos"})
    result = forge.run(make_folders(tmp_path / "job", spec, known=build(file, bundled())))
    assert (result["outcome"], len(result["details"]["candidate_scores"])) == ("Succeeded", 1)


@pytest.mark.parametrize(
    ("name", "said"), [("Forgetful", "returned no program"), ("Broken", "RuntimeError: out of ideas")]
)
def test_an_optimizer_that_fails_says_so(
    name: str, said: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = make_folders(tmp_path / "job", make_spec(server.url, optimizer={"name": f"own_optimizer.{name}"}))
    result = forge.run(folders)
    assert (result["outcome"], result["reason"]) == ("Failed", "OptimizerFailed")
    assert said in result["message"].splitlines()[0]
