"""No row is run, and paid, twice because it takes long: DSPy's own executor, on a clock that leaps."""

import threading
from collections import Counter
from types import SimpleNamespace

import pytest
from dspy.utils import parallelizer
from dspy.utils.parallelizer import ParallelExecutor

from dspy_service_runner.optimizer.models.pace import stragglers
from waiting import wait_for


@pytest.fixture(autouse=True)
def _installed_here_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ParallelExecutor, "__init__", ParallelExecutor.__init__)


def times_run(monkeypatch: pytest.MonkeyPatch, **arguments: int) -> Counter[int]:
    """How often each of two rows was run, of which one takes an hour of DSPy's time."""
    runs, looks, done = Counter[int](), Counter[str](), threading.Event()

    def leaping() -> float:
        looks["n"] += 1
        return looks["n"] * 3600.0

    def run(row: int) -> int:
        runs[row] += 1
        if row == 1:
            done.wait(20)
        return row

    monkeypatch.setattr(parallelizer, "time", SimpleNamespace(time=leaping))
    executor = ParallelExecutor(num_threads=4, disable_progress_bar=True, **arguments)
    running = threading.Thread(target=executor.execute, args=(run, [0, 1]))
    running.start()
    if executor.timeout:
        wait_for(lambda: runs[1] == 2, what="the second run")
    else:
        running.join(2.5)  # it looks every second
    done.set()
    running.join(10)
    return runs


def test_a_slow_row_is_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    stragglers.install()
    assert times_run(monkeypatch) == {0: 1, 1: 1}


def test_dspy_alone_runs_it_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert times_run(monkeypatch) == {0: 1, 1: 2}


def test_who_asks_for_it_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stragglers.install()
    assert times_run(monkeypatch, timeout=60) == {0: 1, 1: 2}
