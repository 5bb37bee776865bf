"""Builds the objects that GEPA takes of the JSON forms in which a job gives them (core's `gepa_objects` has the table).

Each is constructed anew in every attempt: a time limit and a count of steps without improvement begin anew there.
"""

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer
from gepa.strategies import (
    acceptance,
    batch_sampler,
    candidate_selector,
    component_selector,
    eval_policy,
    proposal_sampling,
    proposal_selection,
)
from gepa.utils import stop_condition

from dspy_service_core.optimizers.families.gepa_objects import NESTED, PLACES
from dspy_service_runner.optimizer.failures import JobFailed, first_line

_HOMES = (
    acceptance,
    batch_sampler,
    candidate_selector,
    component_selector,
    eval_policy,
    proposal_sampling,
    proposal_selection,
    stop_condition,
)
TYPES: Mapping[str, Callable[..., Any]] = {
    "InstructionProposer": InstructionProposer,
    **{
        name: getattr(home, name)
        for place in PLACES.values()
        for name in place.types
        for home in _HOMES
        if hasattr(home, name)
    },
}
_DRAWS = frozenset({"ParetoCandidateSelector", "EpsilonGreedyCandidateSelector", "TopKParetoCandidateSelector"})
_DRAWS_BATCHES = "EpochShuffledBatchSampler"


class Builder:
    """`seed` is of the random numbers that the objects draw."""

    def __init__(self, seed: int | None) -> None:
        self._random = random.Random(seed)

    def arguments(self, given: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The arguments with objects in place of their forms; null means not given. `path` is for messages."""
        return {name: self._built(value, f"{path}.{name}") for name, value in given.items() if value is not None}

    def _built(self, value: Any, path: str) -> Any:
        if isinstance(value, list):
            return [self._built(each, f"{path}[{n}]") for n, each in enumerate(value)]
        if not isinstance(value, Mapping) or value.get("type") not in TYPES:
            return value
        return self._object(value["type"], dict(value.get("args") or {}), path)

    def _object(self, name: str, arguments: dict[str, Any], path: str) -> Any:
        nested = self._built(arguments.pop(NESTED, []), f"{path}.args.{NESTED}")
        if name in _DRAWS or name == _DRAWS_BATCHES:
            arguments["rng"] = self._random
        if skills := arguments.get("skills"):
            arguments["skills"] = [f"{text}\n" for text in _several(skills)]  # one line may be taken for a path
        try:
            return TYPES[name](*nested, **arguments)
        except Exception as error:
            said = first_line(error)
            raise JobFailed("InvalidOptimizer", f"{path}: {name} refuses its arguments: {said}") from error


def _several(given: Any) -> Iterable[str]:
    return [given] if isinstance(given, str) else given
