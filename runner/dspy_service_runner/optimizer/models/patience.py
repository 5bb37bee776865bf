"""Waits for models that refuse calls because of a rate limit (429), so that no row loses its score to a limit that
passes.

dspy itself tries a refused call three times more, but each call by itself and all at the same moments, and waits for as
long as the model says. So each attempt of dspy's engines goes through here: the calls of one model share what its
refusals have shown (`RateLimit`), no wait is longer than a setting, the run reports what it waits for, and a model that
answers no call for too long ends the run.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dspy import lm15
from dspy.clients import execution
from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine, LiteLLMEngine
from dspy.clients.errors import wrap_error

from dspy_service_runner.optimizer.failures import Interrupt, StopToken, first_line
from dspy_service_runner.optimizer.models.answer_usage import spent_of
from dspy_service_runner.optimizer.models.filtered_answers import refuse_filtered
from dspy_service_runner.optimizer.models.ledger import Call, Ledger
from dspy_service_runner.optimizer.models.model_errors import RATE_LIMITED, kind_of, unseen
from dspy_service_runner.optimizer.models.models import OWN_ROLE, AnyModel, ModelKey, ModelSet, explain, model_key
from dspy_service_runner.optimizer.models.prices import bill_of, cost_of
from dspy_service_runner.optimizer.models.rate_limit import RateLimit
from dspy_service_runner.optimizer.models.spent import Spent
from dspy_service_runner.optimizer.settings import Settings

logger = logging.getLogger("dspy_service.models")

_LOOK = 0.25
"""Seconds between two checks for a stop while a call waits."""
_WORTH_SAYING = 1.0
"""Seconds; shorter waits are not reported."""


@dataclass
class _Model:
    limit: RateLimit
    changed: threading.Condition = field(default_factory=threading.Condition)
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
        self.begin(StopToken(), settings.preflight_patience)

    def know(self, models: ModelSet) -> None:
        """Remembers the role of each model, by which messages name it; embedders make their calls through here."""
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
            self.call(lm, call, lambda: once(lm, call, *rest), lambda: _told(lm, *rest))
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

    def call(
        self, lm: AnyModel, prepared: Any, once: Callable[[], None], told: Callable[[], Spent | None] = lambda: None
    ) -> None:
        """`told` gives what the answer says of its usage, and None where there was no answer."""
        call = _Call(self, lm, prepared)
        while True:
            call.enter()
            entry: Call | None = None
            try:
                entry = self._ledger.begin(lm)
                once()
            except BaseException as error:
                self._broke(entry, error, told())
                if not call.goes_again(error):
                    raise
            else:
                self._ledger.answered(entry, told() or Spent())
                return call.answered()

    async def call_async(
        self,
        lm: AnyModel,
        prepared: Any,
        once: Callable[[], Awaitable[None]],
        told: Callable[[], Spent | None] = lambda: None,
    ) -> None:
        call = _Call(self, lm, prepared)
        while True:
            await asyncio.to_thread(call.enter)
            entry: Call | None = None
            try:
                entry = self._ledger.begin(lm)
                await once()
            except BaseException as error:
                self._broke(entry, error, told())
                if not call.goes_again(error):
                    raise
            else:
                self._ledger.answered(entry, told() or Spent())
                return call.answered()

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
        with self._lock:
            return self._models.setdefault(model_key(lm), _Model(RateLimit(self.settings.longest_wait)))

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


class _Call:
    """One attempt of an engine, repeated until the rate limit lets it through."""

    def __init__(self, patience: Patience, lm: AnyModel, prepared: Any) -> None:
        self._patience, self._lm = patience, lm
        self._model = patience.model(lm)
        self._ready = self._sent_at = 0.0
        # Kept with dspy's call, so that dspy's own retries of it do not wait all over again.
        self._past: dict[str, float] = prepared.__dict__.setdefault("_dspy_service_refused", {})

    def enter(self) -> None:
        """Waits first as long as this call must, then as long as all calls of the model must."""
        changed, limit = self._model.changed, self._model.limit
        with changed:
            while (left := self._left()) != 0:
                self._patience.stop_token.check()
                changed.wait(_LOOK if left is None else min(left, _LOOK))
            limit.sent()
            self._sent_at = self._patience.clock()

    def _left(self) -> float | None:
        now = self._patience.clock()
        return self._ready - now if now < self._ready else self._model.limit.opens_in(now)

    def answered(self) -> None:
        self._note(self._model.limit.answered)
        if self._model.notice:
            logger.info("the model %s answers again", self._lm.model)
            self._patience.say(self._model, "")

    def goes_again(self, error: BaseException) -> bool:
        """Whether the call is made again; raises `Interrupt` if the model has been waited for long enough."""
        if isinstance(error, lm15.RateLimitError):
            refusal = wrap_error(error, model=self._lm.model)
            if kind_of(refusal) == RATE_LIMITED:
                return self._refused(error, refusal)
            error.retry_after = 0.0  # larger than the limit: waiting does not help
        self._note(self._model.limit.broke)
        asked = getattr(error, "retry_after", None)
        if asked is not None:  # dspy would wait that long
            error.retry_after = min(asked, self._patience.settings.longest_wait)  # type: ignore[attr-defined]
        return False

    def _note(self, happened: Callable[[], None]) -> None:
        with self._model.changed:
            happened()
            self._model.changed.notify_all()

    def _refused(self, error: lm15.RateLimitError, refusal: Exception) -> bool:
        now, limit = self._patience.clock(), self._model.limit
        with self._model.changed:
            wait, left = limit.refused(self._sent_at, now, error.retry_after, self._patience.seconds)
            self._model.changed.notify_all()
        if left <= 0:
            self._give_the_model_up(refusal)
        if now - self._past.setdefault("since", now) >= self._patience.seconds:
            error.retry_after = 0.0
            return False  # it answers other calls, and refuses just this one
        self._ready = now + wait
        if wait >= _WORTH_SAYING:
            self._say(error, wait, left)
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
