"""`evaluate`: the given program's score on all rows is the result, and no model is asked for anything else."""

import json
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import Folders, OptimizerForge, make_folders, make_spec
from scripted_lm import TICKETS, ScriptedServer
from waiting import wait_for

EVALUATE = {"name": "evaluate"}
RAISING = """
def metric(gold, pred, trace=None):
    raise OSError("no disk")
"""
SOMETIMES = """
def metric(gold, pred, trace=None):
    if "3" in gold.text:
        raise OSError("no disk")
    return 1
"""


def run(forge: OptimizerForge, tmp_path: Path, url: str, rows: Any = TICKETS, **changes: Any) -> dict[str, Any]:
    return forge.run(folders_of(tmp_path, url, rows, **changes))


def folders_of(tmp_path: Path, url: str, rows: Any = TICKETS, **changes: Any) -> Folders:
    return make_folders(tmp_path / "job", make_spec(url, optimizer=EVALUATE, **changes), rows)


def test_all_rows_are_test_rows_and_nothing_is_optimized(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, tmp_path, server.url)
    assert (result["outcome"], result["reason"]) == ("Succeeded", "Evaluated")
    assert result["splitCounts"] == {"train": 0, "val": 0, "test": len(TICKETS)}
    assert (result["optimizedScore"], result["comparison"], result["verdict"]) == (None, None, "unknown")
    score = f"{result['baselineScore']:.1f} on {len(TICKETS)} rows"
    assert result["message"] == f"Scored {score}: nothing was optimized, so there is nothing to compare."
    assert result["evidence"] == score
    assert (result["details"]["unused_rows"], result["details"]["nothing_tried"]) == (0, None)


def test_each_row_asks_the_model_once(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    """One more call is the preflight's."""
    run(forge, tmp_path, server.url)
    assert server.stats.calls == len(TICKETS) + 1


def test_the_artifact_is_the_given_program_and_its_rows(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = run(forge, tmp_path, server.url)
    kept = tmp_path / "job" / "out" / "artifact"
    assert {path.name for path in kept.iterdir()} >= {"program.json", "program.pkl", "prompt.md", "rows.jsonl"}
    state = json.loads((kept / "program.json").read_text())
    assert (state["demos"], state["signature"]["instructions"]) == ([], "Classify the support ticket.")
    rows = [json.loads(line) for line in (kept / "rows.jsonl").read_text().splitlines()]
    assert [row["n"] for row in rows] == list(range(len(TICKETS)))
    assert {(row["outcome"], row["optimized"]) for row in rows} == {(None, None)}
    mean = sum(row["baseline"]["score"] for row in rows) / len(rows)
    assert 100 * mean == pytest.approx(result["baselineScore"], abs=0.01)
    metadata = json.loads((kept / "metadata.json").read_text())
    assert (metadata["verdict"], metadata["optimized_test_metric"]) == ("unknown", None)


def test_its_progress_is_that_of_its_rows(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    folders = folders_of(tmp_path, server.url)
    forge.run(folders)
    told = folders.progress()
    assert (told["percent"], told["calls"], told["total"]) == (100.0, len(TICKETS), len(TICKETS))
    assert [event["event"] for event in folders.events() if event["event"] != "optimizer_progress"] == [
        "dataset_splits_ready",
        "baseline_evaluated",
    ]
    bars = [event["metrics"] for event in folders.events("optimizer_progress")]
    assert {bar["tqdm_total"] for bar in bars} == {len(TICKETS)}
    assert bars[-1]["tqdm_n"] == len(TICKETS)


def test_one_row_is_enough(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    result = run(forge, tmp_path, server.url, TICKETS[:1])
    assert (result["outcome"], result["splitCounts"]["test"]) == ("Succeeded", 1)


def test_no_share_of_the_split_matters(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    split = {"train": "1", "val": "0", "test": "0", "shuffle": True, "seed": 3}
    assert run(forge, tmp_path, server.url, split=split)["splitCounts"]["test"] == len(TICKETS)


def test_a_metric_that_never_works_fails_it(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    result = run(forge, tmp_path, server.url, metric={"code": RAISING})
    assert (result["outcome"], result["reason"], result["verdict"]) == ("Failed", "MetricFailed", None)
    assert result["message"].startswith("The metric raised OSError: no disk")


def test_rows_on_which_the_metric_fails_are_listed(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    failing = sum("3" in ticket["text"] for ticket in TICKETS)
    result = run(forge, tmp_path, server.url, metric={"code": SOMETIMES}, run={"maxFailedRows": "1"})
    assert result["details"]["failed_rows"]["baseline"]["count"] == failing > 0
    assert result["baselineScore"] == pytest.approx(100 * (1 - failing / len(TICKETS)), abs=0.01)


def test_a_stopped_one_is_cancelled_and_keeps_nothing(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = folders_of(tmp_path, server.url)
    server.fail_from(5, "hang")
    process = forge.start(folders)
    wait_for(lambda: server.stats.failed > 0, what="a call that hangs")
    (folders.inputs / "stop").write_text("KeepBest")
    assert process.wait() == 0
    result = folders.result()
    assert (result["outcome"], result["message"]) == (
        "Cancelled",
        "Stopped before the program was scored: there is nothing to keep.",
    )
    assert not (folders.out / "artifact").exists()
