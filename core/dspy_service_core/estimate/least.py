"""The least that a job takes to try anything at all: a budget below it would be spent for nothing. Pure.

It is a true bound as far as the estimate is one. A call that is answered from the job's own cache counts in it, except
where that is likely: a program of the job's own is tried on a training row before the run, which the optimizer may ask
for again.
"""

from dataclasses import dataclass
from functools import reduce

from dspy_service_core.estimate.estimate import Planned, estimate
from dspy_service_core.optimizers.calls import Calls, no_calls


@dataclass(frozen=True, slots=True)
class Least:
    """By what it is for, in the order of the run."""

    metric_calls: dict[str, int]
    model_calls: dict[str, int]

    @property
    def tokens(self) -> int:
        """One a call, which is more than nothing: how many a prompt has, each model's own tokenizer tells."""
        return sum(self.model_calls.values())


BEFORE, BASELINE, PROPOSAL, FINAL = "before the run", "for the baseline", "for one proposal", "for the final score"


def least(planned: Planned) -> Least:
    stages, first = estimate(planned).stages, _first_try(planned)
    embeds = int(planned.family.embeds_rows)
    own_tries = planned.row.calls.least if planned.own_program else 0
    metric = {
        BASELINE: stages["baseline"].metric.least,
        PROPOSAL: first.metric.least,
        FINAL: stages["final"].metric.least,
    }
    model = {
        BEFORE: stages["preflight"].model.least - own_tries,
        BASELINE: stages["baseline"].model.least,
        PROPOSAL: first.metric.least * planned.row.calls.least + first.own.least + embeds,
        FINAL: stages["final"].model.least,
    }
    return Least(_needed(metric), _needed(model))


def _first_try(planned: Planned) -> Calls:
    predictors = planned.predictors or 1
    known = planned.options and planned.family.first_try(planned.options, planned.counts, predictors)
    return known or no_calls(predictors)


def _needed(parts: dict[str, int]) -> dict[str, int]:
    return {name: number for name, number in parts.items() if number}


def said(parts: dict[str, int]) -> str:
    """The sum in a sentence's middle: 43 (1 before the run, 20 for the baseline, ...)."""
    total = reduce(int.__add__, parts.values(), 0)
    return f"{total} ({', '.join(f'{number} {what}' for what, number in parts.items())})"
