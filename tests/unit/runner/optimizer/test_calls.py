"""What core says that an optimizer will call, held to what dspy's optimizers call: every family, for real."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import dspy
import pytest

from counting_engine import CountingEngine, counted_lm
from dspy_service_core.optimizers.calls import Calls, Range
from dspy_service_core.optimizers.families.gepa import auto_budget
from dspy_service_core.optimizers.family_table import FAMILIES, UNKNOWN
from dspy_service_core.optimizers.options import Options, options_of
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.records.usage import Usage
from dspy_service_core.registry.catalogue import bundled, by_path
from dspy_service_runner.optimizer.failures import StopToken
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.settings import Settings
from dspy_service_runner.optimizer.splits import Splits
from dspy_service_runner.optimizer.strategies.registry import strategy_for
from dspy_service_runner.optimizer.user_code.metrics.metric import Metric
from dspy_service_runner.optimizer.user_code.programs.joined import Joined, Member
from dspy_service_runner.optimizer.values.fields import Fields
from plans import plan_of
from scripted_model import TICKETS

Score = Callable[[Any, Any], Any]


def right(gold: Any, pred: Any) -> bool:
    return bool(gold.label == pred.label)


def always(gold: Any, pred: Any) -> bool:
    return True


def never(gold: Any, pred: Any) -> bool:
    return False


def changing() -> Score:
    """Another score for the same answer each time, as if the model's answers differed."""
    calls = count()
    return lambda gold, pred: next(calls) % 4 == 0


class Ticket(dspy.Signature):  # type: ignore[misc]  # dspy is untyped
    """Classify the support ticket."""

    text: str = dspy.InputField()
    label: str = dspy.OutputField()


class Topic(dspy.Signature):  # type: ignore[misc]  # dspy is untyped
    """Name the topic."""

    text: str = dspy.InputField()
    topic: str = dspy.OutputField()


class TwoSteps(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    def __init__(self) -> None:
        super().__init__()
        self.topic, self.label = dspy.Predict(Topic), dspy.Predict(Ticket)

    def forward(self, text: str) -> Any:
        self.topic(text=text)
        return self.label(text=text)


class ThreeSteps(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    """Predictors in a list, of which two have the same signature, and one in a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.drafts, self.last = [dspy.Predict(Ticket), dspy.Predict(Ticket)], dspy.ChainOfThought(Ticket)

    def forward(self, text: str) -> Any:
        for draft in self.drafts:
            draft(text=text)
        return self.last(text=text)


class Failing(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    """On every third row."""

    def __init__(self) -> None:
        super().__init__()
        self.label = dspy.Predict(Ticket)

    def forward(self, text: str) -> Any:
        if int(text.removeprefix("Ticket ").partition(":")[0]) % 3 == 0:
            raise ValueError("no")
        return self.label(text=text)


PROGRAMS: dict[int, Callable[[], Any]] = {1: lambda: dspy.Predict(Ticket), 2: TwoSteps, 3: ThreeSteps}


@dataclass(frozen=True)
class Case:
    path: str
    kwargs: dict[str, Any] = field(default_factory=dict)
    compile_kwargs: dict[str, Any] = field(default_factory=dict)
    train: int = 12
    val: int = 6
    predictors: int = 1
    score: Score = right

    @property
    def _known(self) -> tuple[Options, SplitCounts, int]:
        options = options_of(by_path(bundled().optimizers)[self.path], self.kwargs, self.compile_kwargs)
        return options, SplitCounts(self.train, self.val, 1), self.predictors

    @property
    def said(self) -> Calls:
        calls = FAMILIES[self.path].calls(*self._known)
        assert calls is not None
        return calls

    @property
    def first_try(self) -> Calls:
        first = FAMILIES[self.path].first_try(*self._known)
        assert first is not None
        return first


@dataclass(frozen=True)
class Counted:
    scores: int
    demos: int
    model: int


def joined_in(folder: Path, predictors: int) -> Joined:
    members = [Member(str(number), PROGRAMS[predictors](), Fields({}, {}), folder) for number in range(2)]
    return Joined(tuple(members), folder)


def counted(case: Case, folder: Path, program: Any = None) -> Counted:
    """Run as the service runs it, without its baseline and final score."""
    engine, heard, outbox = CountingEngine(), list[bool](), Outbox(folder)
    lm = counted_lm(engine)
    examples = [dspy.Example(**TICKETS[i % len(TICKETS)]).with_inputs("text") for i in range(case.train + case.val + 1)]
    plan = plan_of(
        case.path,
        case.kwargs,
        program or PROGRAMS[case.predictors](),
        Splits(examples[: case.train], examples[case.train : -1], examples[-1:]),
        lm,
        folder,
        compile_kwargs=case.compile_kwargs,
        joined=joined_in(folder, case.predictors),
    )
    progress = Progress(outbox, Usage, 60)
    progress.begin_optimizer(case.path, None, counts_demos=True)
    strategy = strategy_for(plan.optimizer)
    metric = Metric(case.score, Settings()).bound(StopToken(), heard.append, feedback=strategy.feedback)
    with dspy.context(lm=lm, num_threads=4):
        strategy.check(plan)
        optimizer = strategy.build(plan, metric, progress, Candidates(outbox, lambda: 0, lambda score: None))
        with contextlib.chdir(folder):
            strategy.compile(optimizer, plan)
    assert strategy.calls(plan) == case.said, "the pod knows what the catalogue says"
    return Counted(scores=heard.count(False), demos=heard.count(True), model=engine.calls)


BOOTSTRAP, SEARCH = "dspy.BootstrapFewShot", "dspy.BootstrapFewShotWithRandomSearch"
OPTUNA, MIPRO, RULES = "dspy.BootstrapFewShotWithOptuna", "dspy.MIPROv2", "dspy.InferRules"
TOGETHER, ENSEMBLE = "dspy.BetterTogether", "dspy.Ensemble"
STEPS = {
    "p": {"name": "bootstrapfewshotwithrandomsearch", "kwargs": {"num_candidate_programs": 2}},
    "g": {"name": "gepa", "kwargs": {"max_metric_calls": 30}},
}
ALL_STEPS = STEPS | {
    "l": {"name": "labeledfewshot", "kwargs": {"k": 2}},
    "b": {"name": "bootstrapfewshot"},
    "o": {"name": "dspy.teleprompt.BootstrapFewShotWithOptuna", "kwargs": {"num_candidate_programs": 2}},
    "m": {"name": "dspy.MIPROv2", "kwargs": {"auto": None, "num_candidates": 2}},
    "s": {"name": "simba", "kwargs": {"bsize": 4, "num_candidates": 2, "max_steps": 1}},
    "c": {"name": "copro", "kwargs": {"breadth": 2, "depth": 1}},
    "r": {"name": "inferrules", "kwargs": {"num_candidates": 1}},
}
ALIKE = dspy.Embedder(lambda texts: [[1.0]] * len(texts))
EXPLICIT = {"auto": None, "num_candidates": 4, "max_errors": 30}
FOUR = {"type": "IndependentSampling", "args": {"n": 4}}
BATCHES = {"type": "EpochShuffledBatchSampler", "args": {"minibatch_size": 5}}
NONE = {"threshold": 0.0}


def gepa_with(calls: int, **further: Any) -> dict[str, Any]:
    return {"max_metric_calls": calls, "gepa_kwargs": further}


CASES: dict[str, Case] = {
    "labelled": Case("dspy.LabeledFewShot", {"k": 3}),
    "labelled three predictors": Case("dspy.LabeledFewShot", {"k": 3}, predictors=3),
    "bootstrap": Case(BOOTSTRAP),
    "bootstrap three predictors": Case(BOOTSTRAP, predictors=3),
    "bootstrap easily": Case(BOOTSTRAP, score=always, predictors=2),
    "bootstrap in vain": Case(BOOTSTRAP, {"max_rounds": 3, "max_errors": 1}, score=never),
    "bootstrap nothing": Case(BOOTSTRAP, {"max_bootstrapped_demos": 0}),
    "bootstrap few rows": Case(BOOTSTRAP, train=2, score=always),
    "search": Case(SEARCH, {"num_candidate_programs": 3}),
    "search on training rows": Case(SEARCH, {"num_candidate_programs": 2, "max_rounds": 2}, val=0, predictors=2),
    "search easily": Case(SEARCH, {"num_candidate_programs": 4, "max_bootstrapped_demos": 2}, score=always),
    "search in vain": Case(SEARCH, {"num_candidate_programs": 2, "max_errors": 5}, score=never),
    "search three predictors": Case(SEARCH, {"num_candidate_programs": 3}, predictors=3),
    "search restricted": Case(SEARCH, {"num_candidate_programs": 4}, {"restrict": [-3, 2, 7]}),
    "search stopped": Case(SEARCH, {"num_candidate_programs": 4, "stop_at_score": 50.0}, score=always),
    "search never stopped": Case(SEARCH, {"num_candidate_programs": 2, "stop_at_score": 50.0}, score=never),
    "optuna": Case(OPTUNA, {"num_candidate_programs": 3}, {"max_demos": 2}),
    "optuna in vain": Case(
        OPTUNA, {"num_candidate_programs": 2, "max_rounds": 2}, {"max_demos": 2}, val=0, score=never
    ),
    "optuna two predictors": Case(OPTUNA, {"num_candidate_programs": 2}, {"max_demos": 1}, predictors=2, score=always),
    "optuna three predictors": Case(OPTUNA, {"num_candidate_programs": 2}, {"max_demos": 2}, predictors=3),
    "mipro light": Case(MIPRO),
    "mipro light easily": Case(MIPRO, score=always),
    "mipro light in vain": Case(MIPRO, score=never),
    "mipro light two predictors": Case(MIPRO, train=15, val=3, predictors=2),
    "mipro light three predictors": Case(MIPRO, train=8, val=2, predictors=3),
    "mipro minibatches three predictors": Case(
        MIPRO, EXPLICIT, {"num_trials": 5, "minibatch_size": 3, "minibatch_full_eval_steps": 2}, predictors=3
    ),
    "mipro light without validation rows": Case(MIPRO, train=20, val=0),
    "mipro light with minibatches": Case(MIPRO, train=8, val=51),
    "mipro light with smaller minibatches": Case(
        MIPRO, {}, {"minibatch_size": 4, "minibatch_full_eval_steps": 3}, train=8, val=51
    ),
    "mipro light, more rows than it takes": Case(MIPRO, {}, {"minibatch_size": 2}, train=5, val=110),
    "mipro light zero-shot": Case(MIPRO, {"max_bootstrapped_demos": 0, "max_labeled_demos": 0}, predictors=2),
    "mipro light unaware": Case(MIPRO, {}, {"program_aware_proposer": False, "data_aware_proposer": False}),
    "mipro medium": Case(MIPRO, {"auto": "medium"}, val=3),
    "mipro explicit": Case(MIPRO, EXPLICIT, {"num_trials": 5, "minibatch": False}),
    "mipro explicit zero-shot by compile": Case(
        MIPRO,
        EXPLICIT,
        {"num_trials": 3, "minibatch": False, "max_bootstrapped_demos": 0, "max_labeled_demos": 0},
    ),
    "mipro without labelled demos": Case(
        MIPRO, EXPLICIT | {"max_labeled_demos": 0}, {"num_trials": 3, "minibatch": False}, score=never
    ),
    "mipro two candidates": Case(
        MIPRO, {"auto": None, "num_candidates": 2}, {"num_trials": 3, "minibatch": False}, predictors=2
    ),
    "mipro explicit minibatches": Case(
        MIPRO, EXPLICIT, {"num_trials": 7, "minibatch_size": 4, "minibatch_full_eval_steps": 3}
    ),
    "mipro minibatches, whole periods": Case(
        MIPRO, EXPLICIT, {"num_trials": 4, "minibatch_size": 5, "minibatch_full_eval_steps": 2}, val=0
    ),
    "mipro many rows in view": Case(
        MIPRO,
        {"auto": None, "num_candidates": 2},
        {"num_trials": 2, "minibatch": False, "view_data_batch_size": 2},
        train=30,
        val=2,
    ),
    "nearest": Case("dspy.KNNFewShot", {"k": 2, "vectorizer": ALIKE}),
    "nearest three predictors": Case("dspy.KNNFewShot", {"k": 2, "vectorizer": ALIKE}, predictors=3),
    "together": Case(TOGETHER, STEPS, {"strategy": "p -> g"}),
    "together three predictors": Case(TOGETHER, STEPS, {"strategy": "g -> p"}, predictors=3),
    "together without validation rows": Case(TOGETHER, STEPS, {"strategy": "p", "valset_ratio": 0.3}, train=20, val=0),
    "together without any": Case(TOGETHER, STEPS, {"strategy": "p -> p", "valset_ratio": 0}, val=0),
    "together of all that can": Case(
        TOGETHER,
        ALL_STEPS,
        {
            "strategy": " -> ".join(ALL_STEPS),
            "optimizer_compile_args": {"o": {"max_demos": 1}, "m": {"num_trials": 2, "minibatch": False}},
        },
    ),
    "gepa light": Case("dspy.GEPA", {"auto": "light"}, val=3),
    "gepa light two predictors": Case("dspy.GEPA", {"auto": "light"}, train=6, val=0, predictors=2),
    "gepa light three predictors": Case("dspy.GEPA", {"auto": "light"}, train=3, val=0, predictors=3),
    "gepa calls three predictors": Case("dspy.GEPA", {"max_metric_calls": 60}, predictors=3),
    "gepa calls, all of three components": Case(
        "dspy.GEPA", {"max_metric_calls": 60, "component_selector": "all"}, predictors=3
    ),
    "gepa calls": Case("dspy.GEPA", {"max_metric_calls": 47}),
    "gepa calls, all of it right": Case("dspy.GEPA", {"max_metric_calls": 40}, score=always),
    "gepa calls, all of it wrong": Case("dspy.GEPA", {"max_metric_calls": 40}, score=never),
    "gepa calls, larger batches": Case("dspy.GEPA", {"max_metric_calls": 60, "reflection_minibatch_size": 5}),
    "gepa calls, all components": Case(
        "dspy.GEPA", {"max_metric_calls": 60, "component_selector": "all", "use_merge": False}, predictors=2
    ),
    "gepa proposals": Case("dspy.GEPA", gepa_with(90, sampling_strategy=FOUR)),
    "gepa proposals, all of it wrong": Case("dspy.GEPA", gepa_with(90, sampling_strategy=FOUR), score=never),
    "gepa proposals of the same rows": Case("dspy.GEPA", gepa_with(90, sampling_strategy=FOUR), train=3, score=never),
    "gepa proposals, all taken": Case(
        "dspy.GEPA", gepa_with(90, sampling_strategy=FOUR), score=changing(), predictors=3
    ),
    "gepa stopped": Case("dspy.GEPA", gepa_with(60, stop_callbacks=[{"type": "ScoreThresholdStopper", "args": NONE}])),
    "gepa batches": Case("dspy.GEPA", gepa_with(60, batch_sampler=BATCHES), score=never),
    "gepa calls for one proposal": Case("dspy.GEPA", {"max_metric_calls": 7}),
    "gepa evaluations": Case("dspy.GEPA", {"max_full_evals": 3}),
    "gepa evaluations on training rows": Case("dspy.GEPA", {"max_full_evals": 3}, val=0, predictors=2),
    "simba": Case("dspy.SIMBA", {"bsize": 6, "num_candidates": 3, "max_steps": 2}),
    "simba more candidates than rows": Case("dspy.SIMBA", {"bsize": 2, "num_candidates": 4, "max_steps": 2}),
    "simba more steps than candidates": Case("dspy.SIMBA", {"bsize": 4, "num_candidates": 2, "max_steps": 5}),
    "simba without demos": Case(
        "dspy.SIMBA", {"bsize": 8, "num_candidates": 2, "max_steps": 2, "max_demos": 0}, predictors=2
    ),
    "simba three predictors": Case("dspy.SIMBA", {"bsize": 6, "num_candidates": 3, "max_steps": 2}, predictors=3),
    "simba with advice": Case(
        "dspy.SIMBA", {"bsize": 6, "num_candidates": 3, "max_steps": 2, "max_demos": 0}, score=changing()
    ),
    "copro": Case("dspy.COPRO", {"breadth": 3, "depth": 2}),
    "copro broader": Case("dspy.COPRO", {"breadth": 4, "depth": 1}, val=0),
    "copro two predictors": Case("dspy.COPRO", {"breadth": 2, "depth": 3}, train=4, predictors=2),
    "copro three predictors": Case("dspy.COPRO", {"breadth": 2, "depth": 2}, train=3, predictors=3),
    "rules": Case(RULES, {"num_candidates": 2}),
    "rules three predictors": Case(RULES, {"num_candidates": 2}, predictors=3),
    "ensemble": Case(ENSEMBLE),
    "ensemble of some": Case(ENSEMBLE, {"size": 1}, predictors=3),
    "rules on halves": Case(RULES, {"num_candidates": 2, "max_rounds": 2}, train=9, val=0, score=never),
    "rules easily": Case(RULES, {"num_candidates": 3, "max_bootstrapped_demos": 2}, predictors=2, score=always),
}
UNUSABLE = {"dspy.AvatarOptimizer", "dspy.BootstrapFinetune"}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_calls_are_as_said(case: Case, tmp_path: Path) -> None:
    said, found = case.said, counted(case, tmp_path)

    assert found.scores in said.scores
    assert found.demos in said.demos
    assert found.model - (found.scores + found.demos) * case.predictors in said.own
    assert found.model in said.model
    assert case.first_try.metric.least <= found.scores + found.demos
    assert case.first_try.model.least <= found.model


def test_every_family_is_counted() -> None:
    assert {case.path for case in CASES.values()} == FAMILIES.keys() - UNUSABLE


def test_every_family_is_counted_for_one_and_for_several_predictors() -> None:
    for path in FAMILIES.keys() - UNUSABLE:
        assert {1, 3} <= {case.predictors for case in CASES.values() if case.path == path}, path


EXTREMES = {
    "the least demos": ("bootstrap easily", "demos", "least"),
    "the most demos": ("bootstrap in vain", "demos", "most"),
    "the least demos of few rows": ("bootstrap few rows", "demos", "least"),
    "the most demos of a search": ("search in vain", "demos", "most"),
    "the least of a search that stops": ("search stopped", "scores", "least"),
    "the most of a search that stops": ("search never stopped", "scores", "most"),
    "the most demos of optuna's": ("optuna in vain", "demos", "most"),
    "the most demos of mipro's": ("mipro light in vain", "demos", "most"),
    "the most demos without labels": ("mipro without labelled demos", "demos", "most"),
    "the most demos of halves": ("rules on halves", "demos", "most"),
    "the least demos for rules": ("rules easily", "demos", "least"),
}


@pytest.mark.parametrize(("name", "what", "bound"), EXTREMES.values(), ids=EXTREMES)
def test_bounds_are_met(name: str, what: str, bound: str, tmp_path: Path) -> None:
    """No bound could be tighter."""
    assert getattr(counted(CASES[name], tmp_path), what) == getattr(getattr(CASES[name].said, what), bound)


@pytest.mark.parametrize(
    "name", ["bootstrap", "search", "optuna", "mipro explicit minibatches", "gepa calls", "simba", "copro", "rules"]
)
def test_a_program_that_fails_on_rows_costs_no_more(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    found = counted(case, tmp_path, Failing())

    assert 0 < found.scores + found.demos <= case.said.metric.most
    assert found.model <= case.said.model.most


def test_simba_asks_for_advice_where_answers_differ(tmp_path: Path) -> None:
    case = CASES["simba with advice"]
    found = counted(case, tmp_path)

    assert found.model > found.scores


def test_scores_are_exact_but_for_searches_that_end_when_they_like() -> None:
    for name, case in CASES.items():
        scores = case.said.scores
        assert scores.least == scores.most or "gepa" in str(case).lower() or "stop_at_score" in case.kwargs, name


@pytest.mark.parametrize("components", [1, 2, 5])
@pytest.mark.parametrize("auto", ["light", "medium", "heavy"])
@pytest.mark.parametrize("rows", [1, 30, 400])
def test_gepa_spends_what_the_installed_dspy_reckons(components: int, auto: Any, rows: int) -> None:
    gepa = dspy.GEPA(
        metric=lambda gold, pred, trace, name, sub: 0.0, auto=auto, reflection_lm=counted_lm(CountingEngine())
    )
    tables = bundled().tables
    assert tables is not None
    candidates = tables.gepa_auto[auto].n

    assert auto_budget(components, candidates, rows) == gepa.auto_budget(components, candidates, rows)


@pytest.mark.parametrize("path", sorted(FAMILIES))
def test_an_optimizer_without_the_needed_options_has_no_known_number(path: str) -> None:
    said = FAMILIES[path].calls(Options(init={}, compile={}), SplitCounts(10, 5, 5), 1)
    assert said is None or path in ("dspy.LabeledFewShot", "dspy.KNNFewShot", "dspy.Ensemble"), "these call nobody"


def test_nobody_knows_what_an_own_optimizer_does() -> None:
    options, counts = Options(init={}, compile={"valset": None}), SplitCounts(10, 5, 5)
    assert (UNKNOWN.calls(options, counts, 1), UNKNOWN.full_rows(options, counts)) == (None, 5)
    assert options.uses_validation_rows


def test_model_calls_are_the_program_s_and_the_optimizer_s_own() -> None:
    calls = Calls(scores=Range(10, 10), demos=Range(1, 5), own=Range(2, 4), predictors=3)
    assert (calls.metric, calls.program, calls.model) == (Range(11, 15), Range(33, 45), Range(35, 49))
