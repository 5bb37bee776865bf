"""The verdict of whole runs: it stands in the result beside its evidence, and agrees with both scores."""

from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, ScriptedServer

SPLIT = {"train": "0.3", "val": "0.2", "test": "0.5", "shuffle": True, "seed": 7}
MANY = TICKETS * 3
RAISING = """
def metric(gold, pred, trace=None):
    raise OSError
"""
UNBOUNDED = """
def metric(gold, pred, trace=None):
    return 7.5 if gold.label == pred.label else -2
"""


def run(forge: OptimizerForge, tmp_path: Path, url: str, rows: Any = MANY, **changes: Any) -> dict[str, Any]:
    spec = make_spec(url, split=SPLIT, optimizer={"name": "dspy.LabeledFewShot", "kwargs": {"k": 8}}, **changes)
    return forge.run(make_folders(tmp_path / "job", spec, rows))


def test_a_program_that_gains_many_rows_is_improved(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, tmp_path, server.url)
    found = result["comparison"]
    assert found["rows"] == result["splitCounts"]["test"] == found["won"] + found["lost"] + found["tied"]
    assert found["difference"] == pytest.approx(result["optimizedScore"] - result["baselineScore"], abs=0.02)
    low, high = found["interval"]
    assert (result["verdict"], low > 0) == ("improved", True), found
    assert result["evidence"] == f"{found['difference']:+.1f} ({low:.1f} to {high:.1f})"
    assert found["failedRows"] == 0


def test_few_rows_are_no_evidence(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    result = run(forge, tmp_path, server.url, TICKETS[:8])
    assert result["comparison"]["rows"] == 5
    assert result["verdict"] == "no_evidence"
    assert result["comparison"]["interval"][0] <= 0 <= result["comparison"]["interval"][1]


def test_one_test_row_is_unknown(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    split = SPLIT | {"train": "0.6", "val": "0.3", "test": "0.1"}
    spec = make_spec(server.url, split=split, optimizer={"name": "dspy.LabeledFewShot", "kwargs": {"k": 2}})
    result = forge.run(make_folders(tmp_path / "job", spec, TICKETS[:10]))
    assert (result["outcome"], result["verdict"]) == ("Succeeded", "unknown")
    assert (result["comparison"]["rows"], result["comparison"]["interval"]) == (1, None)


def test_scores_without_bounds_have_no_interval(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    result = run(forge, tmp_path, server.url, metric={"code": UNBOUNDED})
    assert (result["verdict"], result["comparison"]["interval"]) == ("improved", None)
    assert (result["comparison"]["method"], "(no interval)" in result["evidence"]) == ("sign_test", True)


def test_a_required_improvement_that_came_is_a_success(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, tmp_path, server.url, run={"require": "improved"})
    assert (result["outcome"], result["verdict"]) == ("Succeeded", "improved")


def test_a_required_improvement_that_did_not_come_fails_and_keeps_all_that_was_found(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, tmp_path, server.url, TICKETS[:8], run={"require": "improved"})
    assert (result["outcome"], result["reason"], result["verdict"]) == ("Failed", "NoImprovement", "no_evidence")
    assert result["message"].startswith("No evidence of a difference: ")
    assert result["message"].endswith("The job requires the verdict 'improved'.")
    assert result["comparison"]["rows"] == 5
    assert None not in (result["baselineScore"], result["optimizedScore"])
    kept = {path.name for path in (tmp_path / "job" / "out" / "artifact").iterdir()}
    assert kept >= {"program.json", "program.pkl", "rows.jsonl"}


def test_a_run_that_fails_before_its_last_score_has_no_verdict(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, tmp_path, server.url, metric={"code": RAISING})
    assert (result["outcome"], result["verdict"], result["comparison"]) == ("Failed", None, None)
