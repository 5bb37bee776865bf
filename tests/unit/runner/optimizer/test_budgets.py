"""Whole runs at their budgets: through kills, before the first score, after the last that fits, and with models that
do not tell what they took."""

import signal
from pathlib import Path
from typing import Any

import pytest

from optimizer_job import Folders, OptimizerForge, make_folders, make_spec, next_attempt, program_spec
from scripted_lm import ScriptedServer
from waiting import wait_for

SEARCH = {"name": "dspy.BootstrapRS", "kwargs": {"num_candidate_programs": 8}}
GROWING = """
class Growing(dspy.Module):
    def __init__(self):
        super().__init__()
        self.label = dspy.Predict("text -> label")
        self.again = dspy.Predict("text, first -> label")

    def forward(self, text):
        found = self.label(text=text)
        return self.again(text=text, first=found.label) if self.label.demos else found
"""
"""Takes twice the calls as soon as it has demos."""
JUDGED = """
judge = dspy.Predict("expected, candidate -> agree")
def metric(gold, pred, trace=None):
    judge(expected=gold.label, candidate=f"{gold.text} {pred.label}")
    return gold.label == pred.label
"""


def job(server: ScriptedServer, root: Path, **changes: Any) -> Folders:
    return make_folders(root, make_spec(server.url, optimizer=SEARCH, **changes))


def test_a_budget_holds_through_a_kill(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    cap = 90
    folders = job(server, tmp_path / "first", budget={"modelCalls": cap})
    server.hold_from(50)
    process = forge.start(folders)
    wait_for(lambda: server.stats.in_flight > 0, what="a call that waits")
    process.send(signal.SIGKILL)
    process.wait()
    server.release()
    wait_for(lambda: server.stats.in_flight == 0, what="the killed run's calls to end")
    before = server.stats.calls
    server.reset()

    result = forge.run(next_attempt(folders, tmp_path / "second"))

    assert (result["outcome"], result["reason"], result["budgetHit"]) == ("Succeeded", "BudgetSpent", "model_calls")
    assert None not in (result["baselineScore"], result["optimizedScore"])
    assert before + server.stats.calls <= cap
    assert result["usage"]["calls"] + result["usage"]["callsUnknown"] <= cap


def test_a_finished_search_says_nothing_of_its_budget(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = job(server, tmp_path / "job", budget={"modelCalls": 5000, "seconds": 3600, "tokens": 10**9})
    result = forge.run(folders)
    assert (result["reason"], result["budgetHit"], result["stoppedEarly"]) == ("Completed", None, False)
    assert not folders.events("budget_hit")


def test_a_budget_that_ends_before_the_first_score_fails_the_job(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders = job(server, tmp_path / "job", budget={"modelCalls": 15})
    result = forge.run(folders)
    assert (result["outcome"], result["reason"]) == ("Failed", "BudgetSpent")
    assert "its budget of 15 model calls before its program was scored for the first time" in result["message"]
    assert result["details"]["budget_hit"] == "model_calls"
    assert server.stats.calls <= 15


def test_a_search_that_found_nothing_keeps_the_program_as_given(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    result = forge.run(job(server, tmp_path / "job", budget={"modelCalls": 25}))
    assert (result["outcome"], result["budgetHit"], result["stoppedEarly"]) == ("Succeeded", "model_calls", True)
    assert result["optimizedScore"] == result["baselineScore"]
    assert "when the job reached its budget of 25 model calls" in result["nothingTried"]
    assert result["verdict"] == "no_evidence"


def test_a_final_score_that_does_not_fit_is_not_guessed(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """One call before the run and one for the program's try, ten for the baseline, and ten that are set aside."""
    optimizer = {"name": "dspy.LabeledFewShot", "kwargs": {"k": 3}}
    spec = program_spec(server.url, {"program": {"code": GROWING}}, optimizer=optimizer, budget={"modelCalls": 24})
    folders = make_folders(tmp_path / "job", spec)
    result = forge.run(folders)
    assert (result["outcome"], result["reason"], result["budgetHit"]) == ("Succeeded", "BudgetSpent", "model_calls")
    assert result["baselineScore"] is not None
    assert (result["optimizedScore"], result["verdict"], result["comparison"]) == (None, "unknown", None)
    assert "nobody knows whether it is better" in result["message"]
    assert folders.state()["label"]["demos"], "the program is kept"
    assert not folders.events("optimized_evaluated")
    assert server.stats.calls <= 24


def test_judges_count(forge: OptimizerForge, server: ScriptedServer, tmp_path: Path) -> None:
    result = forge.run(job(server, tmp_path / "job", metric={"code": JUDGED}, budget={"modelCalls": 110}))
    assert (result["outcome"], result["budgetHit"]) == ("Succeeded", "model_calls"), result["message"]
    assert None not in (result["baselineScore"], result["optimizedScore"])
    assert server.stats.calls == result["usage"]["calls"] <= 110


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ({"tokens": 100_000}, "The default model does not say how many tokens an answer took"),
        ({"costUsd": "5"}, "Nobody says what a call of the default model costs"),
    ],
)
def test_what_models_do_not_tell_is_found_before_money_is_spent(
    budget: dict[str, Any], said: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    server.told_usage = (lambda _usage: None) if "tokens" in budget else None
    result = forge.run(job(server, tmp_path / "job", budget=budget))
    assert (result["outcome"], result["reason"]) == ("Failed", "InvalidBudget")
    assert result["message"].startswith(said)
    field = "model_config.prices (in a resource: spec.models.default.prices)"
    assert field in result["message"] or "budget.tokens" in result["message"]
    assert server.stats.calls == 1


SEARCHES: dict[str, dict[str, Any]] = {
    "search": SEARCH,
    "gepa": {"name": "gepa", "kwargs": {"max_metric_calls": 80}},
    "simba": {"name": "simba", "kwargs": {"bsize": 8, "num_candidates": 2, "max_steps": 2}},
    "copro": {"name": "dspy.COPRO", "kwargs": {"breadth": 3, "depth": 2}},
    "mipro": {
        "name": "dspy.MIPROv2",
        "kwargs": {"auto": None, "num_candidates": 3},
        "compileKwargs": {"num_trials": 4, "minibatch_size": 5},
    },
}


@pytest.mark.parametrize("optimizer", SEARCHES.values(), ids=SEARCHES)
def test_what_is_set_aside_follows_the_best_program(
    optimizer: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    """Prompts of better programs are longer."""
    spec = make_spec(server.url, optimizer=optimizer, budget={"tokens": 10**8})
    folders = make_folders(tmp_path / "job", spec)
    assert forge.run(folders)["outcome"] == "Succeeded"
    aside = [m for m in folders.messages("dspy_service.budget") if m.startswith("Set aside for the final score: ")]
    tokens = [int(message.split(" model calls, ")[1].split(" ")[0]) for message in aside]
    assert len(tokens) > 1, aside
    assert tokens[-1] > tokens[0]
