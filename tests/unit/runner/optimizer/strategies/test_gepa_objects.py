"""GEPA's objects are built of their JSON forms, by the one table that jobs are checked by, and do what they are for."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dspy_service_core.optimizers.families.gepa_objects import NESTED, PLACES, Argument
from dspy_service_runner.optimizer.failures import JobFailed
from dspy_service_runner.optimizer.strategies.gepa.objects import TYPES, Builder
from optimizer_job import Folders, OptimizerForge, make_folders, make_spec
from scripted_lm import ScriptedServer

FORMS = {name: arguments for place in PLACES.values() for name, arguments in place.types.items()}
OBJECTIVES = """
def metric(gold, pred, trace=None):
    right = float(gold.label == pred.label)
    return {"score": right, "feedback": "f", "objective_scores": {"right": right, "short": float(len(pred.label) < 9)}}
"""


def form(kind: str, **args: Any) -> dict[str, Any]:
    return {"type": kind, "args": args}


def example(argument: Argument) -> Any:
    match argument.kind:
        case "choice":
            return argument.choices[-1]
        case "flag":
            return True
        case "text":
            return "Be brief."
        case "texts":
            return ["skills/one.md", "Be brief."]
        case "stoppers":
            return [form("MaxMetricCallsStopper", max_metric_calls=5)]
        case "number":
            return 0.5
    return 2


@pytest.mark.parametrize("name", FORMS)
def test_the_table_is_gepas_own(name: str) -> None:
    """Its arguments are those of the constructor, as far as they can be JSON, and the same ones have to be given."""
    parameters = inspect.signature(TYPES[name]).parameters
    named = {key: value for key, value in parameters.items() if "VAR" not in value.kind.name}
    plain = {key: value for key, value in named.items() if key not in ("rng", "adapter")}
    wanted = {key: argument for key, argument in FORMS[name].items() if key != NESTED}
    assert set(wanted) == set(plain)
    assert (NESTED in FORMS[name]) == (NESTED in parameters)
    required = {key for key, value in plain.items() if value.default is value.empty}
    assert {key for key, argument in wanted.items() if argument.required} == required


@pytest.mark.parametrize("name", FORMS)
def test_each_is_built(name: str) -> None:
    given = {key: example(argument) for key, argument in FORMS[name].items()}
    built = Builder(3).arguments({"here": form(name, **given), "there": None, "word": "all"}, "p")
    assert set(built) == {"here", "word"}
    assert isinstance(built["here"], TYPES[name])  # type: ignore[arg-type]
    for key in FORMS[name].keys() - {NESTED, "skills"}:
        assert getattr(built["here"], key) == given[key]


def test_a_list_and_what_is_nested_are_built() -> None:
    inner = form("TimeoutStopCondition", timeout_seconds=9)
    built = Builder(0).arguments({"stop": [form("CompositeStopper", stoppers=[inner, inner], mode="all"), inner]}, "p")
    composite, timeout = built["stop"]
    assert ([type(each).__name__ for each in composite.stoppers], composite.mode) == (
        ["TimeoutStopCondition"] * 2,
        "all",
    )
    assert timeout.timeout_seconds == 9


def test_equal_seeds_draw_equally() -> None:
    drawn = [
        Builder(seed).arguments({"a": form("EpsilonGreedyCandidateSelector", epsilon=0.5)}, "p")["a"].rng.random()
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_what_the_object_itself_refuses_is_named() -> None:
    with pytest.raises(JobFailed, match=r"p\.a\[0\]: InstructionProposer refuses its arguments"):
        Builder(0).arguments({"a": [form("InstructionProposer", max_chars=-1)]}, "p")


def run(forge: OptimizerForge, server: ScriptedServer, root: Path, **kwargs: Any) -> tuple[Folders, Mapping[str, Any]]:
    changes = {"metric": {"code": kwargs.pop("metric")}} if "metric" in kwargs else {}
    optimizer = {"name": "gepa", "kwargs": {"max_metric_calls": 100, "num_threads": 4, **kwargs}}
    folders = make_folders(root, make_spec(server.url, optimizer=optimizer, **changes))
    return folders, forge.run(folders)


WHOLE: dict[str, dict[str, Any]] = {
    "a greedy selection": {"candidate_selection_strategy": form("EpsilonGreedyCandidateSelector", epsilon=0.3)},
    "of the best": {"candidate_selection_strategy": form("TopKParetoCandidateSelector", k=2)},
    "all components": {"component_selector": form("AllReflectionComponentSelector")},
    "a proposer": {"instruction_proposer": form("InstructionProposer", additional_instructions="Be brief.")},
    "several proposals": {
        "gepa_kwargs": {
            "sampling_strategy": form("PxNSampling", p=2, n=2),
            "selection_strategy": form("TopKImprovements", k=2),
        }
    },
    "batches": {"gepa_kwargs": {"batch_sampler": form("EpochShuffledBatchSampler", minibatch_size=4)}},
    "lateral moves": {"gepa_kwargs": {"acceptance_criterion": "improvement_or_equal", "val_evaluation_policy": None}},
    "statistics": {"track_stats": True, "track_best_outputs": True},
    **{
        f"a frontier: {word}": {"gepa_kwargs": {"frontier_type": word}, "metric": OBJECTIVES}
        for word in PLACES["frontier_type"].words
    },
}


@pytest.mark.parametrize("kwargs", WHOLE.values(), ids=WHOLE)
def test_a_run_with_it_is_whole(
    kwargs: dict[str, Any], forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders, result = run(forge, server, tmp_path / "job", **kwargs)
    assert result["outcome"] == "Succeeded", result["message"]
    assert result["optimizedScore"] >= result["baselineScore"]
    assert len(folders.lines("candidates.jsonl")) > 1
    rows = {line["rows"] for line in folders.lines("candidates.jsonl") if not line["accepted"]}
    assert rows <= ({4} if "batches" in str(kwargs) or "batch_sampler" in str(kwargs) else {3, 5})


STOPS: dict[str, tuple[dict[str, Any], int]] = {
    "a pool of two": (form("MaxTrackedCandidatesStopper", max_tracked_candidates=2), 2),
    "one step": (form("MaxCandidateProposalsStopper", max_proposals=1), 2),
    "a score": (form("ScoreThresholdStopper", threshold=0.1), 1),
    "no time": (form("TimeoutStopCondition", timeout_seconds=0.000001), 1),
}


@pytest.mark.parametrize(("stop", "most"), STOPS.values(), ids=STOPS)
def test_a_stop_condition_ends_the_search(
    stop: dict[str, Any], most: int, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    folders, result = run(forge, server, tmp_path / "job", gepa_kwargs={"stop_callbacks": [stop]})
    assert result["outcome"] == "Succeeded", result["message"]
    assert 1 <= sum(line["accepted"] for line in folders.lines("candidates.jsonl")) <= most
    assert folders.progress()["percent"] == 100


def test_a_frontier_by_objectives_needs_them_before_money_is_spent(
    forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    _, result = run(forge, server, tmp_path / "job", gepa_kwargs={"frontier_type": "objective"})
    assert (result["outcome"], result["reason"]) == ("Failed", "InvalidOptimizer")
    assert result["message"].startswith("spec.optimizer.kwargs.gepa_kwargs.frontier_type 'objective' compares candid")
    assert server.stats.calls < 10, "the baseline of ten rows was not begun"


@pytest.mark.parametrize("objectives", ["[1, 2]", "{'a': 'high'}", "{1: 2}", "{'a': float('nan')}"])
def test_objectives_that_are_none_are_the_metrics_failure(
    objectives: str, forge: OptimizerForge, server: ScriptedServer, tmp_path: Path
) -> None:
    code = f"def metric(gold, pred):\n    return {{'score': 1.0, 'objective_scores': {objectives}}}\n"
    _, result = run(forge, server, tmp_path / "job", metric=code)
    assert (result["outcome"], result["reason"]) == ("Failed", "MetricFailed")


class Reflecting:
    """Answers each proposal otherwise; every third not at all, if it is to fail."""

    def __init__(self, failing: bool = False) -> None:
        self.proposals = 0
        self.failing = failing

    def answer(self, messages: Any, auth: str = "") -> tuple[str, str]:
        said = "\n".join(str(message["content"]) for message in messages)
        if "new_instruction" in said:
            self.proposals += 1
            if self.failing and self.proposals % 3 == 0:
                return "no JSON at all", "propose"
            return json.dumps({"new_instruction": f"Improved {self.proposals}."}), "propose"
        return "[[ ## label ## ]]\nbilling\n\n[[ ## completed ## ]]", "task"

    def message(self, text: str) -> dict[str, Any]:
        return {"role": "assistant", "content": text}


def reflected(forge: OptimizerForge, root: Path, model: Any, n: int) -> tuple[Mapping[str, Any], int]:
    """The result, and how many reflections the model answered at most at once."""
    with ScriptedServer() as task, ScriptedServer(model=model) as slow:
        slow.latency = 0.3
        spec = make_spec(task.url)
        spec["models"]["reflection"] = {"name": "openai/scripted", "baseUrl": slow.url}
        sampling = {"sampling_strategy": form("IndependentSampling", n=n)} if n > 1 else {}
        kwargs = {"max_metric_calls": 80, "num_threads": 4, "use_merge": False, "gepa_kwargs": sampling}
        spec["optimizer"] = {"name": "gepa", "kwargs": kwargs}
        result = forge.run(make_folders(root, spec))
        return result, slow.stats.max_in_flight


def test_reflections_of_one_step_run_beside_each_other(forge: OptimizerForge, tmp_path: Path) -> None:
    model = Reflecting()
    result, together = reflected(forge, tmp_path / "job", model, 4)
    assert result["outcome"] == "Succeeded", result["message"]
    assert (together, model.proposals > 4) == (4, True)
    assert reflected(forge, tmp_path / "alone", Reflecting(), 1)[1] == 1


def test_one_that_fails_costs_its_own_proposal_alone(forge: OptimizerForge, tmp_path: Path) -> None:
    model = Reflecting(failing=True)
    result, together = reflected(forge, tmp_path / "job", model, 3)
    assert (result["outcome"], together) == ("Succeeded", 3), result["message"]
    assert result["details"]["candidates_count"] > 2
