"""One call at a time through `Patience`, beside an engine and a clock that the test holds in its hands."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dspy
import pytest
from dspy import lm15

from dspy_service_core.records.call_lines import Tally
from dspy_service_runner.optimizer.failures import Interrupt, StopToken
from dspy_service_runner.optimizer.models.pace.patience import Patience
from dspy_service_runner.optimizer.models.spending.ledger import Ledger
from dspy_service_runner.optimizer.settings import Settings

SETTINGS = Settings(longest_wait=30, rate_limit_patience=100)


class Prepared:
    """As dspy prepares a call: the same object for each of its own retries."""


@dataclass
class Clock:
    """A little passes each time that somebody looks, so that short waits end."""

    now: float = 0.0

    def __call__(self) -> float:
        self.now += 0.005
        return self.now


class Engine:
    """Raises these errors in turn, each after a while, and then answers."""

    def __init__(self, clock: Clock, *errors: Exception, takes: float = 0.0, then: Callable[[], None] = lambda: None):
        self._clock, self._errors, self._takes, self._then = clock, list(errors), takes, then
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        self._clock.now += self._takes
        self._then()
        if self._errors:
            raise self._errors.pop(0)

    async def asynchronous(self) -> None:
        self()


def refusal(retry_after: float | None = 0.0) -> lm15.RateLimitError:
    return lm15.RateLimitError("slow down", status=429, retry_after=retry_after)


def patience(clock: Clock, said: list[str] | None = None, settings: Settings = SETTINGS) -> Patience:
    made = Patience(settings, Ledger(Tally(), lambda _line: None), (said if said is not None else []).append, clock)
    made.begin(StopToken(), SETTINGS.rate_limit_patience)
    return made


LM = dspy.LM("openai/m", api_base="http://127.0.0.1:1/v1", api_key="k")


def test_a_refused_call_is_made_again_until_it_is_answered() -> None:
    clock = Clock()
    engine = Engine(clock, *[refusal() for _ in range(50)])
    patience(clock, settings=Settings(longest_wait=0.01)).call(LM, Prepared(), engine)
    assert engine.calls == 51


def test_so_is_an_asynchronous_one() -> None:
    clock = Clock()
    engine = Engine(clock, refusal(), refusal())
    asyncio.run(patience(clock).call_async(LM, Prepared(), engine.asynchronous))
    assert engine.calls == 3


def test_a_call_that_alone_is_refused_fails_alone_and_dspy_is_not_patient_anew() -> None:
    """A request above a provider's tokens a minute, say, while it answers all others."""
    clock = Clock()
    waiting = patience(clock)
    limit = waiting.model(LM).limit

    def another_is_answered() -> None:
        limit.answered(clock.now, limit.sent(clock.now))

    engine = Engine(clock, *[refusal() for _ in range(99)], takes=30.0, then=another_is_answered)
    prepared = Prepared()

    with pytest.raises(lm15.RateLimitError) as first:
        waiting.call(LM, prepared, engine)
    calls = engine.calls
    with pytest.raises(lm15.RateLimitError):
        waiting.call(LM, prepared, engine)

    assert calls == 5, "until 100 s had passed since its first refusal"
    assert engine.calls == calls + 1
    assert first.value.retry_after == 0.0, "for which dspy would wait"


def test_a_model_that_answers_nobody_ends_the_stage_for_all() -> None:
    clock = Clock()
    waiting = patience(clock)
    engine = Engine(clock, *[refusal() for _ in range(99)], takes=30.0)

    with pytest.raises(Interrupt) as caught:
        waiting.call(LM, Prepared(), engine)

    assert caught.value.failure is not None
    assert caught.value.failure.reason == "ModelRateLimited"
    assert "The job's own model openai/m at http://127.0.0.1:1/v1 failed" in caught.value.failure.message
    with pytest.raises(Interrupt):
        waiting.stop_token.check()


@pytest.mark.parametrize("error", [lm15.ServerError("down", status=503, retry_after=86_400.0)])
def test_what_dspy_waits_for_itself_is_bounded_too(error: Any) -> None:
    clock = Clock()
    with pytest.raises(lm15.ServerError) as caught:
        patience(clock).call(LM, Prepared(), Engine(clock, error))
    assert caught.value.retry_after == SETTINGS.longest_wait


def test_a_shut_stage_lets_nothing_wait() -> None:
    clock = Clock()
    waiting = patience(clock)
    waiting.stop_token.stop()
    with pytest.raises(Interrupt):
        waiting.call(LM, Prepared(), Engine(clock, refusal(30.0)))


def test_a_model_is_spoken_of_once_until_it_answers() -> None:
    clock, said = Clock(), []  # type: ignore[var-annotated]
    waiting = patience(clock, said)
    with pytest.raises(Interrupt):  # a stop, so that nothing waits for the real time to pass
        waiting.call(LM, Prepared(), Engine(clock, refusal(5.0), then=lambda: waiting.stop_token.stop()))
    waiting.begin(StopToken(), 1000)
    clock.now += 100
    waiting.call(LM, Prepared(), Engine(clock))
    assert len(said) == 2
    assert said[0].startswith("Waiting for the job's own model openai/m, which is rate limited (RateLimitError: slow")
    assert said[1] == ""
