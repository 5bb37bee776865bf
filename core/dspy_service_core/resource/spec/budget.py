"""What a job may take at most: caps at which its search ends with the best program found so far."""

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import Field
from pydantic.alias_generators import to_camel

from dspy_service_core.records.run import BudgetCap
from dspy_service_core.resource.spec.run_defaults import LONGEST_DEADLINE_SECONDS
from dspy_service_core.resource.wire import Decimal, Wire

MOST_COUNTED = 10**15
"""Calls or tokens; more would be no exact number in JSON readers that know doubles alone."""
MOST_USD = 10**9


def told(given: Mapping[str, Any] | None) -> dict[str, float]:
    """A resource's caps by the contract's names, as numbers; empty where it has none."""
    caps = {name: (given or {}).get(to_camel(name)) for name in get_args(BudgetCap)}
    return {name: float(cap) if isinstance(cap, str) else cap for name, cap in caps.items() if cap is not None}


class Budget(Wire):
    """Each cap is for the whole job, all attempts and models together; the final score is reserved from it."""

    metric_calls: int | None = Field(
        default=None,
        ge=1,
        le=MOST_COUNTED,
        description="How many times the metric may score a row: for the scores before and after, and in the search. "
        "Tries before the run, and feedback on single predictors, do not count.",
    )
    model_calls: int | None = Field(
        default=None,
        ge=1,
        le=MOST_COUNTED,
        description="How many calls the job's models may answer. Those whose answers nobody saw count too, and those "
        "that were answered from memory do not.",
    )
    tokens: int | None = Field(
        default=None, ge=1, le=MOST_COUNTED, description="How many tokens may be sent and received, added up."
    )
    cost_usd: Decimal | None = Field(
        default=None,
        description="How many US dollars the model calls may cost. The price of each model has to be known: give "
        "prices in its settings where the provider does not list it.",
    )
    seconds: int | None = Field(
        default=None,
        ge=1,
        le=LONGEST_DEADLINE_SECONDS,
        description="Seconds that the run may take, all attempts together; time in the queue or suspended does not "
        "count. Unlike at deadlineSeconds, the job succeeds with the best program so far.",
    )

    def numbers(self) -> Mapping[BudgetCap, float]:
        """The given caps by the contract's names."""
        given: dict[BudgetCap, Any] = {name: getattr(self, name) for name in get_args(BudgetCap)}
        return {name: float(value) for name, value in given.items() if value is not None}
