"""Waits for models that refuse calls for now (429), so that no row loses its score to a limit that passes.

dspy tries a refused call again by itself, three times, each call alone and all in lock-step, and for as long as the
model says. So each single attempt of its engines comes through here instead: calls of one model share what its
refusals have shown (`RateLimit`), a wait is never longer than a setting, what is waited for is said, and a model that
answers nobody for too long ends the run.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import dspy
from dspy import lm15
from dspy.clients import execution
from dspy.clients.engines.litellm_engine import AsyncLiteLLMEngine, LiteLLMEngine
from dspy.clients.errors import wrap_error

from dspy_service_runner.optimizer.failures import Interrupt, StopToken, first_line
from dspy_service_runner.optimizer.models.model_errors import RATE_LIMITED, kind_of
from dspy_service_runner.optimizer.models.models import OWN_ROLE, ModelKey, ModelSet, explain, model_key
from dspy_service_runner.optimizer.models.rate_limit import RateLimit
from dspy_service_runner.optimizer.settings import Settings

logger = logging.getLogger("dspy_service.models")

_LOOK = 0.25
"""Seconds between two looks at a stop while a call waits."""
_WORTH_SAYING = 1.0
"""Seconds: what passes sooner is no news."""


@dataclass
class _Model:
    limit: RateLimit
    changed: threading.Condition = field(default_factory=threading.Condition)
    notice: str = ""


class Patience:
    """`announce` hears what is waited for, and an empty text when nothing is."""

    def __init__(
        self, settings: Settings, announce: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.settings, self.clock, self._announce = settings, clock, announce
        self._roles: dict[ModelKey, str] = {}
        self._engines: dict[ModelKey, str] = {}
        self._lock = threading.Lock()
        self._models: dict[ModelKey, _Model] = {}
        self.begin(StopToken(), settings.preflight_patience)

    def know(self, models: ModelSet) -> None:
        """By which role each is called when it is spoken of."""
        self._roles = {model_key(lm): role for role, lm in reversed(list(models.by_role()))}

    def role(self, lm: dspy.BaseLM) -> str:
        return self._roles.get(model_key(lm), OWN_ROLE)

    def begin(self, stop_token: StopToken, seconds: float) -> None:
        """A stage: what ends it, and for how long a model may refuse all calls in it."""
        self.stop_token, self.seconds = stop_token, seconds

    def install(self) -> None:
        """In the place between dspy's retries and its engines, for which dspy has no hook."""
        once, once_async = execution._attempt, execution._aattempt

        def attempt(lm: Any, call: Any, *rest: Any) -> None:
            self._note_engine(lm, rest[0])
            self.call(lm, call, lambda: once(lm, call, *rest))

        async def attempt_async(lm: Any, call: Any, *rest: Any) -> None:
            self._note_engine(lm, rest[0])
            await self.call_async(lm, call, lambda: once_async(lm, call, *rest))

        execution._attempt, execution._aattempt = attempt, attempt_async

    def _note_engine(self, lm: dspy.BaseLM, backend: Any) -> None:
        compatible = isinstance(backend, LiteLLMEngine | AsyncLiteLLMEngine)
        self._engines[model_key(lm)] = "litellm" if compatible else "native"

    def engine(self, lm: dspy.BaseLM) -> str | None:
        """dspy's own client, or LiteLLM, which takes three to four times as long; None for a model nobody asked."""
        return self._engines.get(model_key(lm))

    def call(self, lm: dspy.BaseLM, prepared: Any, once: Callable[[], None]) -> None:
        call = _Call(self, lm, prepared)
        while True:
            call.enter()
            try:
                once()
            except BaseException as error:
                if not call.goes_again(error):
                    raise
            else:
                return call.answered()

    async def call_async(self, lm: dspy.BaseLM, prepared: Any, once: Callable[[], Awaitable[None]]) -> None:
        call = _Call(self, lm, prepared)
        while True:
            await asyncio.to_thread(call.enter)
            try:
                await once()
            except BaseException as error:
                if not call.goes_again(error):
                    raise
            else:
                return call.answered()

    def model(self, lm: dspy.BaseLM) -> _Model:
        with self._lock:
            return self._models.setdefault(model_key(lm), _Model(RateLimit(self.settings.longest_wait)))

    def say(self, model: _Model, notice: str) -> None:
        with self._lock:
            model.notice = notice
            waiting = [each.notice for each in self._models.values() if each.notice]
        self._announce(" ".join(waiting))


class _Call:
    """One attempt of an engine, made until it is not refused."""

    def __init__(self, patience: Patience, lm: dspy.BaseLM, prepared: Any) -> None:
        self._patience, self._lm = patience, lm
        self._model = patience.model(lm)
        self._ready = self._sent_at = 0.0
        # Kept with the call, for dspy's own retries of it, which must not be patient anew.
        self._past: dict[str, float] = prepared.__dict__.setdefault("_dspy_service_refused", {})

    def enter(self) -> None:
        """Its own wait first, then the model's."""
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
        """Whether it is made again; raises where the model has been waited for long enough."""
        if isinstance(error, lm15.RateLimitError):
            refusal = wrap_error(error, model=self._lm.model)
            if kind_of(refusal) == RATE_LIMITED:
                return self._refused(error, refusal)
            error.retry_after = 0.0  # larger than the limit: no patience cures that
        self._note(self._model.limit.broke)
        asked = getattr(error, "retry_after", None)
        if asked is not None:  # dspy waits for it as it is
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
            return False  # it answers others: this one call is what it refuses
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
