"""What a run says of its model calls is what the model servers counted, to the token: for every optimizer, with a judge
on a server of its own, on both engines, through a kill, and where a server tells odd things of its usage."""

import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from every_optimizer import OPTIMIZERS, models_beside
from optimizer_job import Folders, OptimizerForge, make_folders, make_spec, next_attempt, program_spec
from scripted_lm import ScriptedServer, Stats
from waiting import wait_for

ENGINES = ("auto", "litellm")
COUNTED = ("calls", "prompt_tokens", "completion_tokens", "cached_prompt_tokens", "reasoning_tokens")
JUDGED = """
judge = dspy.Predict("question, answer -> verdict")
def metric(gold, pred, trace=None):
    with dspy.context(lm=models["judge"]):
        judge(question=gold.text, answer=pred.label)
    return gold.label == pred.label
"""
Counts = Mapping[str, Any]


@pytest.fixture
def judging() -> Iterator[ScriptedServer]:
    with ScriptedServer() as running:
        yield running


def counted(stats: Stats) -> Counts:
    return {name: getattr(stats, name) for name in COUNTED}


def summed(usages: Iterable[Counts]) -> Counts:
    found = list(usages)
    return {name: sum(usage[name] for usage in found) for name in COUNTED}


def with_models(server: ScriptedServer, engine: str, **changes: Any) -> dict[str, Any]:
    model = {"name": "openai/scripted", "baseUrl": server.url, "extra": {"engine": engine}}
    return make_spec(server.url, models={"default": model, "reflection": model}, **changes)


def judged(server: ScriptedServer, judging: ScriptedServer, engine: str, optimizer: Any) -> dict[str, Any]:
    judge = {"name": "openai/scripted", "baseUrl": judging.url, "extra": {"engine": engine}}
    further = {"judge": judge, **models_beside(server.url)}
    return with_models(server, engine, optimizer=optimizer, modelConfigs=further, metric={"code": JUDGED})


def check_sums(usage: Mapping[str, Any]) -> None:
    assert summed(usage["by_model"].values()) == {name: usage["total"][name] for name in COUNTED}
    assert summed(usage["by_stage"].values()) == {name: usage["total"][name] for name in COUNTED}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_what_the_servers_counted(
    name: str,
    engine: str,
    forge: OptimizerForge,
    server: ScriptedServer,
    judging: ScriptedServer,
    tmp_path: Path,
) -> None:
    server.tells_details = judging.tells_details = True
    folders = make_folders(tmp_path / "job", judged(server, judging, engine, OPTIMIZERS[name]))

    result = forge.run(folders)

    assert result["outcome"] == "Succeeded", result["message"]
    usage = result["details"]["usage"]
    by_model = usage["by_model"]
    judge = by_model.pop("judge")
    assert {name: judge[name] for name in COUNTED} == counted(judging.stats)
    assert summed(by_model.values()) == counted(server.stats)
    by_model["judge"] = judge
    check_sums(usage)
    assert usage["calls_unknown"] == result["usage"]["callsUnknown"] == 0
    assert result["usage"]["calls"] == usage["total"]["calls"]
    assert usage["total"]["seconds"] > 0
    assert {"preflight", "baseline", "optimize", "final"} >= set(usage["by_stage"]) > {"preflight"}
    assert usage["by_stage"]["baseline"]["calls"] + usage["by_stage"]["baseline"]["cached_calls"] == 20
    own = usage["by_predictor"]["self"]["calls"]
    if name != "KNNFewShot":  # its program bootstraps as it runs, by the same predictor
        assert own == server.stats.by_kind["task"], "what is left is the optimizer's"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["BootstrapRS", "GEPA", "COPRO"])
def test_it_is_through_a_kill_but_for_the_calls_in_flight(
    name: str, engine: str, forge: OptimizerForge, server: ScriptedServer, judging: ScriptedServer, tmp_path: Path
) -> None:
    server.tells_details = True
    folders = make_folders(tmp_path / "first", judged(server, judging, engine, OPTIMIZERS[name]))
    server.hold_from(30)
    process = forge.start(folders)
    wait_for(lambda: server.stats.in_flight > 0 and is_quiet(folders), what="a moment in which all calls are held")
    process.send(signal.SIGKILL)
    process.wait()
    seen, in_flight = counted(server.stats), server.stats.in_flight
    server.release()
    wait_for(lambda: server.stats.in_flight == 0, what="the killed run's calls to end")
    unseen = counted(server.stats)

    result = forge.run(next_attempt(folders, tmp_path / "second"))

    assert result["outcome"] == "Succeeded", result["message"]
    usage = result["details"]["usage"]
    assert usage["calls_unknown"] == in_flight
    expected = {name: count - unseen[name] + seen[name] for name, count in counted(server.stats).items()}
    told = [its for model, its in usage["by_model"].items() if model != "judge"]
    assert summed(told) == expected
    assert usage["by_model"]["judge"]["calls"] == judging.stats.calls
    check_sums(usage)


def is_quiet(folders: Folders) -> bool:
    """Whether nothing was written to the journal for a while: each call's begin and end are there at once."""
    path = folders.out / "calls.jsonl"
    size = path.stat().st_size
    try:
        wait_for(lambda: path.stat().st_size != size, timeout=0.5, what="more calls")
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("engine", ENGINES)
def test_failed_calls_that_are_made_again_count_once(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.retry_after = "0"
    server.fail_every(4, "503")
    result = forge.run(make_folders(tmp_path / "job", with_models(server, engine)))

    assert result["outcome"] == "Succeeded", result["message"]
    assert server.stats.failed > 5
    assert {name: result["details"]["usage"]["total"][name] for name in COUNTED} == counted(server.stats)
    assert result["usage"]["callsUnknown"] == 0


COMPLETIONS = """
class Votes(dspy.Module):
    def __init__(self):
        super().__init__()
        self.first = dspy.Predict("text -> label", n=3)
        self.second = dspy.ChainOfThought("text, hint -> label")

    def forward(self, text):
        options = self.first(text=text)
        return self.second(text=text, hint=options.completions.label[0])
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_several_completions_and_predictors(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    model = {"name": "openai/scripted", "baseUrl": server.url, "extra": {"engine": engine}}
    sent = {"program": {"code": COMPLETIONS}, "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}}}
    spec = program_spec(server.url, sent, models={"default": model})
    result = forge.run(make_folders(tmp_path / "job", spec))

    assert result["outcome"] == "Succeeded", result["message"]
    usage = result["details"]["usage"]
    assert {name: usage["total"][name] for name in COUNTED} == counted(server.stats)
    first, second = usage["by_predictor"]["first"], usage["by_predictor"]["second.predict"]
    assert first["calls"] == second["calls"] * (1 if engine == "litellm" else 3)
    assert first["calls"] + second["calls"] == server.stats.calls - 1, "all but the preflight's question"


ODD: dict[str, Any] = {
    "missing": lambda _usage: None,
    "empty": lambda _usage: {},
    "a text": lambda _usage: "lots",
    "a list": lambda _usage: [1, 2],
    "negative": lambda usage: {name: -count for name, count in usage.items()},
    "texts": lambda usage: dict.fromkeys(usage, "many"),
    "beyond all numbers": lambda usage: dict.fromkeys(usage, 10**30),
}


NOT_READ_BY_LITELLM = ("a text", "a list", "texts")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", ODD)
def test_a_server_that_tells_odd_usage_costs_no_answer(
    how: str, engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.told_usage = ODD[how]
    folders = make_folders(tmp_path / "job", with_models(server, engine))

    result = forge.run(folders)

    if engine == "litellm" and how in NOT_READ_BY_LITELLM:
        assert (result["outcome"], result["reason"]) == ("Failed", "ModelFailed")
        assert "Invalid response object" in result["message"].partition("\n")[0]
        return
    assert result["outcome"] == "Succeeded", result["message"]
    assert result["details"]["model_errors"] == 0
    total = result["details"]["usage"]["total"]
    assert total["calls"] == server.stats.calls
    assert (total["prompt_tokens"], total["completion_tokens"], total["cost_usd"]) == (None, None, None)
    said = [message for message in folders.messages("dspy_service.models") if "how many tokens" in message]
    assert len(said) == 1


def test_odd_details_are_passed_over(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    details = {"prompt_tokens_details": "none", "completion_tokens_details": {"reasoning_tokens": -3}}
    server.told_usage = lambda usage: usage | details
    result = forge.run(make_folders(tmp_path / "job", make_spec(server.url)))

    assert {name: result["details"]["usage"]["total"][name] for name in COUNTED} == counted(server.stats)


def priced(server: ScriptedServer, engine: str, name: str = "openai/scripted", **settings: Any) -> dict[str, Any]:
    model = {"name": name, "baseUrl": server.url, "extra": {"engine": engine}, **settings}
    return make_spec(server.url, models={"default": model})


@pytest.mark.parametrize("engine", ENGINES)
def test_the_cost_by_the_prices_of_the_model_s_settings(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.tells_details = True
    prices = {"input": "3", "output": "15", "cached": "0.3"}
    result = forge.run(make_folders(tmp_path / "job", priced(server, engine, prices=prices)))

    sent, cached = server.stats.prompt_tokens, server.stats.cached_prompt_tokens
    cost = ((sent - cached) * 3 + cached * 0.3 + server.stats.completion_tokens * 15) / 1e6
    assert result["details"]["usage"]["total"]["cost_usd"] == pytest.approx(cost, abs=1e-7)
    assert result["usage"]["costUsd"] == pytest.approx(cost, abs=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_cost_by_dspy_s_table(engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    result = forge.run(make_folders(tmp_path / "job", priced(server, engine, "openai/gpt-4o-mini")))

    cost = (server.stats.prompt_tokens * 0.15 + server.stats.completion_tokens * 0.6) / 1e6
    assert result["details"]["usage"]["total"]["cost_usd"] == pytest.approx(cost, abs=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_cost_that_the_server_bills(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.told_usage = lambda usage: usage | {"cost": 0.125}
    result = forge.run(make_folders(tmp_path / "job", priced(server, engine)))

    assert result["details"]["usage"]["total"]["cost_usd"] == server.stats.calls * 0.125


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cost_that_nobody_knows_is_null(
    engine: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = forge.run(make_folders(tmp_path / "job", priced(server, engine)))

    assert result["details"]["usage"]["total"]["prompt_tokens"] > 0
    assert result["details"]["usage"]["total"]["cost_usd"] is None
    assert result["usage"]["costUsd"] is None
