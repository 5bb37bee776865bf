"""Every optimizer runs for real on the scripted model, by alias and by dotted path, and ends with a whole result."""

from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.storage.pod_files import ARTIFACT_FILES
from optimizer_job import KEY, OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

OPTIMIZERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("dspy.LabeledFewShot", {"k": 3}, {}),
    ("dspy.BootstrapFewShot", {}, {}),
    ("bootstrapfewshot", {"max_bootstrapped_demos": 2}, {}),
    ("dspy.BootstrapRS", {"num_candidate_programs": 2}, {}),
    ("dspy.teleprompt.random_search.BootstrapFewShotWithRandomSearch", {"num_candidate_programs": 2}, {}),
    ("dspy.teleprompt.BootstrapFewShotWithOptuna", {"num_candidate_programs": 2}, {"max_demos": 2}),
    ("miprov2", {"auto": "light"}, {}),
    ("dspy.MIPROv2", {"auto": None, "num_candidates": 3}, {"num_trials": 6, "minibatch_size": 5}),
    ("gepa", {"max_metric_calls": 60}, {}),
    ("dspy.teleprompt.gepa.gepa.GEPA", {"max_full_evals": 2}, {}),
    ("dspy.COPRO", {"breadth": 3, "depth": 2}, {}),
    ("simba", {"bsize": 8, "num_candidates": 2, "max_steps": 2}, {}),
    ("dspy.teleprompt.InferRules", {"num_candidates": 2}, {}),
]
UNUSED_VALIDATION = {"LabeledFewShot", "BootstrapFewShot", "bootstrapfewshot", "COPRO", "simba"}


@pytest.mark.parametrize(("name", "kwargs", "compile_kwargs"), OPTIMIZERS, ids=[name for name, *_ in OPTIMIZERS])
def test_runs_to_a_whole_result(
    name: str,
    kwargs: dict[str, Any],
    compile_kwargs: dict[str, Any],
    forge: OptimizerForge,
    server: ScriptedServer,
    tmp_path: Path,
) -> None:
    optimizer = {"name": name, "kwargs": kwargs, "compileKwargs": compile_kwargs}
    folders = make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer))

    result = forge.run(folders, DSPY_SERVICE_OPTIMIZER_PROGRESS_INTERVAL="0")

    assert (result["outcome"], result["message"]) == ("Succeeded", "Optimization completed successfully.")
    assert result["splitCounts"] == {"train": 20, "val": 10, "test": 10}
    assert 0 <= result["baselineScore"] <= result["optimizedScore"] <= 100
    assert result["details"]["unused_rows"] == (10 if name.split(".")[-1] in UNUSED_VALIDATION else 0)
    assert result["metadata"]["optimizer_kwargs"] == kwargs
    assert {path.name for path in (folders.out / "artifact").iterdir()} == {*ARTIFACT_FILES}
    _check_usage(result["usage"], server)
    _check_progress(folders.events("optimizer_progress"), folders.progress())
    assert [e["event"] for e in folders.events() if e["event"] != "optimizer_progress"] == [
        "dataset_splits_ready",
        "baseline_evaluated",
        "optimized_evaluated",
    ]
    assert not any(KEY.encode() in path.read_bytes() for path in folders.out.rglob("*") if path.is_file())


def _check_usage(usage: dict[str, Any], server: ScriptedServer) -> None:
    """Exact, whatever thread asked."""
    stats = server.stats
    assert usage["calls"] == stats.calls
    assert (usage["promptTokens"], usage["completionTokens"]) == (stats.prompt_tokens, stats.completion_tokens)


def _check_progress(events: list[dict[str, Any]], progress: dict[str, Any]) -> None:
    figures = [event["metrics"] for event in events]
    assert set(figures[-1]) == {
        "tqdm_total",
        "tqdm_n",
        "tqdm_elapsed",
        "tqdm_rate",
        "tqdm_remaining",
        "tqdm_percent",
        "tqdm_desc",
        "best_score",
    }
    assert [f["tqdm_n"] for f in figures] == sorted(f["tqdm_n"] for f in figures)
    assert all(f["tqdm_n"] <= f["tqdm_total"] for f in figures), "a total was too small"
    assert figures[-1]["tqdm_percent"] == 100.0
    assert (progress["stage"], progress["percent"]) == ("Finishing", 100.0)
