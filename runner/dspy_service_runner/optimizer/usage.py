"""What the model calls cost, counted exactly.

dspy deep-copies its usage tracker for every worker thread, so that most of an optimizer's calls are lost; here all
copies are the one object. Prices are known to the LM alone, after the call: see `models.CountedLM`.
"""

import threading
from typing import Any, Self

from dspy.utils.usage_tracker import UsageTracker


class Usage(UsageTracker):  # type: ignore[misc]  # dspy is untyped
    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._calls = self._prompt = self._completion = self._cached = 0
        self._cost: float | None = None

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self

    def add_usage(self, _lm: str, usage_entry: dict[str, Any]) -> None:
        with self._lock:
            self._calls += 1
            self._prompt += usage_entry.get("prompt_tokens") or 0
            self._completion += usage_entry.get("completion_tokens") or 0

    def add_cached(self) -> None:
        with self._lock:
            self._cached += 1

    def add_priced(self, cost: float | None, further_calls: int) -> None:
        """`further_calls`: dspy reports the calls for `n` candidates as one."""
        with self._lock:
            self._calls += further_calls
            if cost is not None:
                self._cost = (self._cost or 0.0) + cost

    def totals(self) -> dict[str, Any]:
        with self._lock:
            return {
                "calls": self._calls,
                "promptTokens": self._prompt,
                "completionTokens": self._completion,
                "cost": None if self._cost is None else round(self._cost, 8),
                "cachedCalls": self._cached,
            }
