"""What counts against a job's budget: sums over all attempts, read from the journal's lines as the calls' own sums are.

A call of which nobody knows what it took (its answer never came, or told no tokens) counts as the others did on
average, so that a kill is no way around a cap. Without pydantic and dspy.
"""

from dataclasses import dataclass

import orjson

from dspy_service_core.records.usage import Usage
from dspy_service_core.records.values import number_of

_RAN = b'{"ran":'


@dataclass
class Spending:
    calls: int = 0
    """Answered ones, and those whose answers nobody saw."""
    tokens: int = 0
    with_tokens: int = 0
    """Calls whose tokens are known."""
    cost: float = 0.0
    with_cost: int = 0
    seconds: float = 0.0
    """Of the answered calls, added up."""
    answered: int = 0
    ran: float = 0.0
    """Seconds that earlier attempts ran, as far as they noted it."""

    def add(self, usage: Usage) -> None:
        self.calls += usage.calls
        self.answered += usage.calls
        self.seconds += usage.seconds
        if usage.prompt_tokens is not None or usage.completion_tokens is not None:
            self.with_tokens += usage.calls
            self.tokens += (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        if usage.cost_usd is not None:
            self.with_cost += usage.calls
            self.cost += usage.cost_usd

    def add_unseen(self) -> None:
        self.calls += 1

    @property
    def tokens_a_call(self) -> float:
        return self.tokens / self.with_tokens if self.with_tokens else 0.0

    @property
    def cost_a_call(self) -> float:
        return self.cost / self.with_cost if self.with_cost else 0.0

    @property
    def seconds_a_call(self) -> float:
        return self.seconds / self.answered if self.answered else 0.0

    def read(self, line: bytes) -> None:
        """Takes in a line that tells how long the job has run; any other is passed over."""
        if line.startswith(_RAN):
            try:
                found = number_of(orjson.loads(line)["ran"])
            except (orjson.JSONDecodeError, KeyError):
                return
            self.ran = max(self.ran, found or 0.0)


def ran(seconds: float) -> bytes:
    return orjson.dumps({"ran": round(seconds, 3)}) + b"\n"
