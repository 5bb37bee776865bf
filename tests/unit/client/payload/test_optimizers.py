"""An optimizer's arguments, read back from the object that was made with them."""

from typing import Any

import dspy
import numpy as np
import pytest
from dspy.teleprompt import BootstrapFewShotWithOptuna
from dspy.teleprompt.gepa.instruction_proposal import InstructionProposer
from gepa.strategies import candidate_selector, proposal_sampling, proposal_selection
from gepa.utils import stop_condition

from dspy_service import UnusableObject, build_payload
from dspy_service.payload.optimizers import read_optimizer

LM = dspy.LM("openai/other", api_key="k")
EMBEDDER = dspy.Embedder("openai/embed", api_key="k")
TRAINSET = [dspy.Example(question="q", answer="a").with_inputs("question")] * 3


def metric(gold: Any, pred: Any, trace: Any = None, pred_name: Any = None, pred_trace: Any = None) -> float:
    return 1.0


MADE: dict[str, tuple[Any, dict[str, Any]]] = {
    "LabeledFewShot": (dspy.LabeledFewShot, {"k": 3}),
    "BootstrapFewShot": (
        dspy.BootstrapFewShot,
        {
            "metric_threshold": 0.5,
            "max_bootstrapped_demos": 2,
            "max_labeled_demos": 3,
            "max_rounds": 2,
            "max_errors": 7,
            "teacher_settings": {"temperature": 1},
        },
    ),
    "BootstrapFewShotWithRandomSearch": (
        dspy.BootstrapFewShotWithRandomSearch,
        {
            "max_bootstrapped_demos": 2,
            "max_labeled_demos": 3,
            "max_rounds": 2,
            "num_candidate_programs": 5,
            "num_threads": 2,
            "max_errors": 7,
            "stop_at_score": 90,
            "metric_threshold": 0.5,
        },
    ),
    "BootstrapFewShotWithOptuna": (
        BootstrapFewShotWithOptuna,
        {"max_bootstrapped_demos": 2, "max_labeled_demos": 3, "num_candidate_programs": 5, "num_threads": 2},
    ),
    "MIPROv2": (
        dspy.MIPROv2,
        {
            "prompt_model": LM,
            "task_model": LM,
            "auto": None,
            "num_candidates": 3,
            "max_bootstrapped_demos": 2,
            "max_labeled_demos": 3,
            "num_threads": 2,
            "max_errors": 7,
            "seed": 3,
            "init_temperature": 0.7,
            "verbose": True,
            "track_stats": False,
            "metric_threshold": 0.5,
        },
    ),
    "GEPA": (
        dspy.GEPA,
        {
            "auto": "light",
            "reflection_lm": LM,
            "reflection_minibatch_size": 4,
            "candidate_selection_strategy": "current_best",
            "skip_perfect_score": False,
            "add_format_failure_as_feedback": True,
            "component_selector": "all",
            "use_merge": False,
            "max_merge_invocations": 6,
            "failure_score": -1.0,
            "perfect_score": 2.0,
            "track_stats": True,
            "warn_on_score_mismatch": False,
            "seed": 5,
            "gepa_kwargs": {"frontier_type": "instance"},
        },
    ),
    "GEPA of calls": (dspy.GEPA, {"max_metric_calls": 30, "reflection_lm": LM}),
    "SIMBA": (
        dspy.SIMBA,
        {
            "bsize": 4,
            "num_candidates": 3,
            "max_steps": 2,
            "max_demos": 1,
            "prompt_model": LM,
            "demo_input_field_maxlen": 50,
            "num_threads": 2,
            "temperature_for_sampling": 0.3,
            "temperature_for_candidates": 0.4,
        },
    ),
    "COPRO": (dspy.COPRO, {"prompt_model": LM, "breadth": 3, "depth": 2, "init_temperature": 1.1, "track_stats": True}),
    "InferRules": (
        dspy.InferRules,
        {"num_candidates": 3, "num_rules": 4, "num_threads": 2, "max_bootstrapped_demos": 2, "max_rounds": 2},
    ),
}
ROLES = {"reflection_lm": "reflection", "prompt_model": "prompt", "task_model": "task"}


@pytest.mark.parametrize("name", MADE)
def test_every_argument_is_read_back(name: str) -> None:
    kind, arguments = MADE[name]
    given = {} if kind is dspy.LabeledFewShot else {"metric": metric}
    with dspy.context(lm=dspy.LM("openai/default")):
        found = read_optimizer(kind(**given, **arguments))
    assert found.metric is given.get("metric")
    assert found.kwargs == {name: value for name, value in arguments.items() if name not in ROLES}
    assert found.models == {ROLES[name]: value for name, value in arguments.items() if name in ROLES}
    assert found.name.rpartition(".")[2] == kind.__name__


@pytest.mark.parametrize("name", MADE)
def test_defaults_are_left_to_the_service(name: str) -> None:
    kind, _ = MADE[name]
    required = {"GEPA": {"auto": "light", "reflection_lm": LM}}.get(kind.__name__, {})
    given = {} if kind is dspy.LabeledFewShot else {"metric": metric}
    with dspy.context(lm=dspy.LM("openai/default")):
        found = read_optimizer(kind(**given, **required))
    assert found.kwargs == {name: value for name, value in required.items() if name not in ROLES}


def test_names_and_classes() -> None:
    assert read_optimizer("gepa").name == "gepa"
    assert read_optimizer(dspy.MIPROv2).name == "dspy.MIPROv2"
    assert read_optimizer(BootstrapFewShotWithOptuna).name == "dspy.BootstrapFewShotWithOptuna"


def test_an_embedder_and_rows_of_an_optimizer_are_the_request_s() -> None:
    here = dspy.Embedder(lambda texts: np.ones((len(texts), 2)))  # DSPy asks it at once
    optimizer = dspy.KNNFewShot(k=2, trainset=TRAINSET, vectorizer=here, metric=metric, max_rounds=2)
    optimizer.KNN.embedding = EMBEDDER
    found = read_optimizer(optimizer)
    assert found.kwargs == {"k": 2, "vectorizer": "optimizer_vectorizer", "max_rounds": 2}
    assert found.models == {"optimizer_vectorizer": EMBEDDER}
    assert (found.trainset, found.metric) == (TRAINSET, metric)


def test_a_model_within_arguments_goes_by_a_name() -> None:
    optimizer = dspy.BootstrapFewShot(metric=metric, teacher_settings={"lm": LM})
    payload = build_payload("question -> answer", optimizer=optimizer, trainset=TRAINSET, lm="openai/m")
    (name,) = payload["model_configs"]
    assert payload["optimizer_kwargs"] == {"teacher_settings": {"lm": name}}
    assert payload["model_configs"][name]["extra"] == {"api_key": "k"}


def test_the_majority_of_an_ensemble_goes_by_its_name() -> None:
    found = read_optimizer(dspy.Ensemble(reduce_fn=dspy.majority, size=2))
    assert (found.name, found.kwargs) == ("dspy.Ensemble", {"reduce_fn": "majority", "size": 2})


def test_optimizers_of_a_chain_go_by_name() -> None:
    search = dspy.BootstrapFewShotWithRandomSearch(metric=metric, num_candidate_programs=3)
    gepa = dspy.GEPA(metric=metric, auto="light", reflection_lm=LM)
    found = read_optimizer(dspy.BetterTogether(metric=metric, p=search, g=gepa, l=dspy.LabeledFewShot(k=2)))
    assert found.kwargs == {
        "p": {"name": "dspy.BootstrapFewShotWithRandomSearch", "kwargs": {"num_candidate_programs": 3}},
        "g": {"name": "dspy.GEPA", "kwargs": {"auto": "light"}},
        "l": {"name": "dspy.LabeledFewShot", "kwargs": {"k": 2}},
    }
    assert (found.metric, found.models) == (metric, {"reflection": LM})


@pytest.mark.parametrize(
    ("optimizer", "told"),
    [
        (
            lambda: dspy.GEPA(metric=metric, auto="light", instruction_proposer=print),
            r"optimizer\.instruction_proposer",
        ),
        (
            lambda: dspy.BetterTogether(metric=metric, p=dspy.COPRO(metric=print)),
            r"optimizer\.p has another metric than the chain",
        ),
        (
            lambda: dspy.BetterTogether(
                metric=metric,
                p=dspy.COPRO(metric=metric, prompt_model=LM),
                g=dspy.COPRO(metric=metric, prompt_model=dspy.LM("openai/other")),
            ),
            r"optimizer\.g has another prompt model",
        ),
        (lambda: 3, "optimizer is a int"),
        (lambda: dspy.Predict, "optimizer is a Predict"),
    ],
)
def test_what_no_argument_can_carry_is_named(optimizer: Any, told: str) -> None:
    with pytest.raises(UnusableObject, match=told):
        read_optimizer(optimizer())


def timeout(seconds: float) -> Any:
    return stop_condition.TimeoutStopCondition(seconds)


OBJECTS: dict[str, tuple[Any, Any]] = {
    "a stop condition": (timeout(9), {"type": "TimeoutStopCondition", "args": {"timeout_seconds": 9}}),
    "several": (
        [timeout(9), stop_condition.CompositeStopper(timeout(1), mode="all")],
        [
            {"type": "TimeoutStopCondition", "args": {"timeout_seconds": 9}},
            {
                "type": "CompositeStopper",
                "args": {"stoppers": [{"type": "TimeoutStopCondition", "args": {"timeout_seconds": 1}}], "mode": "all"},
            },
        ],
    ),
    "a sampling": (proposal_sampling.PxNSampling(2, 3), {"type": "PxNSampling", "args": {"p": 2, "n": 3}}),
    "one without arguments": (proposal_selection.BestImprovement(), {"type": "BestImprovement"}),
    "one that draws": (
        candidate_selector.EpsilonGreedyCandidateSelector(0.2, None),
        {"type": "EpsilonGreedyCandidateSelector", "args": {"epsilon": 0.2}},
    ),
    "a proposer": (
        InstructionProposer(base_instructions="Improve it.", skills=["Be brief."], max_chars=100),
        {
            "type": "InstructionProposer",
            "args": {"base_instructions": "Improve it.", "skills": ["Be brief."], "max_chars": 100},
        },
    ),
}


@pytest.mark.parametrize(("given", "form"), OBJECTS.values(), ids=OBJECTS)
def test_gepas_objects_have_a_form(given: Any, form: Any) -> None:
    optimizer = dspy.GEPA(metric=metric, auto="light", reflection_lm=LM, gepa_kwargs={"here": given})
    assert read_optimizer(optimizer).kwargs["gepa_kwargs"] == {"here": form}


def test_a_proposer_with_an_adapter_of_its_own_cannot_be_sent() -> None:
    proposer = InstructionProposer(adapter=dspy.XMLAdapter())
    optimizer = dspy.GEPA(metric=metric, auto="light", reflection_lm=LM, instruction_proposer=proposer)
    with pytest.raises(UnusableObject, match=r"optimizer\.instruction_proposer has an adapter of its own"):
        read_optimizer(optimizer)


def test_a_stop_condition_of_ones_own_cannot_be_sent() -> None:
    optimizer = dspy.GEPA(
        metric=metric, auto="light", reflection_lm=LM, gepa_kwargs={"stop_callbacks": [lambda state: True]}
    )
    with pytest.raises(UnusableObject, match="stop_callbacks"):
        read_optimizer(optimizer)
