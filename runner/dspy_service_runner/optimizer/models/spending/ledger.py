"""The one point that every model call of a job passes: before it is sent, and when its end is known.

It counts exactly, whatever thread asks, and through kills: begins and ends of calls are lines of the journal, and the
next attempt goes on from the sums of them. Calls are told apart by model, by the stage that they were made in, and by
the predictor of the program that made them, which is found in DSPy's stack of callers.
"""

import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import dspy

from dspy_service_core.records.call_lines import CallKey, Tally, begun, breakdown, ended, hit
from dspy_service_core.records.record import JsonObject
from dspy_service_core.records.usage import CallStage, Usage
from dspy_service_runner.optimizer.models.spending.caps import Caps
from dspy_service_runner.optimizer.models.spending.program_costs import ProgramCosts
from dspy_service_runner.optimizer.models.spending.spent import Spent

logger = logging.getLogger("dspy_service.models")

STAGE = "dspy_service_stage"
"""The setting of DSPy that names the stage: DSPy hands settings on to its threads."""


@dataclass(frozen=True)
class Call:
    number: str
    key: CallKey
    began: float
    program: Any = None
    """The outermost module that runs, if any."""
    length: int = 0
    weight: float = 1.0


class Ledger:
    """`tally` has the calls of earlier attempts; `note` appends a line to the journal."""

    def __init__(
        self, tally: Tally, note: Callable[[bytes], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tally, self._note, self._clock = tally, note, clock
        self._lock = threading.Lock()
        self._process = os.urandom(4).hex()
        self._numbers = itertools.count(1)
        self.caps = Caps(None, tally.spending)
        self.costs = ProgramCosts()
        self._silent: set[str] = set()
        self._closed = False
        self._lengths, self._with_length = 0, 0
        self.predictors: Mapping[str, str] = {}
        """Names of the program's predictors, by what DSPy calls their stage, which every copy keeps."""
        tally.lose_all()
        self._before = {"": tally.total(), **tally.by("stage")}

    def made(self, stage: CallStage | None = None) -> int:
        """Calls of this attempt, those included that memory answered, which an attempt that goes on makes over; or the
        answered ones of all attempts, if an optimizer went on where it was."""
        with self._lock:
            now = self._tally.total() if stage is None else self._tally.by("stage").get(stage, Usage())
        before = self._before.get(stage or "", Usage())
        here = now.calls + now.cached_calls - before.calls - before.cached_calls
        return max(here, now.calls)

    def kind(self, lm: Any) -> tuple[str, str]:
        """Which calls are like each other: those of one model and one predictor."""
        key = self._key(lm)
        return key.model, key.predictor

    def begin(self, lm: Any, length: int = 0) -> Call:
        """Called right before a call is sent; raises `Interrupt` where the job's budget has no room for it. `length` is
        that of what is sent, in characters; 0 where it is not known."""
        key = self._key(lm)
        with self._lock:
            average = self._lengths / self._with_length if self._with_length else 0.0
        weight = self.caps.model_call(_stage(), length / average if average and length else 1.0)
        call = Call(f"{self._process}.{next(self._numbers)}", key, self._clock(), _outermost(), length, weight)
        with self._lock:
            self._tally.begin(call.number, call.key)
        self._note(begun(call.number, call.key))
        return call

    def answered(self, call: Call, spent: Spent) -> None:
        if spent.prompt_tokens is None and spent.completion_tokens is None:
            self._say_silent(call.key.model)
        usage = Usage(
            calls=1,
            prompt_tokens=spent.prompt_tokens,
            completion_tokens=spent.completion_tokens,
            cached_prompt_tokens=spent.cached_prompt_tokens or 0,
            reasoning_tokens=spent.reasoning_tokens or 0,
            cost_usd=spent.cost_usd,
            seconds=round(self._clock() - call.began, 6),
        )
        self._end(call, usage)

    def failed(self, call: Call) -> None:
        """The model refused the call, or was not reached."""
        self._end(call, None)

    def lost(self, call: Call) -> None:
        """Nobody saw the end of the call: its line in the journal stays open."""
        with self._lock, self.caps.ending(call.weight):
            if not self._closed:
                self._tally.lose(call.number)

    def hit(self, lm: Any) -> None:
        """The journal answered in the model's place."""
        key = self._key(lm)
        with self._lock:
            if self._closed:
                return
            self._tally.hit(key)
        if self.caps.limits:
            self.costs.remembered(_outermost())
        self._note(hit(key))

    def total(self) -> Usage:
        with self._lock:
            return self._tally.total()

    def breakdown(self) -> JsonObject:
        with self._lock:
            return breakdown(self._tally)

    def close(self) -> None:
        """Ends the counting. Calls may still be under way, of threads that an optimizer has given up; this process will
        not see their answers."""
        with self._lock:
            self._closed = True
            self._tally.lose_all()

    def models_without(self, what: Literal["tokens", "cost"]) -> list[str]:
        """Models that answered, and of which it is not known what that took."""
        with self._lock:
            asked = {name: usage for name, usage in self._tally.by("model").items() if usage.calls}
        return [name for name, its in asked.items() if (its.cost_usd if what == "cost" else its.prompt_tokens) is None]

    def by_stage(self, stage: CallStage) -> Usage:
        with self._lock:
            return self._tally.by("stage").get(stage) or Usage()

    def _end(self, call: Call, usage: Usage | None) -> None:
        with self._lock, self.caps.ending(call.weight):
            if self._closed:
                return
            self._tally.end(call.number, usage)
            if usage is not None and call.length:
                self._lengths, self._with_length = self._lengths + call.length, self._with_length + 1
        if usage is not None and self.caps.limits:
            self.costs.answered(call.program, usage)
        self._note(ended(call.number, usage))

    def _key(self, lm: Any) -> CallKey:
        role = getattr(lm, "role", None)
        return CallKey(role if isinstance(role, str) else str(lm.model), _stage(), self._predictor())

    def _predictor(self) -> str:
        """Of a judge in a metric, or one that `forward` makes anew, the name is not known."""
        for module in reversed(dspy.settings.get("caller_modules") or ()):
            if isinstance(module, dspy.Predict):
                return self.predictors.get(module.stage, "")
        return ""

    def _say_silent(self, model: str) -> None:
        if model not in self._silent:
            self._silent.add(model)
            logger.warning(
                "The %s model does not say how many tokens an answer took: tokens and cost of such calls are not "
                "known.",
                model,
            )


def _stage() -> CallStage:
    stage: CallStage = dspy.settings.get(STAGE) or "preflight"
    return stage


def _outermost() -> Any:
    return next(iter(dspy.settings.get("caller_modules") or ()), None)
