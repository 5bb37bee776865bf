"""What is said of a job's calls before it runs: ranges that add up, their rules, and where nobody can say it."""

from itertools import pairwise
from typing import Any, get_args

import orjson
import pytest

from checked_jobs import HERE
from dspy_service_api.submit.request_spec import WORDS, translated
from dspy_service_core.checks import job_checks
from dspy_service_core.checks.job_checks import Installation
from dspy_service_core.checks.job_estimate import estimate_of
from dspy_service_core.contract.request import parse_run_request
from dspy_service_core.estimate import row_calls
from dspy_service_core.estimate.bounds import Bounds, just
from dspy_service_core.estimate.estimate import Estimate
from dspy_service_core.optimizers.family_table import FAMILIES
from dspy_service_core.optimizers.options import options_of
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.records.usage import CallStage
from dspy_service_core.registry.catalogue import Callee, Catalogue, OptimizerAsset, bundled, by_path
from dspy_service_core.registry.registry import build
from dspy_service_core.registry.registry_file import RegistryFile
from run_requests import METRIC, program_request, run_request

HALVES = {"train": 0.5, "val": 0.25, "test": 0.25}
"""20, 10 and 10 of 40 rows."""
COUNTED = """
class Triage(dspy.Module):
    def __init__(self):
        super().__init__()
        self.steps = [STEPS]

    def forward(self, text):
        return [step(text=text) for step in self.steps][-1]
"""
DOUBTFUL = COUNTED.replace("[STEPS]", '[dspy.Predict("text -> label") for _ in range(3)]')


def estimated(body: dict[str, Any], installation: Installation = HERE) -> Estimate:
    request = parse_run_request(orjson.dumps({"split_fractions": HALVES} | body))
    job = translated(request, {}, lambda: 7)
    checked = job_checks.check(job.spec, installation, job.contents, WORDS)
    assert checked.split_counts is not None
    return estimate_of(job.spec, checked, checked.split_counts, request.metric_code)


def bootstrap(**changes: Any) -> Estimate:
    return estimated(run_request(**{"optimizer_name": "bootstrapfewshot"} | changes))


def program(steps: str, **changes: Any) -> Estimate:
    code = COUNTED.replace("STEPS", steps)
    return estimated(program_request(program_code=code, program_files={}, optimizer_name="bootstrapfewshot", **changes))


def test_the_stages_are_told_and_add_up() -> None:
    said = bootstrap()
    assert tuple(said.stages) == get_args(CallStage)
    assert {stage: calls.metric for stage, calls in said.stages.items()} == {
        "preflight": just(0),
        "baseline": just(10),
        "optimize": Bounds(4, 20),
        "final": just(10),
    }
    assert {stage: calls.model for stage, calls in said.stages.items()} == {
        "preflight": Bounds(1, 2),
        "baseline": just(10),
        "optimize": Bounds(4, 20),
        "final": just(10),
    }
    assert (said.metric, said.model, said.predictors) == (Bounds(24, 40), Bounds(25, 42), 1)


def test_the_rules_name_what_the_ranges_follow_from() -> None:
    said = estimated(run_request(optimizer_kwargs={"auto": "light"}))
    assert "10 test rows are scored before and after" in said.metric_rule
    assert "Optimizer 'miprov2' scores 110 rows to compare candidates and tries 7 to 80 rows for demos" in (
        said.metric_rule
    )
    assert "Module 'cot' makes 1 model call for a row" in said.model_rule
    assert "Calls of the optimizer itself: 6 to 12." in said.model_rule
    assert "cache count as calls" in said.model_rule


def test_what_only_scores_scores_once() -> None:
    said = estimated(run_request(optimizer_name="evaluate"))
    assert (said.metric, said.model) == (just(40), Bounds(41, 42))
    assert said.stages["final"].metric == just(0)
    assert "scored once" in said.metric_rule


def test_labelled_demos_cost_two_scores() -> None:
    said = estimated(run_request(optimizer_name="dspy.LabeledFewShot"))
    assert said.metric == just(20)
    assert "scores none" in said.metric_rule


def test_models_that_may_be_alike_are_asked_together_before_the_run() -> None:
    beside = {"name": "openai/gpt-4o-mini", "temperature": 1}
    assert bootstrap(prompt_model_config=beside).stages["preflight"].model == Bounds(1, 3)
    assert bootstrap(prompt_model_config={"name": "openai/gpt-4o"}).stages["preflight"].model == Bounds(2, 3)
    near = {"near": {"name": "openai/text-embedding-3-small", "model_type": "embedding"}}
    assert bootstrap(model_configs=near).stages["preflight"].model == Bounds(2, 3)


MODULES: dict[str, tuple[str, dict[str, Any], Bounds]] = {
    "predict": ("predict", {}, just(1)),
    "several answers": ("predict", {"n": 3}, Bounds(1, 3)),
    "turns by default": ("dspy.ReAct", {"tools": []}, Bounds(2, 21)),
    "turns as given": ("dspy.ReAct", {"tools": [], "max_iters": 4}, Bounds(2, 5)),
    "programs of thought": ("dspy.ProgramOfThought", {}, Bounds(2, 4)),
    "an answer in the first turn": ("dspy.ReActV2", {"tools": [], "max_iters": 4}, Bounds(1, 5)),
    "calls within a turn": ("dspy.RLM", {"max_iters": 4, "max_llm_calls": 10}, Bounds(1, 15)),
}


@pytest.mark.parametrize(("name", "kwargs", "calls"), MODULES.values(), ids=MODULES)
def test_a_module_calls_by_its_own_rule(name: str, kwargs: dict[str, Any], calls: Bounds) -> None:
    asset = by_path(bundled().modules)[{"predict": "dspy.Predict"}.get(name, name)]
    assert row_calls.of_module(name, asset, kwargs).calls == calls


def test_every_module_of_dspy_has_a_rule_or_is_said_to_have_none() -> None:
    ruled = {asset.path for asset in bundled().modules if row_calls.of_module("m", asset, {}).calls.least}
    counted = {asset.path for asset in bundled().modules if asset.predictors}
    assert ruled == counted


def test_a_module_of_the_operator_s_own_may_call_what_it_likes() -> None:
    found = row_calls.of_module("theirs", None, {})
    assert found.calls == Bounds(0, None)
    assert "'theirs'" in found.rule


def test_a_program_is_taken_to_call_each_predictor_once() -> None:
    said = program('dspy.Predict("text -> topic"), dspy.ChainOfThought("text -> label")')
    assert said.predictors == 2
    assert said.stages["baseline"].model == just(20)
    assert said.stages["preflight"].model == Bounds(3, 5), "it is tried on a row, and the metric perhaps on another"
    assert "taken to run its 2 predictors once for a row" in said.model_rule


def test_a_predictor_that_takes_turns_has_no_known_end() -> None:
    said = program('dspy.Predict("text -> topic"), dspy.ReAct("text -> label", tools=[])')
    assert said.predictors == 3
    assert said.stages["baseline"].model == Bounds(30, None)
    assert said.metric.most is not None


def test_a_program_whose_predictors_only_running_it_tells() -> None:
    said = estimated(program_request(program_code=DOUBTFUL, program_files={}, optimizer_name="bootstrapfewshot"))
    assert said.predictors is None
    assert said.metric == Bounds(24, 40), "demos are tried by rows, however many predictors there are"
    assert said.stages["baseline"].model == Bounds(10, None)
    assert "only running its code tells" in said.model_rule


@pytest.mark.parametrize("optimizer", ["miprov2", "gepa"])
def test_a_search_that_grows_with_the_predictors_has_no_known_end_then(optimizer: str) -> None:
    auto = {"optimizer_kwargs": {"auto": "light"}, "reflection_model_config": {"name": "openai/gpt-4o"}}
    body = program_request(program_code=DOUBTFUL, program_files={}, optimizer_name=optimizer, **auto)
    one = program_request(
        program_code=DOUBTFUL.replace(" for _ in range(3)", ""), program_files={}, optimizer_name=optimizer, **auto
    )
    said = estimated(body)
    assert said.metric == Bounds(estimated(one).metric.least, None)
    assert "depends on the program's predictors" in said.metric_rule


JUDGES = {
    "the job's model": 'def metric(gold, pred):\n    return models["judge"]("Right?")[0] == "yes"\n',
    "a predictor": "judge = dspy.Predict('a -> b')\ndef metric(gold, pred):\n    return judge(a=pred).b\n",
    "an imported module": "from dspy.evaluate import SemanticF1 as F\ndef metric(gold, pred):\n    return F()(pred)\n",
}


@pytest.mark.parametrize("code", JUDGES.values(), ids=JUDGES)
def test_a_metric_that_asks_models_makes_the_model_calls_unknown(code: str) -> None:
    said = bootstrap(metric_code=code)
    assert (said.metric, said.model) == (Bounds(24, 40), Bounds(25, None))
    assert "The metric may call models too" in said.model_rule


def test_a_metric_that_only_speaks_of_models_asks_none() -> None:
    assert not row_calls.may_ask_models(METRIC)
    speaking = (
        "def metric(gold, pred):\n    '''models, LM'''\n    return gold['models'] == pred.context and dspy.Prediction\n"
    )
    assert not row_calls.may_ask_models(speaking)


def test_an_optimizer_that_nobody_knows_is_scored_all_the_same() -> None:
    nothing = Callee(parameters=())
    takes = by_path(bundled().optimizers)["dspy.BootstrapFewShot"].compile
    own = OptimizerAsset(path="theirs.Search", paths=("theirs.Search",), init=nothing, compile=takes)
    known = build(
        RegistryFile(allow=("theirs",)),
        Catalogue(source="x", modules=bundled().modules, optimizers=(*bundled().optimizers, own)),
    )
    said = estimated(run_request(optimizer_name="theirs.Search"), Installation(known))
    assert (said.metric, said.model) == (Bounds(20, None), Bounds(21, None))
    assert "is not known" in said.metric_rule


@pytest.mark.parametrize("path", sorted(FAMILIES))
def test_no_optimizer_calls_less_for_more_predictors(path: str) -> None:
    """By this, a number that is the same for one and for a thousand predictors is the same for all."""
    needed = {"dspy.GEPA": {"auto": "light"}, "dspy.MIPROv2": {"auto": "light"}}
    options = options_of(by_path(bundled().optimizers)[path], needed.get(path, {}), {})
    found = [FAMILIES[path].calls(options, SplitCounts(30, 10, 5), predictors) for predictors in (1, 2, 3, 10, 1000)]
    for fewer, more in pairwise(found):
        assert (fewer is None) == (more is None)
        if fewer is not None and more is not None:
            for part in ("scores", "demos", "own"):
                one, other = getattr(fewer, part), getattr(more, part)
                assert one.least <= other.least, part
                assert one.most <= other.most, part


def test_bounds_reckon_with_unknown_ends() -> None:
    unknown = Bounds(2, None)
    assert just(3) + unknown == Bounds(5, None)
    assert Bounds(1, 2) * unknown == Bounds(2, None)
    assert just(0) * unknown == just(0)
    assert 7 in unknown
    assert 1 not in unknown
    assert [str(bounds) for bounds in (just(3), Bounds(1, 2), unknown)] == ["3", "1 to 2", "at least 2"]
