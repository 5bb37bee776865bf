"""An optimizer that scored nothing but the program as given says so, and why; one that tried something never does."""

from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import Refusal, ScriptedServer

RIGHT = "def metric(gold, pred, trace=None): return 1.0"
WRONG = "def metric(gold, pred, trace=None): return 0.0"
PROPOSALS = ("proposed_instruction", "new_instruction", "module_advice", "natural_language_rules")


def unable(system: str) -> bool:
    return any(f"`{name}`" in system for name in PROPOSALS)


def no_proposals(status: int, **error: Any) -> Refusal:
    return lambda messages: (status, error) if unable(messages[0]["content"]) else None


REFUSED = no_proposals(400, message="prompt is too long: 9 > 8")
SIMBA = {"bsize": 8, "num_candidates": 2, "max_steps": 2}
NOTHING: dict[str, tuple[str, dict[str, Any], str, Refusal | None, str]] = {
    "gepa, all of it perfect": ("gepa", {"max_metric_calls": 30}, RIGHT, None, "GEPA scored no other program"),
    "gepa, perfect batches": ("gepa", {"max_metric_calls": 30}, RIGHT, None, "scored perfectly"),
    "gepa, no reflection": ("gepa", {"max_metric_calls": 30}, WRONG, REFUSED, "prompt is too long"),
    "simba, no advice": ("simba", SIMBA | {"max_demos": 0}, WRONG, None, "SIMBA scored no other program"),
    "bootstrap, no demo": (
        "dspy.BootstrapFewShot",
        {"max_labeled_demos": 0},
        WRONG,
        None,
        "BootstrapFewShot found no demos for the program",
    ),
    "search, no demo": (
        "dspy.BootstrapRS",
        {"max_labeled_demos": 0, "num_candidate_programs": 2},
        WRONG,
        None,
        "scored no other program",
    ),
}


@pytest.mark.parametrize(("name", "kwargs", "metric", "refusal", "said"), NOTHING.values(), ids=NOTHING)
def test_nothing_tried(
    name: str,
    kwargs: dict[str, Any],
    metric: str,
    refusal: Refusal | None,
    said: str,
    forge: OptimizerForge,
    server: ScriptedServer,
    tmp_path: Path,
) -> None:
    server.refusal = refusal
    spec = make_spec(server.url, optimizer={"name": name, "kwargs": kwargs}, metric={"code": metric})
    folders = make_folders(tmp_path / "job", spec)

    result = forge.run(folders)

    assert (result["outcome"], result["reason"]) == ("Succeeded", "NothingTried"), result["message"]
    assert result["message"] == "Optimization completed successfully."
    assert said in result["nothingTried"]
    assert result["details"]["nothing_tried"] == result["nothingTried"]
    assert [event["metrics"] for event in folders.events("nothing_tried")] == [
        {"nothing_tried": result["nothingTried"]}
    ]
    assert any("Nothing was tried" in message for message in folders.messages("dspy_service"))


TRIED: dict[str, tuple[str, dict[str, Any], str]] = {
    "labelled": ("dspy.LabeledFewShot", {"k": 1}, WRONG),
    "bootstrap with labelled demos": ("dspy.BootstrapFewShot", {}, WRONG),
    "search with labelled demos": ("dspy.BootstrapRS", {"num_candidate_programs": 1}, WRONG),
    "gepa whose proposals are all rejected": ("gepa", {"max_metric_calls": 30}, WRONG),
    "copro": ("dspy.COPRO", {"breadth": 3, "depth": 1}, WRONG),
    "mipro": ("miprov2", {"auto": "light"}, WRONG),
}


@pytest.mark.parametrize(("name", "kwargs", "metric"), TRIED.values(), ids=TRIED)
def test_something_tried(
    name: str, kwargs: dict[str, Any], metric: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """Were it in vain: no candidate is better than the program as given."""
    spec = make_spec(server.url, optimizer={"name": name, "kwargs": kwargs}, metric={"code": metric})
    folders = make_folders(tmp_path / "job", spec)

    result = forge.run(folders)

    assert result["outcome"] == "Succeeded"
    assert (result["nothingTried"], result["details"]["nothing_tried"]) == ("", None)
    assert folders.events("nothing_tried") == []
