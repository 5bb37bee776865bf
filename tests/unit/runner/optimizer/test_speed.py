"""How many calls at once, and slow calls asked again, in whole runs beside the scripted server."""

from pathlib import Path
from typing import Any

import pytest

from optimizer_job import OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

ROWS = [{"text": f"row {number}: pay", "label": "billing"} for number in range(120)]
METRIC = {"code": "def metric(gold, pred, trace=None):\n    return bool(pred.label)"}
SPLIT = {"train": "0.2", "val": "0.2", "test": "0.6", "shuffle": True, "seed": 7}
BOOTSTRAP_RS = {"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 2}}


def spec(server: ScriptedServer, run: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return make_spec(server.url, optimizer=BOOTSTRAP_RS, metric=METRIC, split=SPLIT, run=run) | changes


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_what_the_model_takes_is_found(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency = 0.05
    model = {"name": "openai/scripted", "baseUrl": server.url, "extra": {"engine": engine}}
    result = forge.run(make_folders(tmp_path / "job", spec(server, {}, models={"default": model}), ROWS))
    assert result["outcome"] == "Succeeded"
    assert server.stats.max_in_flight > 8, "DSPy's default of threads"
    assert 8 <= result["details"]["threads"] <= 64, "8 where this machine is too busy for more to bring more"


@pytest.mark.parametrize("threads", [1, 3])
def test_no_more_than_is_asked_for(threads: int, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    server.latency = 0.01
    result = forge.run(make_folders(tmp_path / "job", spec(server, {"threads": threads}), ROWS))
    assert (result["outcome"], result["details"]["threads"]) == ("Succeeded", threads)
    assert server.stats.max_in_flight == threads


def test_an_optimizer_s_own_number_holds_for_scores_too(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency = 0.01
    optimizer = BOOTSTRAP_RS | {"kwargs": {"num_candidate_programs": 1, "num_threads": 2}}
    result = forge.run(make_folders(tmp_path / "job", spec(server, {}, optimizer=optimizer), ROWS))
    assert result["outcome"] == "Succeeded"
    assert server.stats.max_in_flight == 2


def test_a_server_of_few_places_loses_no_row_and_is_left_in_peace(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.places, server.latency, server.retry_after = 6, 0.1, "0.1"
    result = forge.run(make_folders(tmp_path / "job", spec(server, {}), ROWS))
    assert (result["outcome"], result["details"]["model_errors"]) == ("Succeeded", 0)
    assert (result["baselineScore"], result["optimizedScore"]) == (100.0, 100.0)
    assert result["details"]["threads"] <= 7
    assert 0 < server.stats.failed < 0.2 * server.stats.calls


@pytest.mark.parametrize("engine", ["auto", "litellm"])
def test_slow_calls_are_asked_again_and_all_are_counted(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency = 0.02
    server.slow_every(25, 2.0)
    model = {"name": "openai/scripted", "baseUrl": server.url, "extra": {"engine": engine}}
    folders = make_folders(tmp_path / "job", spec(server, {"hedge": True}, models={"default": model}), ROWS)

    result = forge.run(folders)

    total = result["details"]["usage"]["total"]
    assert (result["outcome"], result["details"]["model_errors"]) == ("Succeeded", 0)
    assert (result["baselineScore"], result["optimizedScore"]) == (100.0, 100.0)
    assert (total["calls"], result["details"]["usage"].get("calls_unknown", 0)) == (server.stats.calls, 0)
    assert (total["prompt_tokens"], total["completion_tokens"]) == (
        server.stats.prompt_tokens,
        server.stats.completion_tokens,
    )
    said = [message for message in folders.messages("dspy_service.models") if "made twice" in message]
    assert len(said) == 1


def test_none_is_asked_again_unless_that_is_wanted(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.latency = 0.02
    server.slow_every(40, 0.5)
    folders = make_folders(tmp_path / "job", spec(server, {}), ROWS)
    result = forge.run(folders)
    assert result["outcome"] == "Succeeded"
    once = server.stats.calls
    server.reset()
    server.latency = 0.02
    forge.run(make_folders(tmp_path / "again", spec(server, {}), ROWS))
    assert server.stats.calls == once


@pytest.mark.parametrize(
    "retry_after", ["-1", "nan", "inf", "1e308", "tomorrow", "9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"]
)
def test_an_absurd_retry_after_is_waited_for_no_longer_than_a_setting(
    retry_after: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.retry_after = retry_after
    server.fail_every(10, "429")
    result = forge.run(
        make_folders(tmp_path / "job", make_spec(server.url, run={})), DSPY_SERVICE_OPTIMIZER_LONGEST_WAIT="0.05"
    )
    assert (result["outcome"], result["details"]["model_errors"]) == ("Succeeded", 0)
    assert server.stats.failed > 0


def test_a_server_error_that_asks_for_time_is_given_some(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """DSPy waits for it by itself; fewer calls are made meanwhile, and not one row is lost."""
    server.latency, server.retry_after = 0.01, "0.02"
    server.fail_every(30, "503")
    result = forge.run(make_folders(tmp_path / "job", spec(server, {}), ROWS))
    assert (result["outcome"], result["details"]["model_errors"]) == ("Succeeded", 0)
    assert result["details"]["threads"] < 64
