"""The arguments of GEPA that are Python objects, in the JSON forms in which a job gives them.

    "gepa_kwargs": {"sampling_strategy": {"type": "IndependentSampling", "args": {"n": 4}}}

`PLACES` is the one table of them: types are gepa's own class names, arguments those of their constructors. Jobs are
checked by it when they are submitted, the optimizer builds the objects by it, and docs/gepa.md is held to it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Json = Any
MOST_PROPOSALS = 64
"""In one step: each is scored on rows of its own, twice."""
NESTED = "stoppers"
_DEEPEST = 8
_LONGEST_TEXT = 100_000


@dataclass(frozen=True, slots=True)
class Argument:
    """What one argument takes. `least` is allowed, or not with `above`."""

    kind: Literal["whole", "number", "flag", "text", "texts", "choice", "stoppers"]
    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    required: bool = True
    choices: tuple[str, ...] = ()

    @property
    def expected(self) -> str:
        match self.kind:
            case "choice":
                return " or ".join(f"'{choice}'" for choice in self.choices)
            case "flag":
                return "true or false"
            case "text":
                return "a text"
            case "texts":
                return "a text or a list of texts"
            case "stoppers":
                return "a list of stop conditions"
        return f"{'a whole number' if self.kind == 'whole' else 'a number'}{self._bounds}"

    @property
    def _bounds(self) -> str:
        parts = [] if math.isinf(self.least) else [f"{'above' if self.above else 'from'} {self.least:g}"]
        parts += [] if math.isinf(self.most) else [f"to {self.most:g}"]
        return "".join(f" {part}" for part in parts)

    def takes(self, value: Json) -> bool:
        match self.kind:
            case "choice":
                return value in self.choices
            case "flag":
                return isinstance(value, bool)
            case "text":
                return _is_text(value)
            case "texts":
                return _is_text(value) or (isinstance(value, list) and bool(value) and all(map(_is_text, value)))
            case "stoppers":
                return isinstance(value, list) and bool(value)
        return self._counts(value)

    def _counts(self, value: Json) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.kind == "whole" else int | float):
            return False
        return self.least <= value <= self.most and not (self.above and value == self.least)


def whole(least: int = 1, most: float = 2**53) -> Argument:
    return Argument("whole", least, most)


@dataclass(frozen=True, slots=True)
class Place:
    """One argument of GEPA: the plain words that it takes, and the objects by their types."""

    words: tuple[str, ...] = ()
    types: Mapping[str, Mapping[str, Argument]] = field(default_factory=dict)
    several: bool = False
    """Whether it takes a list of them too."""
    within: Literal["kwargs", "gepa_kwargs"] = "gepa_kwargs"

    @property
    def expected(self) -> str:
        said = [f"'{word}'" for word in self.words]
        if self.types:
            many = ", or a list of such" if self.several else ""
            said.append(f'an object {{"type": ..., "args": {{...}}}} of the types {", ".join(self.types)}{many}')
        return " or ".join(said)


_TEXT = Argument("text", required=False)
PLACES: Mapping[str, Place] = {
    "candidate_selection_strategy": Place(
        words=("pareto", "current_best", "epsilon_greedy", "top_k_pareto"),
        types={
            "ParetoCandidateSelector": {},
            "CurrentBestCandidateSelector": {},
            "EpsilonGreedyCandidateSelector": {"epsilon": Argument("number", 0, 1)},
            "TopKParetoCandidateSelector": {"k": whole()},
        },
        within="kwargs",
    ),
    "component_selector": Place(
        words=("round_robin", "all"),
        types={"RoundRobinReflectionComponentSelector": {}, "AllReflectionComponentSelector": {}},
        within="kwargs",
    ),
    "instruction_proposer": Place(
        types={
            "InstructionProposer": {
                "additional_instructions": _TEXT,
                "base_instructions": _TEXT,
                "skills": Argument("texts", required=False),
                "max_chars": Argument("whole", 1, 2**53, required=False),
                "truncate_history_outputs": Argument("flag", required=False),
            }
        },
        within="kwargs",
    ),
    "stop_callbacks": Place(
        types={
            "TimeoutStopCondition": {"timeout_seconds": Argument("number", 0, 10**9, above=True)},
            "ScoreThresholdStopper": {"threshold": Argument("number", -(10**9), 10**9)},
            "NoImprovementStopper": {"max_iterations_without_improvement": whole()},
            "MaxTrackedCandidatesStopper": {"max_tracked_candidates": whole(2)},
            "MaxCandidateProposalsStopper": {"max_proposals": whole()},
            "MaxMetricCallsStopper": {"max_metric_calls": whole()},
            "CompositeStopper": {
                NESTED: Argument("stoppers"),
                "mode": Argument("choice", choices=("any", "all"), required=False),
            },
        },
        several=True,
    ),
    "sampling_strategy": Place(
        types={
            "SingleMutationSampling": {},
            "SameParentSampling": {"n": whole(1, MOST_PROPOSALS)},
            "IndependentSampling": {"n": whole(1, MOST_PROPOSALS)},
            "PxNSampling": {"p": whole(1, MOST_PROPOSALS), "n": whole(1, MOST_PROPOSALS)},
        }
    ),
    "selection_strategy": Place(
        types={"AllImprovements": {}, "BestImprovement": {}, "TopKImprovements": {"k": whole(1, MOST_PROPOSALS)}}
    ),
    "batch_sampler": Place(words=("epoch_shuffled",), types={"EpochShuffledBatchSampler": {"minibatch_size": whole()}}),
    "acceptance_criterion": Place(
        words=("strict_improvement", "improvement_or_equal"),
        types={"StrictImprovementAcceptance": {}, "ImprovementOrEqualAcceptance": {}},
    ),
    "val_evaluation_policy": Place(words=("full_eval",), types={"FullEvaluationPolicy": {}}),
    "frontier_type": Place(words=("instance", "objective", "hybrid", "cartesian")),
}
PLAIN: Mapping[str, Argument] = {
    "merge_val_overlap_floor": whole(),
    "cache_evaluation": Argument("flag"),
    "use_cloudpickle": Argument("flag"),
    "mlflow_tracking_uri": Argument("text"),
    "mlflow_experiment_name": Argument("text"),
    "mlflow_attach_existing": Argument("flag"),
    "wandb_attach_existing": Argument("flag"),
    "tracking_key_prefix": Argument("text"),
}
"""What else `gepa_kwargs` may hold."""
INSTANCE = "instance"
"""The type of frontier that needs no objective scores."""


def problems(place: Place, value: Json, path: str) -> Iterator[str]:
    """`path` is where the value stands, for messages."""
    if value is None or (isinstance(value, str) and value in place.words):
        return
    many = place.several and isinstance(value, list)
    for at, each in [(f"{path}[{n}]", each) for n, each in enumerate(value)] if many else [(path, value)]:
        yield from _object_problems(place, each, at)


def _object_problems(place: Place, value: Json, path: str, depth: int = _DEEPEST) -> Iterator[str]:
    if not isinstance(value, Mapping) or not place.types or not {"type"} <= value.keys() <= {"type", "args"}:
        yield f"{path} must be {place.expected}."
        return
    arguments = place.types.get(value["type"]) if isinstance(value["type"], str) else None
    if arguments is None:
        yield f"{path}.type: there is no {_shown(value['type'])}. Allowed: {', '.join(place.types)}."
        return
    given = {} if value.get("args") is None else value["args"]
    if not isinstance(given, Mapping):
        yield f"{path}.args must be an object: the arguments of {value['type']} by name."
        return
    yield from _argument_problems(value["type"], arguments, given, f"{path}.args")
    nested = given.get(NESTED) if NESTED in arguments else None
    for n, each in enumerate(nested if isinstance(nested, list) else ()):
        if not depth:
            yield f"{path}.args.{NESTED} is nested too deeply."
            return
        yield from _object_problems(place, each, f"{path}.args.{NESTED}[{n}]", depth - 1)


def _argument_problems(
    name: str, arguments: Mapping[str, Argument], given: Mapping[str, Json], path: str
) -> Iterator[str]:
    for key, value in given.items():
        argument = arguments.get(key)
        if argument is None:
            yield f"{path}.{key}: {name} has no such argument. It takes: {', '.join(arguments) or 'none'}."
        elif not argument.takes(value) and not (value is None and not argument.required):
            yield f"{path}.{key} must be {argument.expected}, not {_shown(value)}."
    for key, argument in arguments.items():
        if argument.required and key not in given:
            yield f"{path}.{key} is missing: {name} needs {argument.expected}."


def proposals_a_step(sampling: Json) -> int:
    """How many candidates are proposed beside each other."""
    arguments = sampling.get("args") if isinstance(sampling, Mapping) else None
    if not isinstance(arguments, Mapping):
        return 1
    counts = [arguments.get(name, 1) for name in ("p", "n")]
    return math.prod(count if isinstance(count, int) and not isinstance(count, bool) else 1 for count in counts)


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= _LONGEST_TEXT


def _shown(value: Json) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    return repr(value)[:80] if isinstance(value, str) else str(value).lower()[:80] if value is not None else "null"
