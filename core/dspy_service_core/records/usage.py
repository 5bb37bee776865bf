"""What model calls took: calls, tokens, seconds and cost. Sums are told for the whole job, and by model, stage and
predictor."""

from dataclasses import field
from typing import Literal

from dspy_service_core.records.record import Decimal, JsonObject, Record, record, says

CallStage = Literal["preflight", "baseline", "optimize", "final"]
"""The stages of a run by which its calls are told."""


@record
class Usage(Record):
    """Use of models; several can be added."""

    calls: int = field(default=0, metadata=says("Model calls that a model answered."))
    cached_calls: int = field(
        default=0, metadata=says("Model calls answered from memory, or from what an earlier attempt was answered.")
    )
    prompt_tokens: int | None = field(
        default=None, metadata=says("Tokens sent to the models; absent where no answer told how many.")
    )
    completion_tokens: int | None = field(
        default=None, metadata=says("Tokens received from the models; absent where no answer told how many.")
    )
    cached_prompt_tokens: int = field(
        default=0, metadata=says("Those of the tokens sent that a provider read from its own cache.")
    )
    reasoning_tokens: int = field(
        default=0, metadata=says("Those of the tokens received that a model spent on reasoning.")
    )
    cost_usd: Decimal | None = field(
        default=None, metadata=says("Cost in US dollars; absent where the price of a call is not known.")
    )
    seconds: Decimal = field(
        default=0.0, metadata=says("Seconds that the answered calls took, added up: many may run at once.")
    )
    calls_unknown: int = field(
        default=0, metadata=says("Model calls that were sent and whose answers nobody saw, as after a kill.")
    )

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            calls=self.calls + other.calls,
            cached_calls=self.cached_calls + other.cached_calls,
            prompt_tokens=_told(self.prompt_tokens, other.prompt_tokens),
            completion_tokens=_told(self.completion_tokens, other.completion_tokens),
            cached_prompt_tokens=self.cached_prompt_tokens + other.cached_prompt_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_usd=_known(self, other),
            seconds=self.seconds + other.seconds,
            calls_unknown=self.calls_unknown + other.calls_unknown,
        )


def _told(one: int | None, other: int | None) -> int | None:
    """The sum of what was told."""
    return one if other is None else other if one is None else one + other


def _known(one: Usage, other: Usage) -> float | None:
    """The cost of both, or None: a part of the cost would look like all of it."""
    if not one.calls and one.cost_usd is None:
        return other.cost_usd
    if not other.calls and other.cost_usd is None:
        return one.cost_usd
    return None if one.cost_usd is None or other.cost_usd is None else one.cost_usd + other.cost_usd


def told(usage: Usage) -> JsonObject:
    """As the HTTP contract has it."""
    cost, none = usage.cost_usd, None if usage.calls else 0
    return {
        "calls": usage.calls,
        "cached_calls": usage.cached_calls,
        "prompt_tokens": none if usage.prompt_tokens is None else usage.prompt_tokens,
        "completion_tokens": none if usage.completion_tokens is None else usage.completion_tokens,
        "cached_prompt_tokens": usage.cached_prompt_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": None if cost is None else round(cost, 8),
        "seconds": round(usage.seconds, 3),
    }
