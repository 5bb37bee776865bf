"""GEPA's arguments that are Python objects: what a job may give in their place, and what it is refused for, by path."""

import re
from pathlib import Path
from typing import Any

import pytest

from checked_jobs import check_request, check_resource
from dspy_service_core.errors import UnusableRequest
from dspy_service_core.optimizers.families.gepa_objects import PLACES, PLAIN, proposals_a_step
from dspy_service_core.resource.job import OptimizationJobSpec
from run_requests import METRIC, SIGNATURE, run_request, ticket_rows

Kwargs = dict[str, Any]


def form(kind: str, **args: Any) -> dict[str, Any]:
    return {"type": kind, **({"args": args} if args else {})}


def check(kwargs: Kwargs) -> None:
    named = {"optimizer_name": "gepa", "reflection_model_config": {"name": "openai/gpt-4o"}}
    check_request(run_request(**named, optimizer_kwargs={"max_metric_calls": 100, **kwargs}))


def further(**given: Any) -> Kwargs:
    return {"gepa_kwargs": given}


STOP = form("TimeoutStopCondition", timeout_seconds=0.5)
ACCEPTED: dict[str, Kwargs] = {
    "one stop condition": further(stop_callbacks=STOP),
    "several": further(
        stop_callbacks=[
            STOP,
            form("ScoreThresholdStopper", threshold=0.9),
            form("NoImprovementStopper", max_iterations_without_improvement=3),
            form("MaxTrackedCandidatesStopper", max_tracked_candidates=4),
            form("MaxCandidateProposalsStopper", max_proposals=9),
            form("MaxMetricCallsStopper", max_metric_calls=50),
        ]
    ),
    "none": further(stop_callbacks=None),
    "all of several": further(
        stop_callbacks=form("CompositeStopper", stoppers=[STOP, form("CompositeStopper", stoppers=[STOP])], mode="all")
    ),
    "greedy": {"candidate_selection_strategy": form("EpsilonGreedyCandidateSelector", epsilon=0.25)},
    "of the best": {"candidate_selection_strategy": form("TopKParetoCandidateSelector", k=3)},
    "without arguments": {"candidate_selection_strategy": {"type": "ParetoCandidateSelector", "args": None}},
    "four independent": further(sampling_strategy=form("IndependentSampling", n=4)),
    "three of one": further(
        sampling_strategy=form("SameParentSampling", n=3), selection_strategy=form("TopKImprovements", k=3)
    ),
    "two times three": further(
        sampling_strategy=form("PxNSampling", p=2, n=3), selection_strategy=form("BestImprovement")
    ),
    "batches": further(batch_sampler=form("EpochShuffledBatchSampler", minibatch_size=5)),
    "lateral moves": further(acceptance_criterion=form("ImprovementOrEqualAcceptance")),
    "plain ones": further(merge_val_overlap_floor=3, cache_evaluation=True, use_cloudpickle=True),
    "all predictors": {"component_selector": form("AllReflectionComponentSelector")},
    "a proposer": {
        "instruction_proposer": form(
            "InstructionProposer",
            additional_instructions="Write in the imperative.",
            base_instructions="Improve it.",
            skills=["Be brief."],
            max_chars=1500,
            truncate_history_outputs=True,
        )
    },
    "statistics": {"track_stats": True},
    **{
        f"{name} {word}": {name: word} if place.within == "kwargs" else further(**{name: word})
        for name, place in PLACES.items()
        for word in place.words
    },
}


@pytest.mark.parametrize("kwargs", ACCEPTED.values(), ids=ACCEPTED)
def test_taken(kwargs: Kwargs) -> None:
    check(kwargs)


def greedy(**args: Any) -> Kwargs:
    return {"candidate_selection_strategy": form("EpsilonGreedyCandidateSelector", **args)}


G = "optimizer_kwargs.gepa_kwargs"
REFUSED: dict[str, tuple[Kwargs, str]] = {
    "nothing of the kind": (
        further(stop_callbacks=[STOP, form("Timeout", seconds=1)]),
        f"{G}.stop_callbacks[1].type: there is no 'Timeout'. Allowed: TimeoutStopCondition, ScoreThresholdStopper,",
    ),
    "the service's own": (
        further(stop_callbacks=form("FileStopper", stop_file_path="/x")),
        f"{G}.stop_callbacks.type: there is no 'FileStopper'.",
    ),
    "of another place": (
        further(stop_callbacks=form("BestImprovement")),
        f"{G}.stop_callbacks.type: there is no 'BestImprovement'.",
    ),
    "no type": (further(sampling_strategy={"n": 3}), f'{G}.sampling_strategy must be an object {{"type": ...'),
    "a type that is no text": (further(sampling_strategy={"type": [1]}), f"{G}.sampling_strategy.type: there is no a"),
    "a word": (further(sampling_strategy="independent"), f"{G}.sampling_strategy must be an object"),
    "a list of one": (further(sampling_strategy=[form("IndependentSampling", n=2)]), f"{G}.sampling_strategy must be"),
    "more keys": (further(sampling_strategy={"type": "IndependentSampling", "n": 2}), f"{G}.sampling_strategy must be"),
    "arguments in a list": (
        further(sampling_strategy={"type": "IndependentSampling", "args": [4]}),
        f"{G}.sampling_strategy.args must be an object: the arguments of IndependentSampling by name.",
    ),
    "an argument too many": (
        further(sampling_strategy=form("IndependentSampling", n=2, p=1)),
        f"{G}.sampling_strategy.args.p: IndependentSampling has no such argument. It takes: n.",
    ),
    "an argument of one that has none": (
        further(selection_strategy=form("AllImprovements", k=2)),
        f"{G}.selection_strategy.args.k: AllImprovements has no such argument. It takes: none.",
    ),
    "an argument too few": (
        further(sampling_strategy=form("PxNSampling", p=2)),
        f"{G}.sampling_strategy.args.n is missing: PxNSampling needs a whole number from 1 to 64.",
    ),
    "nothing": (further(sampling_strategy=form("IndependentSampling", n=0)), "args.n must be a whole number from 1 to"),
    "too many": (further(sampling_strategy=form("IndependentSampling", n=10_000)), "from 1 to 64, not 10000."),
    "too many together": (
        further(sampling_strategy=form("PxNSampling", p=9, n=9)),
        f"{G}.sampling_strategy proposes 81 candidates a step: at most 64 are allowed.",
    ),
    "a number that is a text": (further(sampling_strategy=form("SameParentSampling", n="4")), "not '4'."),
    "a number that is a flag": (further(sampling_strategy=form("SameParentSampling", n=True)), "not true."),
    "no time": (
        further(stop_callbacks=[form("TimeoutStopCondition", timeout_seconds=0)]),
        f"{G}.stop_callbacks[0].args.timeout_seconds must be a number above 0",
    ),
    "a share above one": (
        greedy(epsilon=1.5),
        "optimizer_kwargs.candidate_selection_strategy.args.epsilon must be a number from 0 to 1, not 1.5.",
    ),
    "a share left out": (greedy(), "optimizer_kwargs.candidate_selection_strategy.args.epsilon is missing"),
    "a selection that nobody knows": ({"candidate_selection_strategy": "best"}, '"top_k_pareto" or dict, not "best".'),
    "a selection of nothing": ({"candidate_selection_strategy": None}, "candidate_selection_strategy: Optimizer"),
    "a component selection that nobody knows": (
        {"component_selector": "one"},
        '"round_robin", "all" or dict, not "one".',
    ),
    "a proposer in a word": ({"instruction_proposer": "mine"}, "instruction_proposer"),
    "a proposer with an adapter": (
        {"instruction_proposer": form("InstructionProposer", adapter="json")},
        "optimizer_kwargs.instruction_proposer.args.adapter: InstructionProposer has no such argument.",
    ),
    "an empty template": (
        {"instruction_proposer": form("InstructionProposer", base_instructions=" ")},
        "args.base_instructions must be a text, not ' '.",
    ),
    "code by a proposer": ({"code_proposer": form("X")}, "optimizer_kwargs.code_proposer"),
    "a frontier that nobody knows": (
        further(frontier_type="rows"),
        f"{G}.frontier_type must be 'instance' or 'objective' or 'hybrid' or 'cartesian'.",
    ),
    "a frontier as an object": (further(frontier_type=form("instance")), f"{G}.frontier_type must be 'instance' or"),
    "nested wrongly": (
        further(stop_callbacks=form("CompositeStopper", stoppers=[STOP, "x"])),
        f"{G}.stop_callbacks.args.stoppers[1] must be an object",
    ),
    "nested in a mode of its own": (
        further(stop_callbacks=form("CompositeStopper", stoppers=[STOP], mode="some")),
        "args.mode must be 'any' or 'all', not 'some'.",
    ),
    "nothing nested": (further(stop_callbacks=form("CompositeStopper", stoppers=[])), "must be a list of stop condit"),
    "a flag that is a text": (further(cache_evaluation="yes"), f"{G}.cache_evaluation must be true or false."),
    "nobody knows it": (further(parallel=4), f"{G}.parallel: gepa has no such argument. Supported: stop_callbacks,"),
    "twice": (
        further(perfect_score=2),
        f"{G}.perfect_score is an argument of dspy.GEPA itself: give optimizer_kwargs.perfect_score.",
    ),
    "by gepa's own name": (further(module_selector="all"), "give optimizer_kwargs.component_selector."),
    "the service's": (further(callbacks=[]), f"{G}.callbacks cannot be set: the service sets it."),
    "without effect": (further(reflection_prompt_template="x"), "is not supported by dspy.GEPA."),
    "two sizes of a batch": (
        {"reflection_minibatch_size": 4, **further(batch_sampler=form("EpochShuffledBatchSampler", minibatch_size=5))},
        "optimizer_kwargs.reflection_minibatch_size contradicts",
    ),
    "more kept than proposed": (
        further(sampling_strategy=form("IndependentSampling", n=2), selection_strategy=form("TopKImprovements", k=3)),
        f"{G}.selection_strategy keeps 3 candidates of a step, and {G}.sampling_strategy proposes 2: give k of at most",
    ),
    "merges without a number": ({"max_merge_invocations": None}, "max_merge_invocations must be a number where"),
}


@pytest.mark.parametrize(("kwargs", "message"), REFUSED.values(), ids=REFUSED)
def test_refused(kwargs: Kwargs, message: str) -> None:
    with pytest.raises(UnusableRequest) as refused:
        check(kwargs)
    assert message in str(refused.value)


def test_what_is_nested_without_end_is_refused() -> None:
    deep = STOP
    for _ in range(12):
        deep = form("CompositeStopper", stoppers=[deep])
    with pytest.raises(UnusableRequest, match="is nested too deeply"):
        check(further(stop_callbacks=deep))


def test_a_step_of_a_chain_is_checked_alike() -> None:
    step = {"name": "gepa", "kwargs": {"max_metric_calls": 100, **further(sampling_strategy=form("Four"))}}
    named = {"optimizer_name": "dspy.BetterTogether", "reflection_model_config": {"name": "openai/gpt-4o"}}
    request = run_request(**named, optimizer_kwargs={"g": step}, compile_kwargs={"strategy": "g"})
    with pytest.raises(UnusableRequest) as refused:
        check_request(request)
    assert "optimizer_kwargs.g.kwargs.gepa_kwargs.sampling_strategy.type: there is no 'Four'" in str(refused.value)
    step["kwargs"] |= further(sampling_strategy=form("IndependentSampling", n=4)) | {
        "candidate_selection_strategy": form("TopKParetoCandidateSelector", k=2)
    }
    check_request(run_request(**named, optimizer_kwargs={"g": step}, compile_kwargs={"strategy": "g"}))


def test_a_resource_is_told_in_its_own_words() -> None:
    spec = OptimizationJobSpec.model_validate(
        {
            "module": {"name": "predict"},
            "optimizer": {
                "name": "gepa",
                "kwargs": {"max_metric_calls": 100, **further(stop_callbacks=[form("Timeout")])},
            },
            "signature": {"code": SIGNATURE},
            "metric": {"code": METRIC},
            "dataset": {"rows": ticket_rows(40)},
            "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
            "models": {"default": {"name": "m"}, "reflection": {"name": "m"}},
        }
    )
    with pytest.raises(UnusableRequest) as refused:
        check_resource(spec)
    assert "spec.optimizer.kwargs.gepa_kwargs.stop_callbacks[0].type: there is no 'Timeout'" in str(refused.value)


@pytest.mark.parametrize(
    ("sampling", "count"),
    [
        (None, 1),
        (form("SingleMutationSampling"), 1),
        (form("IndependentSampling", n=4), 4),
        (form("PxNSampling", p=2, n=3), 6),
        ({"type": "IndependentSampling", "args": "x"}, 1),
    ],
)
def test_proposals_of_a_step(sampling: Any, count: int) -> None:
    assert proposals_a_step(sampling) == count


def test_the_page_names_all_of_the_table() -> None:
    page = (Path(__file__).parents[5] / "docs" / "gepa.md").read_text()
    told = set(re.findall(r"`(\w+)`", page))
    names = {name for name, place in PLACES.items() if place.types or place.words}
    types = {kind for place in PLACES.values() for kind in place.types}
    arguments = {name for place in PLACES.values() for kind in place.types.values() for name in kind}
    words = {word for place in PLACES.values() for word in place.words}
    assert names | types | arguments | words | PLAIN.keys() <= told
