"""Models that refuse calls for now: what patience cures costs no row its score, and all waiting has an end and is said.

Retry-After is 10 ms here, and the optimizer's settings are small: what is tried is who waits, not for how long.
"""

from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer
from waiting import wait_for

ROWS = [{"text": f"row {number}: pay", "label": "billing"} for number in range(400)]
JUDGED = """
import dspy
lm = dspy.LM("openai/judge", api_base={url!r}, api_key="k")
judge = dspy.Predict("text -> label")
def metric(gold, pred, trace=None):
    with dspy.context(lm=lm):
        judge(text=gold.text)
    return 1.0
"""
OPTIMIZERS: list[dict[str, Any]] = [
    {"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 2}},
    {"name": "miprov2", "kwargs": {"auto": "light"}},
    {"name": "copro", "kwargs": {"breadth": 4, "depth": 1}},
    {"name": "gepa", "kwargs": {"max_metric_calls": 40}},
    {"name": "simba", "kwargs": {"bsize": 8, "max_steps": 1, "num_candidates": 2}},
    {"name": "inferrules", "kwargs": {"num_candidates": 2}},
]


@pytest.mark.parametrize("optimizer", OPTIMIZERS, ids=lambda optimizer: str(optimizer["name"]))
def test_every_second_call_refused_costs_nothing(
    optimizer: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """COPRO asks for several answers by one call, of which each may be refused."""
    server.fail_every(2, "429")

    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url, optimizer=optimizer)))

    assert (result["outcome"], result["details"]["model_errors"]) == ("Succeeded", 0)
    assert server.stats.failed > 0


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_more_threads_than_the_model_has_places_lose_no_row(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.places, server.latency = 5, 0.01
    spec = make_spec(
        server.url,
        optimizer={"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 1, "num_threads": 64}},
        metric={"code": "def metric(gold, pred, trace=None):\n    return bool(pred.label)"},
        split={"train": "0.1", "val": "0.1", "test": "0.8", "shuffle": True, "seed": 7},
    )
    spec["models"] = {"default": {"name": "openai/scripted", "baseUrl": server.url, "extra": {"engine": engine}}}

    result = forge.run(make_folders(tmp_path / "job", spec, ROWS))

    assert (result["outcome"], result["details"]["model_errors"]) == ("Succeeded", 0)
    assert (result["baselineScore"], result["optimizedScore"]) == (100.0, 100.0)
    assert server.stats.failed > 0, "it was tried"


def test_a_judge_with_a_model_of_its_own_is_waited_for_too(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    with ScriptedServer() as judge:
        judge.fail_every(2, "429")
        spec = make_spec(server.url, metric={"code": JUDGED.format(url=judge.url)})
        result = forge.run(make_folders(tmp_path / "job", spec))
    assert (result["outcome"], result["details"]["metric_errors"]) == ("Succeeded", 0)
    assert result["optimizedScore"] == 100.0


def test_what_is_waited_for_is_said_while_it_is_waited_for(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.fault, server.retry_after = "429", "86400"
    folders = make_folders(tmp_path / "job", make_spec(server.url))
    process = forge.start(folders, DSPY_SERVICE_OPTIMIZER_LONGEST_WAIT="1.5")

    wait_for(lambda: (folders.out / "progress.json").exists() and folders.progress()["notice"], what="a notice")
    notice = folders.progress()["notice"]
    server.fault = ""
    assert process.wait() == 0

    assert "default model openai/scripted, which is rate limited" in notice
    assert "asks to wait 86400 s. It is asked again in 1.5 s" in notice
    assert folders.progress()["notice"] == ""
    assert folders.result()["outcome"] == "Succeeded"
    assert notice in folders.messages("dspy_service.models")


@pytest.mark.parametrize("retry_after", ["0.05", "86400", "0"])
@pytest.mark.parametrize("call", [1, 15, 40])
def test_a_model_that_stays_limited_ends_the_run(
    call: int, retry_after: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.retry_after = retry_after
    server.fail_from(call, "429")
    spec = make_spec(server.url, optimizer={"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 2}})

    result = forge.run(
        make_folders(tmp_path / "job", spec),
        DSPY_SERVICE_OPTIMIZER_PREFLIGHT_PATIENCE="0.5",
        DSPY_SERVICE_OPTIMIZER_RATE_LIMIT_PATIENCE="0.5",
    )

    assert (result["outcome"], result["reason"]) == ("Failed", "ModelRateLimited")
    first, *others = result["message"].splitlines()
    assert "The default model openai/scripted" in first
    assert "injected 429" in first
    assert "It answered nobody for 0.5 s" in others[-1]


def test_a_stop_is_heeded_while_it_waits(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    server.fault, server.retry_after = "429", "86400"
    folders = make_folders(tmp_path / "job", make_spec(server.url))
    process = forge.start(folders)
    wait_for(lambda: (folders.out / "progress.json").exists() and folders.progress()["notice"], what="a notice")

    (folders.inputs / "stop").touch()

    assert process.wait() == 0
    assert folders.result()["outcome"] == "Cancelled"
