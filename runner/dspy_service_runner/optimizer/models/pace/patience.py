"""Waits for models that refuse calls because of a rate limit (429), so that no row loses its score to a limit that
passes.

dspy itself tries a refused call three times more, but each call by itself and all at the same moments, and waits for as
long as the model says. So each attempt of dspy's engines goes through here: the calls of one model share what its
answers and refusals have shown (`RateLimit`) and leave by one gate, no wait is longer than a setting, the run reports
what it waits for, and a model that answers no call for too long ends the run.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, ValuesView
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import dspy
from dspy import lm15
from dspy.clients import execution
from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine, LiteLLMEngine
from dspy.clients.errors import wrap_error

from dspy_service_runner.optimizer.failures import Interrupt, StopToken, first_line
from dspy_service_runner.optimizer.models.filtered_answers import refuse_filtered
from dspy_service_runner.optimizer.models.model_errors import RATE_LIMITED, kind_of, unseen
from dspy_service_runner.optimizer.models.models import OWN_ROLE, AnyModel, ModelKey, ModelSet, explain, model_key
from dspy_service_runner.optimizer.models.pace.attempts import Attempt, Attempts
from dspy_service_runner.optimizer.models.pace.gate import LOOK, Gate
from dspy_service_runner.optimizer.models.pace.hedge import Hedges
from dspy_service_runner.optimizer.models.pace.places import Places, Sent
from dspy_service_runner.optimizer.models.pace.rate_limit import RateLimit
from dspy_service_runner.optimizer.models.spending.answer_usage import spent_of
from dspy_service_runner.optimizer.models.spending.ledger import Call, Ledger
from dspy_service_runner.optimizer.models.spending.prices import bill_of, cost_of
from dspy_service_runner.optimizer.models.spending.spent import Spent
from dspy_service_runner.optimizer.settings import Settings

logger = logging.getLogger("dspy_service.models")

_WORTH_SAYING = 1.0
"""Seconds; shorter waits are not reported."""


@dataclass
class _Model:
    limit: RateLimit
    notice: str = ""


class Patience:
    """`announce` is called with what is waited for, and with an empty text when nothing is."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        announce: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings, self.clock, self._announce, self._ledger = settings, clock, announce, ledger
        self._roles: dict[ModelKey, str] = {}
        self._engines: dict[ModelKey, str] = {}
        self._lock = threading.Lock()
        self._models: dict[ModelKey, _Model] = {}
        self.gate = Gate(settings.most_threads, clock)
        self.hedges: Hedges | None = None
        self.begin(StopToken(), settings.preflight_patience)

    def know(self, models: ModelSet, threads: int | None = None, *, hedge: bool = False) -> None:
        """Remembers the role of each model, by which messages name it; embedders make their calls through here. The job
        may ask for fewer `threads` than the service allows, and whether very slow calls are made once more."""
        self.gate.most = min(self.settings.most_threads, threads or self.settings.most_threads)
        self.hedges = Hedges(self.gate.most, self.clock) if hedge else None
        self._roles = {model_key(lm): role for role, lm in reversed(models.everything())}
        for embedder in models.embedders.values():
            embedder.gate = self

    def remembered(self, lm: AnyModel) -> None:
        self._ledger.hit(lm)

    def role(self, lm: AnyModel) -> str:
        return self._roles.get(model_key(lm), OWN_ROLE)

    def begin(self, stop_token: StopToken, seconds: float) -> None:
        """Begins a stage, which `stop_token` ends, and in which a model may refuse all calls for `seconds`."""
        self.stop_token, self.seconds = stop_token, seconds

    def install(self) -> None:
        """Replaces the functions between dspy's retries and its engines, because dspy has no hook there."""
        once, once_async, cached = execution._attempt, execution._aattempt, execution._cached

        def attempt(lm: Any, call: Any, *rest: Any) -> None:
            self._note_engine(lm, rest[0])
            if self.hedges is None or dspy.settings.send_stream is not None:
                self.call(lm, call, lambda: once(lm, call, *rest), lambda: _told(lm, *rest))
            else:
                self.call_hedged(lm, call, Attempts(lambda *given: once(lm, call, *given), rest), self.hedges)
            refuse_filtered(lm.model, rest[-2].result)

        async def attempt_async(lm: Any, call: Any, *rest: Any) -> None:
            self._note_engine(lm, rest[0])
            await self.call_async(lm, call, lambda: once_async(lm, call, *rest), lambda: _told(lm, *rest))
            refuse_filtered(lm.model, rest[-2].result)

        def look_up(lm: Any, *rest: Any) -> Any:
            found = cached(lm, *rest)
            if found is not None:
                self.remembered(lm)
            return found

        execution._attempt, execution._aattempt, execution._cached = attempt, attempt_async, look_up
        execution._price_result = price_once

    def _note_engine(self, lm: AnyModel, backend: Any) -> None:
        compatible = isinstance(backend, LiteLLMEngine | AsyncLiteLLMEngine)
        self._engines[model_key(lm)] = "litellm" if compatible else "native"

    def engine(self, lm: AnyModel) -> str | None:
        """Which client asks the model: dspy's own (`native`), or LiteLLM, which takes three to four times as long. None
        for a model that was not asked."""
        return self._engines.get(model_key(lm))

    def threads(self, lm: AnyModel) -> int:
        """How many calls of the model may be under way, as far as the run has found."""
        return self.model(lm).limit.places.count

    def call(
        self, lm: AnyModel, prepared: Any, once: Callable[[], None], told: Callable[[], Spent | None] = lambda: None
    ) -> None:
        """`told` gives what the answer says of its usage, and None where there was no answer."""
        call = _Call(self, lm, prepared)
        while True:
            call.enter()
            try:
                with self._request(call, lm, told):
                    return once()
            except BaseException as error:
                if not call.goes_again(error):
                    raise

    def call_hedged(self, lm: AnyModel, prepared: Any, attempts: Attempts, hedges: Hedges) -> None:
        """If the call is slow, it is made once more; the first answer is the call's."""
        call, kind = _Call(self, lm, prepared), self._ledger.kind(lm)

        def made(its: _Call, attempt: Attempt) -> Attempt:
            with self._request(its, lm, lambda: _told(lm, *attempt.arguments)):
                attempt.once()
            return attempt

        def second() -> Callable[[], Attempt] | None:
            spare = _Call(self, lm, prepared)
            return partial(made, spare, attempts.new()) if spare.enter_if_spared() else None

        while True:
            call.enter()
            first = attempts.new()
            try:
                return attempts.take(hedges.race(kind, partial(made, call, first), second))
            except BaseException as error:
                if not call.goes_again(error):
                    attempts.take(first)
                    raise

    def settle(self) -> None:
        """Awaits what is still to be counted."""
        if self.hedges is not None:
            self.hedges.settle()

    @contextmanager
    def _request(self, call: "_Call", lm: AnyModel, told: Callable[[], Spent | None]) -> Iterator[None]:
        """Counts one request, which has its place, from its begin to its end."""
        entry: Call | None = None
        try:
            entry = self._ledger.begin(lm, call.length)
            yield
        except BaseException as error:
            self._broke(entry, error, told())
            call.broke(error)
            raise
        self._ledger.answered(entry, told() or Spent())
        call.answered()

    async def call_async(
        self,
        lm: AnyModel,
        prepared: Any,
        once: Callable[[], Awaitable[None]],
        told: Callable[[], Spent | None] = lambda: None,
    ) -> None:
        call = _Call(self, lm, prepared)
        while True:
            await call.enter_async()
            try:
                with self._request(call, lm, told):
                    return await once()
            except BaseException as error:
                if not call.goes_again(error):
                    raise

    def _broke(self, entry: Call | None, error: BaseException, spent: Spent | None) -> None:
        """An answer that came and could not be used was paid for all the same."""
        if entry is None:  # the budget has no room for the call
            return
        if spent is not None:
            self._ledger.answered(entry, spent)
        elif unseen(error):
            self._ledger.lost(entry)
        else:
            self._ledger.failed(entry)

    def model(self, lm: AnyModel) -> _Model:
        key = model_key(lm)
        with self._lock:
            if key not in self._models:
                self._models[key] = _Model(RateLimit(self.settings.longest_wait, Places(self.gate.most)))
            return self._models[key]

    def say(self, model: _Model, notice: str) -> None:
        with self._lock:
            model.notice = notice
            waiting = [each.notice for each in self._models.values() if each.notice]
        self._announce(" ".join(waiting))


_price = execution._price_result


def price_once(lm: Any, result: Any, *rest: Any) -> None:
    """dspy reckons a price when all answers of a call are there; here each has its price as it comes."""
    if not result.cost_details:
        _price(lm, result, *rest)


def _told(lm: Any, _backend: Any, request: Any, provider: Any, state: Any, results: Any) -> Spent | None:
    if not state.recorded:
        return None
    result, response = results[-1], state.response
    if response is None:
        bill = bill_of(result.usage)
    else:
        price_once(lm, result, response, provider, request)
        bill = bill_of((response.provider_data or {}).get("usage"))
    spent = spent_of(result)
    return replace(spent, cost_usd=cost_of(lm, spent, bill, result.cost, result.cost_details.get("reason", "")))


def _length(sent: Any) -> int:
    """Characters of all texts in it."""
    if isinstance(sent, str):
        return len(sent)
    if isinstance(sent, Mapping):
        sent = sent.values()
    return sum(map(_length, sent)) if isinstance(sent, list | tuple | ValuesView) else 0


@dataclass(frozen=True)
class _Refusal:
    error: lm15.RateLimitError
    told: Exception
    """The same as dspy tells it."""
    wait: float
    left: float
    """Seconds of patience that are left with the model."""


class _Call:
    """One attempt of an engine, repeated until the rate limit lets it through."""

    def __init__(self, patience: Patience, lm: AnyModel, prepared: Any) -> None:
        self._patience, self._lm = patience, lm
        self.length = _length([getattr(prepared, "prompt", None), getattr(prepared, "messages", None)])
        self._model = patience.model(lm)
        self._ready, self._sent = 0.0, Sent(0.0, 0)
        self._refusal: _Refusal | None = None
        # Kept with dspy's call, so that dspy's own retries of it do not wait all over again.
        self._past: dict[str, float] = prepared.__dict__.setdefault("_dspy_service_refused", {})

    def enter(self) -> None:
        """Waits first as long as this call must, then as long as all calls of the model must."""
        check = self._patience.stop_token.check
        while (left := self._ready - self._patience.clock()) > 0:
            check()
            time.sleep(min(left, LOOK))
        self._sent = self._patience.gate.enter(self._model.limit, check)

    async def enter_async(self) -> None:
        check = self._patience.stop_token.check
        while (left := self._ready - self._patience.clock()) > 0:
            check()
            await asyncio.sleep(min(left, LOOK))
        self._sent = await self._patience.gate.enter_async(self._model.limit, check)

    def answered(self) -> None:
        self._patience.gate.leave(lambda now: self._model.limit.answered(now, self._sent))
        if self._model.notice:
            logger.info("the model %s answers again", self._lm.model)
            self._patience.say(self._model, "")

    def enter_if_spared(self) -> bool:
        """For a request that need not be made: only if the model is at ease, and has a place at once."""
        model, patience = self._model, self._patience
        if patience.stop_token.is_stopped or model.limit.is_limited(patience.clock()):
            return False
        sent = patience.gate.try_enter(model.limit)
        self._sent = sent or self._sent
        return sent is not None

    def broke(self, error: BaseException) -> None:
        """Gives the place back. Whether the call is made again is another matter."""
        self._refusal = None
        limit, gate = self._model.limit, self._patience.gate
        if isinstance(error, lm15.RateLimitError):
            refusal = wrap_error(error, model=self._lm.model)
            if kind_of(refusal) == RATE_LIMITED:
                asked, patience = error.retry_after, self._patience.seconds
                wait, left = gate.leave(lambda now: limit.refused(now, self._sent, asked, patience))
                self._refusal = _Refusal(error, refusal, wait, left)
                return
            error.retry_after = 0.0  # larger than the limit: waiting does not help
        asked = getattr(error, "retry_after", None) or None
        gate.leave(lambda now: limit.broke(now, self._sent, asked))
        if asked is not None:  # dspy would wait that long
            error.retry_after = min(asked, self._patience.settings.longest_wait)  # type: ignore[attr-defined]

    def goes_again(self, error: BaseException) -> bool:
        """Whether the call that `broke` is made again; raises `Interrupt` if the model has been waited for long
        enough."""
        refusal, now = self._refusal, self._patience.clock()
        if refusal is None or not isinstance(error, lm15.RateLimitError):
            return False
        if refusal.left <= 0:
            self._give_the_model_up(refusal.told)
        if now - self._past.setdefault("since", now) >= self._patience.seconds:
            refusal.error.retry_after = 0.0
            return False  # it answers other calls, and refuses just this one
        self._ready = now + refusal.wait
        if refusal.wait >= _WORTH_SAYING:
            self._say(refusal.error, refusal.wait, refusal.left)
        return True

    def _give_the_model_up(self, refusal: Exception) -> None:
        failure = explain(self._patience.role(self._lm), self._lm, refusal)
        failure.message += (
            f"\nIt answered nobody for {self._patience.seconds:g} s, as long as this service waits for a rate limit "
            "to pass: have the limit raised, or submit the job again later."
        )
        self._patience.stop_token.fail(failure)
        raise Interrupt(failure) from refusal

    def _say(self, error: lm15.RateLimitError, wait: float, left: float) -> None:
        if self._model.notice:
            return
        asked = "" if error.retry_after is None else f", and asks to wait {error.retry_after:g} s"
        until = (datetime.now(UTC) + timedelta(seconds=left)).strftime("%H:%M:%SZ")
        notice = (
            f"Waiting for the {self._patience.role(self._lm)} model {self._lm.model}, which is rate limited "
            f"({first_line(error)}){asked}. It is asked again in {wait:g} s; if it answers nobody until {until}, "
            "the job fails."
        )
        logger.warning("%s", notice)
        self._patience.say(self._model, notice)
