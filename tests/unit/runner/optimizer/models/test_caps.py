"""The gate of a budget: what may start at a cap, what is kept for the final score, and what a kill hides."""

import threading
from dataclasses import replace
from typing import Any

import pytest

from dspy_service_core.records.call_lines import CallKey, Tally, begun, ended
from dspy_service_core.records.spending import Spending, ran
from dspy_service_core.records.usage import CallStage, Usage
from dspy_service_core.resource.spec.budget import Budget
from dspy_service_runner.optimizer.failures import Interrupt, StopToken
from dspy_service_runner.optimizer.models.spending.caps import BUDGET_SPENT, Caps, Reserve
from waiting import wait_for

OF = CallKey("default", "optimize", "")


class Run:
    """Caps, with a clock that is moved by hand."""

    def __init__(self, stage: CallStage = "optimize", earlier: Spending | None = None, **caps: Any) -> None:
        self.now, self.lines, self.spending = 0.0, list[bytes](), earlier or Spending()
        self.caps = Caps(Budget(**caps), self.spending, self.lines.append, lambda: self.now)
        self.token = StopToken()
        self.caps.begin(stage, self.token)
        self.stage = stage

    def call(self, **usage: Any) -> None:
        self.caps.model_call(self.stage)
        self.answer(**usage)

    def answer(self, **usage: Any) -> None:
        with self.caps.ending():
            self.spending.add(Usage(calls=1, **usage))

    def made(self, most: int = 100, **usage: Any) -> int:
        """How many calls are let through."""
        for number in range(most):
            try:
                self.call(**usage)
            except Interrupt:
                return number
        return most


def test_without_a_budget_everything_may_start() -> None:
    run = Run()
    assert not run.caps.limits
    assert run.made(prompt_tokens=10**12, cost_usd=1e9) == 100
    assert run.caps.hit is None


CAPS: dict[str, tuple[dict[str, Any], dict[str, Any], int]] = {
    "model calls": ({"model_calls": 7}, {}, 7),
    "tokens": ({"tokens": 100}, {"prompt_tokens": 15, "completion_tokens": 5}, 5),
    "tokens that do not fit another call": ({"tokens": 99}, {"prompt_tokens": 15, "completion_tokens": 5}, 4),
    "money": ({"cost_usd": "0.5"}, {"cost_usd": 0.125}, 4),
    "the first of several": ({"cost_usd": "100", "model_calls": 3, "tokens": 10**9}, {"prompt_tokens": 1}, 3),
}


@pytest.mark.parametrize(("caps", "usage", "let_through"), CAPS.values(), ids=CAPS)
def test_at_a_cap_no_call_starts(caps: dict[str, Any], usage: dict[str, Any], let_through: int) -> None:
    run = Run(**caps)
    assert run.made(**usage) == let_through
    assert run.token.is_stopped
    assert run.caps.hit in caps


def test_calls_under_way_count() -> None:
    run = Run(model_calls=3)
    for _ in range(3):
        run.caps.model_call("optimize")
    with pytest.raises(Interrupt):
        run.caps.model_call("optimize")
    run = Run(tokens=100)
    run.call(prompt_tokens=20)
    for _ in range(4):
        run.caps.model_call("optimize")
    with pytest.raises(Interrupt):
        run.caps.model_call("optimize")


def test_a_search_s_call_counts_as_one_of_its_length() -> None:
    run = Run(tokens=100)
    run.call(prompt_tokens=20)
    assert run.caps.model_call("optimize", 3.0) == 3.0
    run.caps.model_call("optimize", 0.1)
    with pytest.raises(Interrupt):
        run.caps.model_call("optimize")
    final = Run("final", tokens=100)
    final.call(prompt_tokens=20)
    assert [final.caps.model_call("final", 3.0) for _ in range(4)] == [1.0] * 4, "it was set aside for them"


def test_a_sum_of_prices_may_be_the_cap_itself() -> None:
    run = Run("final", cost_usd="0.3")
    assert run.made(3, cost_usd=0.1) == 3
    assert run.spending.cost > 0.3, "as floats are added"
    run.caps.metric_call("final")


def test_a_call_that_broke_makes_room() -> None:
    run = Run(model_calls=1)
    run.caps.model_call("optimize")
    with run.caps.ending():
        pass
    run.call()


def test_threads_share_the_last_calls() -> None:
    run, made = Run(model_calls=50), list[int]()
    threads = [threading.Thread(target=lambda: made.append(run.made())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(made) == 50


def test_the_final_score_is_kept_out_of_the_search() -> None:
    run = Run(model_calls=10)
    run.caps.reserve = Reserve(model_calls=4)
    assert run.made() == 6
    assert (run.caps.hit, run.caps.short) == ("model_calls", False)
    final = StopToken()
    run.caps.begin("final", final)
    run.stage = "final"
    assert run.made() == 4
    assert final.is_stopped
    assert run.caps.short


def test_a_reserve_of_calls_is_one_of_tokens_until_those_are_measured() -> None:
    run = Run(tokens=1000)
    run.caps.reserve = Reserve(model_calls=40)
    assert run.made(prompt_tokens=10) == 60
    run = Run(tokens=1000)
    run.caps.reserve = Reserve(model_calls=40, tokens=900)
    assert run.made(prompt_tokens=10) == 10


@pytest.mark.parametrize("stage", ["preflight", "baseline"])
def test_a_budget_that_ends_before_the_first_score_fails_the_job(stage: CallStage) -> None:
    run = Run(stage, model_calls=2)
    run.call()
    run.call()
    with pytest.raises(Interrupt) as raised:
        run.call()
    assert raised.value.failure is not None
    assert raised.value.failure.reason == BUDGET_SPENT
    assert "its budget of 2 model calls" in raised.value.failure.message
    with pytest.raises(Interrupt) as again:
        run.token.check()
    assert again.value.failure is raised.value.failure


def test_calls_of_an_earlier_stage_end_nothing_of_this_one() -> None:
    run = Run(model_calls=5)
    run.caps.reserve = Reserve(model_calls=5)
    final = StopToken()
    run.caps.begin("final", final)
    with pytest.raises(Interrupt):
        run.caps.model_call("optimize")
    assert not final.is_stopped
    assert (run.caps.hit, run.caps.short) == (None, False)


def test_metric_calls_are_counted_by_the_progress_where_an_optimizer_counts_itself() -> None:
    run = Run(metric_calls=10)
    run.caps.reserve = Reserve(metric_calls=2)
    run.caps.metric_call("optimize")
    run.caps.scored = lambda: 7
    run.caps.metric_call("optimize")
    with pytest.raises(Interrupt):
        run.caps.metric_call("optimize")
    assert run.caps.hit == "metric_calls"


def test_time_counts_and_is_told_to_the_journal() -> None:
    run = Run(seconds=10)
    run.call(seconds=2.0)
    run.now = 7.5
    run.call(seconds=2.0)
    assert run.lines == [ran(7.5)]
    run.now = 8.5
    with pytest.raises(Interrupt):
        run.call()
    assert run.caps.hit == "seconds"
    tally = Tally()
    tally.read(run.lines[0])
    assert Run(earlier=tally.spending).caps.ran() == 7.5


def test_the_time_ends_waits_too() -> None:
    caps, token = Caps(Budget(seconds=1), Spending(ran=0.9)), StopToken()
    caps.begin("optimize", token)
    wait_for(lambda: token.is_stopped, what="the end of the budget")
    assert caps.hit == "seconds"


def test_time_ends_no_stage_whose_work_is_whole() -> None:
    caps, token = Caps(Budget(seconds=1), Spending(ran=0.9)), StopToken()
    caps.begin("optimize", token)
    caps.complete("optimize")
    with pytest.raises(Interrupt):
        wait_for(lambda: caps.model_call("optimize") < 0, what="the end of the budget, for a thread that was given up")
    assert (caps.hit, token.is_stopped) == (None, False)


def test_a_cap_that_is_reached_as_the_final_score_ends_is_none_of_its() -> None:
    run = Run("final", seconds=1)
    run.call()
    run.now = 1.1
    with pytest.raises(Interrupt):
        run.call()
    assert (run.caps.hit, run.caps.short) == ("seconds", True)
    run.caps.complete("final")
    assert (run.caps.hit, run.caps.short) == (None, False)


def test_a_whole_final_score_leaves_the_cap_that_ended_the_search() -> None:
    run = Run(model_calls=10)
    run.caps.reserve = Reserve(model_calls=4)
    assert run.made() == 6
    run.caps.begin("final", StopToken())
    run.stage = "final"
    assert run.made() == 4
    run.caps.complete("final")
    assert (run.caps.hit, run.caps.short) == ("model_calls", False)


def test_calls_of_earlier_attempts_count_and_those_that_nobody_saw_as_the_others_did() -> None:
    tally = Tally()
    for line in (
        begun("1", OF),
        ended("1", Usage(calls=1, prompt_tokens=30, completion_tokens=10, cost_usd=0.5)),
        begun("2", OF),
        begun("3", OF),
        ended("3", None),
    ):
        tally.read(line)
    tally.lose_all()
    assert tally.spending.calls == 2
    assert Run(earlier=replace(tally.spending), model_calls=5).made() == 3
    assert Run(earlier=replace(tally.spending), tokens=120).made(prompt_tokens=40) == 1
    assert Run(earlier=replace(tally.spending), cost_usd="1.4").made(cost_usd=0.5) == 0


def test_answers_without_usage_count_as_the_others_did() -> None:
    run = Run(tokens=100)
    run.call(prompt_tokens=10)
    assert run.made() == 9


@pytest.mark.parametrize("line", [b'{"ran":', b'{"ran":null}', b'{"ran":"x"}', b'{"ran":[1]}', b'{"run":5}'])
def test_lines_that_tell_no_time_are_passed_over(line: bytes) -> None:
    spending = Spending()
    spending.read(line)
    assert spending.ran == 0


def test_what_is_under_way_is_awaited() -> None:
    run = Run(model_calls=9)
    run.caps.model_call("optimize")
    threading.Timer(0.05, run.answer).start()
    run.caps.drain(20)
    assert run.spending.calls == 1
