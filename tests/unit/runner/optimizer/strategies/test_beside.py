"""What DSPy asks for one after the other is asked for side by side: the same requests, for the same program."""

import functools
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import dspy
import pytest

from counting_engine import CountingEngine, counted_lm
from dspy_service_core.optimizers.family_table import FAMILIES
from dspy_service_core.records.usage import Usage
from dspy_service_runner.optimizer.outbox import Outbox
from dspy_service_runner.optimizer.program_state import State, state_of
from dspy_service_runner.optimizer.progress.candidates import Candidates
from dspy_service_runner.optimizer.progress.progress import Progress
from dspy_service_runner.optimizer.splits import Splits
from dspy_service_runner.optimizer.strategies.beside.demo_sets import search_beside
from dspy_service_runner.optimizer.strategies.beside.rules import RulesBeside
from dspy_service_runner.optimizer.strategies.beside.threads import beside_each_other
from dspy_service_runner.optimizer.strategies.mipro import Mipro
from dspy_service_runner.optimizer.strategies.random_search import RandomSearch
from dspy_service_runner.optimizer.strategies.simba import Simba
from dspy_service_runner.optimizer.strategies.strategy import Strategy
from dspy_service_runner.optimizer.strategies.with_optuna import OptunaStrategy
from plans import plan_of
from scripted_model import TICKETS

ROWS = [dspy.Example(**row).with_inputs("text") for row in TICKETS[:24]]
SPLITS = Splits(ROWS[:12], ROWS[12:20], ROWS[20:])
LABEL, INSTRUCTION, ADVICE = "`label` (str)", "`proposed_instruction` (str)", "`module_advice` (dict"
"""Words of the requests for a row's answer, for a proposal of MIPROv2 and for a rule of SIMBA."""


class TwoSteps(dspy.Module):  # type: ignore[misc]  # dspy is untyped
    def __init__(self) -> None:
        super().__init__()
        self.note = dspy.Predict("text -> note")
        self.label = dspy.Predict("text, note -> label")

    def forward(self, text: str) -> Any:
        return self.label(text=text, note=self.note(text=text).note)


class Heard(CountingEngine):
    """Remembers the requests. Those with the word `held` wait until so many of them are there `at_once`, or for ten
    seconds."""

    def __init__(self, held: str = "", at_once: int = 2) -> None:
        super().__init__()
        self.requests: list[str] = []
        self.met = self.release = threading.Event()
        self._held, self._at_once, self._waiting, self._noting = held, at_once, 0, threading.Lock()

    def complete(self, request: Any) -> Any:
        asked = str(request)
        waits = bool(self._held) and self._held in asked and not self.release.is_set()
        with self._noting:
            self.requests.append(asked)
            self._waiting += waits
            if self._waiting >= self._at_once:
                self.met.set()
        if waits:
            self.release.wait(10)
            with self._noting:
                self._waiting -= 1
        return super().complete(request)


@dataclass(frozen=True)
class Case:
    path: str
    kwargs: dict[str, Any]
    ours: Callable[[Any], Strategy]
    theirs: Callable[[Any], Strategy] | None = None
    """How the service would run it, if it left the order to DSPy."""


SEARCH = Case(
    "dspy.BootstrapFewShotWithRandomSearch",
    {"num_candidate_programs": 4, "max_bootstrapped_demos": 3},
    RandomSearch,
    Strategy,
)
MIPRO = Case("dspy.MIPROv2", {"auto": "light"}, Mipro, OptunaStrategy)
NO_DEMOS = Case(MIPRO.path, MIPRO.kwargs | {"max_bootstrapped_demos": 0, "max_labeled_demos": 0}, Mipro, OptunaStrategy)
SIMBA = Case("dspy.SIMBA", {"bsize": 8, "num_candidates": 3, "max_demos": 0, "max_steps": 2}, Simba)


def right(gold: Any, pred: Any, trace: Any = None) -> float:
    return float(gold.label == pred.label)


def changing() -> Callable[..., float]:
    """SIMBA asks for a rule where answers to the same row score differently."""
    calls = count()
    return lambda gold, pred, trace=None: float(next(calls) % 3 == 0)


def compiled(
    case: Case,
    strategy: Callable[[Any], Strategy],
    engine: Heard,
    folder: Path,
    metric: Callable[..., float] = right,
    **planned: Any,
) -> State:
    """DSPy scores row after row: what else is asked at the same time is the strategy's."""
    lm, its, outbox = counted_lm(engine), strategy(FAMILIES[case.path]), Outbox(folder)
    plan = plan_of(case.path, case.kwargs, TwoSteps(), SPLITS, lm, folder, **planned)
    progress, candidates = Progress(outbox, Usage, 60), Candidates(outbox, lambda: 0, lambda score: None)
    with dspy.context(lm=lm):
        optimizer = its.build(plan, metric, progress, candidates)
        optimizer.num_threads = 1
        return state_of(its.compile(optimizer, plan))


@pytest.mark.parametrize("case", [SEARCH, MIPRO, NO_DEMOS], ids=["search", "MIPROv2", "MIPROv2 without demos"])
def test_the_requests_and_the_program_are_those_of_dspy(case: Case, tmp_path: Path) -> None:
    ours, theirs = Heard(), Heard()
    assert case.theirs is not None

    found = compiled(case, case.ours, ours, tmp_path)

    assert found == compiled(case, case.theirs, theirs, tmp_path)
    assert Counter(ours.requests) == Counter(theirs.requests)


@pytest.mark.parametrize(
    ("case", "held", "at_once", "threads"),
    [
        (SEARCH, LABEL, 10, 10),
        (MIPRO, LABEL, 2, 4),
        (MIPRO, INSTRUCTION, 2, 4),
        (SIMBA, ADVICE, 2, 4),
    ],
    ids=[
        "sets of random search, while rows are scored",
        "sets of MIPROv2",
        "instructions of MIPROv2",
        "rules of SIMBA",
    ],
)
def test_they_are_asked_for_side_by_side(case: Case, held: str, at_once: int, threads: int, tmp_path: Path) -> None:
    engine = Heard(held, at_once)

    compiled(case, case.ours, engine, tmp_path, changing() if case is SIMBA else right, threads=threads)

    assert engine.met.is_set()


@pytest.mark.parametrize("threads", [1, 4, 10])
def test_a_random_search_runs_no_more_rows_at_once_than_the_job_has_threads(threads: int, tmp_path: Path) -> None:
    engine = Heard(LABEL, threads + 1)
    engine.release = threading.Event()
    timer = threading.Timer(1, engine.release.set)
    timer.start()

    compiled(SEARCH, RandomSearch, engine, tmp_path, threads=threads)

    timer.join()
    assert not engine.met.is_set()


@pytest.mark.parametrize("threads", [1, 2])
def test_no_more_of_them_at_once_than_the_job_has_threads(threads: int) -> None:
    at_once, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        threading.Event().wait(0.01)
        with lock:
            at_once -= 1

    with beside_each_other(threads) as start:
        for future in [start(work) for _ in range(8)]:
            future.result()

    assert most <= threads


def test_a_search_that_fails_asks_for_no_further_row() -> None:
    """Each of nine sets would go through all twelve rows, as the metric takes none."""
    engine, runs = Heard(LABEL, at_once=9), count()
    engine.release = threading.Event()
    search = dspy.BootstrapRS(metric=lambda *_: 0.0, num_candidate_programs=8, num_threads=1)

    def run() -> Any:
        if next(runs) == 1:
            engine.met.wait(10)
            raise RuntimeError("the metric broke")
        return search.compile(TwoSteps(), trainset=ROWS[:12], valset=ROWS[12:])

    with dspy.context(lm=counted_lm(engine)), pytest.raises(RuntimeError, match="the metric broke"):
        search_beside(search, run, 20)
    engine.release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("beside"):
            thread.join(10)

    asked = sum(LABEL in request for request in engine.requests)
    assert asked == 9, "each set ends the row that it is at"


def test_a_search_that_may_stop_at_a_score_makes_no_set_before_it_comes_to_it(tmp_path: Path) -> None:
    case = Case(SEARCH.path, {**SEARCH.kwargs, "stop_at_score": 0.0}, RandomSearch)
    engine = Heard()

    compiled(case, case.ours, engine, tmp_path, threads=64)

    assert len(engine.requests) == 2 * len(SPLITS.val)


def test_a_search_with_a_budget_makes_its_sets_in_dspy_s_order(tmp_path: Path) -> None:
    ours, theirs = Heard(), Heard()

    compiled(SEARCH, RandomSearch, ours, tmp_path, threads=64, may_run_out=True)
    compiled(SEARCH, Strategy, theirs, tmp_path, threads=64)

    assert ours.requests == theirs.requests


def test_a_rule_that_cannot_be_had_costs_the_rule_alone() -> None:
    def append_a_rule(bucket: list[Any], candidate: Any, **_: Any) -> bool:
        raise ValueError("refused")

    candidate = TwoSteps()
    before = state_of(candidate)
    with beside_each_other(2) as start:
        rules = RulesBeside(start)
        assert rules.asking(functools.partial(append_a_rule))([], candidate, prompt_model=None)
        rules.written(candidate)
        rules.written(candidate)

    assert state_of(candidate) == before
