"""The ledger: what passes it is counted once, under the right names, and found again in its journal's lines."""

import asyncio
from typing import Any

import dspy
import orjson
import pytest
from dspy import lm15

from counting_engine import CountingEngine, counted_lm
from dspy_service_core.records.call_lines import Tally
from dspy_service_core.records.usage import Usage
from dspy_service_runner.optimizer.models.model_errors import unseen
from dspy_service_runner.optimizer.models.spending.ledger import STAGE, Ledger
from dspy_service_runner.optimizer.models.spending.spent import Spent

LM = dspy.LM("openai/m", api_key="k")


class Kept:
    """A ledger, and the lines that it wrote."""

    def __init__(self, earlier: "Kept | None" = None) -> None:
        self.lines: list[bytes] = list(earlier.lines) if earlier else []
        tally = Tally()
        for line in self.lines:
            tally.read(line)
        self.ledger = Ledger(tally, self.lines.append, lambda: 0.0)

    def total(self) -> Usage:
        return self.ledger.total()


def test_answers_failures_hits_and_calls_under_way() -> None:
    kept = Kept()
    ledger = kept.ledger
    ledger.answered(ledger.begin(LM), Spent(10, 2, 4, 1, 0.5))
    ledger.failed(ledger.begin(LM))
    ledger.hit(LM)
    ledger.begin(LM)

    counted = Usage(1, 1, 10, 2, 4, 1, 0.5)
    assert kept.total() == counted, "one that is under way is not counted yet"
    assert Kept(kept).total() == counted + Usage(calls_unknown=1), "after a kill nobody sees its answer"
    assert Kept(Kept(kept)).total() == counted + Usage(calls_unknown=1), "which is counted once"
    ledger.close()
    assert kept.total() == counted + Usage(calls_unknown=1)


def test_what_ends_after_the_close_changes_nothing() -> None:
    kept = Kept()
    call = kept.ledger.begin(LM)
    kept.ledger.close()
    kept.ledger.answered(call, Spent(1, 1))
    kept.ledger.hit(LM)
    assert kept.total() == Usage(calls_unknown=1)


def test_a_lost_call_is_lost_in_this_attempt_and_the_next() -> None:
    kept = Kept()
    kept.ledger.lost(kept.ledger.begin(LM))
    assert kept.total() == Kept(kept).total() == Usage(calls_unknown=1)


def test_a_call_under_way_weighs_what_its_length_is_to_the_others() -> None:
    ledger = Kept().ledger
    with dspy.context(**{STAGE: "optimize"}):
        ledger.answered(ledger.begin(LM, 100), Spent(1, 1))
        ledger.answered(ledger.begin(LM, 300), Spent(1, 1))
        assert [ledger.begin(LM, length).weight for length in (500, 100, 0)] == [2.5, 1.0, 1.0]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{}",
        b'{"begin":',
        b'{"begin":1,"of":"x"}',
        b'{"begin":"1","of":["a","b"]}',
        b'{"end":"9","usage":{"calls":5}}',
        b'{"end":["9"]}',
        b'{"hit":[1,2,3]}',
        b'{"hit":{}}',
        b'{"key":"k"}',
    ],
)
def test_lines_that_nobody_wrote_are_passed_over(line: bytes) -> None:
    tally = Tally()
    tally.read(line)
    tally.lose_all()
    assert tally.total() == Usage()


def test_the_cost_of_a_call_without_a_price_is_not_known_and_neither_is_the_sum() -> None:
    ledger = Kept().ledger
    ledger.answered(ledger.begin(LM), Spent(1, 1, cost_usd=0.5))
    assert ledger.breakdown()["total"]["cost_usd"] == 0.5
    ledger.answered(ledger.begin(dspy.LM("openai/other", api_key="k")), Spent(1, 1))
    told = ledger.breakdown()
    assert told["total"]["cost_usd"] is None
    assert {name: its["cost_usd"] for name, its in told["by_model"].items()} == {"openai/m": 0.5, "openai/other": None}


class Asked(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    def __init__(self) -> None:
        super().__init__()
        self.steps = [dspy.Predict("question -> answer"), dspy.ChainOfThought("question -> answer")]

    def forward(self, question: str) -> Any:
        return [step(question=question) for step in self.steps]


def test_calls_are_told_by_stage_and_predictor_in_threads_and_copies() -> None:
    program = Asked()
    ledger = Kept().ledger
    ledger.predictors = {its.stage: name for name, its in program.named_predictors()}
    lm = counted_lm(CountingEngine())
    seen = _counting(lm, ledger)

    with dspy.context(lm=seen, **{STAGE: "optimize"}):
        rows = [dspy.Example(question="q").with_inputs("question") for _ in range(4)]
        dspy.Parallel(num_threads=2, disable_progress_bar=True)([(program.deepcopy(), row) for row in rows])
        seen("directly")
        dspy.Predict("question -> answer")(question="of no program")

    told = ledger.breakdown()
    assert {name: its["calls"] for name, its in told["by_predictor"].items()} == {"steps[0]": 4, "steps[1].predict": 4}
    assert {name: its["calls"] for name, its in told["by_stage"].items()} == {"optimize": 10}
    assert told["total"]["calls"] == 10


def _counting(lm: dspy.LM, ledger: Ledger) -> Any:
    class Counting(type(lm)):  # type: ignore[misc]
        def __call__(self, *arguments: Any, **kwargs: Any) -> Any:
            ledger.answered(ledger.begin(self), Spent(1, 1))
            return super().__call__(*arguments, **kwargs)

    lm.__class__ = Counting
    return lm


def test_lines_are_whole_json() -> None:
    kept = Kept()
    kept.ledger.answered(kept.ledger.begin(LM), Spent(1, 2))
    assert all(line.endswith(b"\n") and isinstance(orjson.loads(line), dict) for line in kept.lines)


@pytest.mark.parametrize(
    ("error", "may_be_answered"),
    [
        (lm15.TimeoutError("slow"), True),
        (lm15.TransportError("reset"), True),
        (KeyboardInterrupt(), True),
        (asyncio.CancelledError(), True),
        (lm15.RateLimitError("later"), False),
        (lm15.ServerError("down"), False),
        (TypeError("x"), False),
    ],
)
def test_errors_after_which_the_model_may_have_answered(error: BaseException, may_be_answered: bool) -> None:
    assert unseen(error) is may_be_answered


def test_a_refused_connection_reached_no_model() -> None:
    error = lm15.TransportError("refused")
    error.__cause__ = ConnectionRefusedError()
    assert not unseen(error)
