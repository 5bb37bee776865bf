"""What the model calls cost, counted exactly.

dspy deep-copies its usage tracker for every worker thread, so that most of an optimizer's calls would be lost; here
every copy is the same object. Only the LM knows prices, and only after the call: see `models.CountedLM`.
"""

import threading
from dataclasses import replace
from typing import Any, Self

from dspy.utils.usage_tracker import UsageTracker

from dspy_service_core.records.run import Usage


class UsageCounter(UsageTracker):  # type: ignore[misc]  # dspy is untyped
    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._total = Usage()

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def add_usage(self, _lm: str, usage_entry: dict[str, Any]) -> None:
        prompt, completion = usage_entry.get("prompt_tokens"), usage_entry.get("completion_tokens")
        self._add(Usage(calls=1, prompt_tokens=prompt or 0, completion_tokens=completion or 0))

    def add_cached(self) -> None:
        self._add(Usage(cached_calls=1))

    def add_priced(self, cost: float | None, further_calls: int) -> None:
        """`further_calls`: how many more calls there were, because dspy reports the calls for `n` answers as one."""
        self._add(Usage(calls=further_calls, cost=cost))

    def total(self) -> Usage:
        total = self._total
        return total if total.cost is None else replace(total, cost=round(total.cost, 8))

    def _add(self, usage: Usage) -> None:
        with self._lock:
            self._total += usage
