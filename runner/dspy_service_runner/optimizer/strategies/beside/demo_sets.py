"""Lets the sets of demos be bootstrapped at the same time, which random search and MIPROv2 do one after the other.

Within a set each row waits for the one before it, because it may not be needed; but no set needs anything of another.
DSPy decides what the sets are while it makes them. So its own code runs twice: once with a stand-in for
`BootstrapFewShot` that only remembers what it is asked for, and asks no model; then, while the remembered sets are
being made, as it is, and takes each of them when it comes to it. The calls and the demos are those of DSPy.
"""

import copy
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any, TypeVar

import dspy
from dspy.teleprompt import mipro_optimizer_v2, random_search, utils

from dspy_service_runner.optimizer.strategies.beside.replaced import replaced
from dspy_service_runner.optimizer.strategies.beside.threads import beside_each_other

Result = TypeVar("Result")


def search_beside(search: dspy.BootstrapRS, compiled: Callable[[], Result], threads: int) -> Result:
    """`compiled` runs `search`, which scores all of its candidates: one that may end earlier, at a score or a budget,
    would have sets made, and paid, that it never comes to.

    Sets are made while others are scored, with no more than `threads` rows under way. So there have to be at least
    twice as many threads as sets. With fewer, sets are made in turn: made before the first is scored, they would leave
    a search that is stopped with calls paid and nothing found.
    """
    with replaced(random_search, Evaluate=_scores_nothing):
        sets = _planned(random_search, compiled)
    if threads < 2 * len(sets):
        return compiled()
    search.num_threads = threads - len(sets)
    with _made(random_search, sets, len(sets)):
        return compiled()


@contextmanager
def demo_sets_beside(threads: int) -> Iterator[None]:
    """For MIPROv2."""
    one_by_one = mipro_optimizer_v2.create_n_fewshot_demo_sets

    def create(*, rng: Any, **arguments: Any) -> Any:
        sets = _planned(utils, functools.partial(one_by_one, rng=copy.deepcopy(rng), **arguments))
        with _made(utils, sets, threads):
            return one_by_one(rng=rng, **arguments)

    with replaced(mipro_optimizer_v2, create_n_fewshot_demo_sets=create):
        yield


@dataclass(frozen=True)
class _Set:
    arguments: dict[str, Any]
    student: dspy.Module
    given: dict[str, Any]

    def made(self, given_up: threading.Event) -> dspy.Module:
        program: dspy.Module = _Bootstrap(given_up, self.arguments).compile(self.student, **self.given)
        return program


class _Bootstrap(dspy.BootstrapFewShot):  # type: ignore[misc]  # dspy is untyped
    def __init__(self, given_up: threading.Event, arguments: dict[str, Any]) -> None:
        super().__init__(**arguments)
        self._given_up = given_up

    def _bootstrap_one_example(self, *arguments: Any) -> Any:
        """Asks for no further row once the search is over: its calls would be paid for nothing."""
        if self._given_up.is_set():
            raise CancelledError
        return super()._bootstrap_one_example(*arguments)


def _planned(module: ModuleType, run: Callable[[], object]) -> list[_Set]:
    """The sets that `run` asks for, in their order. What the module prints is said when it runs again."""
    sets: list[_Set] = []

    class Planned:
        def __init__(self, **arguments: Any) -> None:
            self._arguments = arguments

        def compile(self, student: dspy.Module, **given: Any) -> dspy.Module:
            sets.append(_Set(self._arguments, student, given))
            return student.reset_copy()

    with replaced(module, BootstrapFewShot=Planned, print=_says_nothing):
        run()
    return sets


@contextmanager
def _made(module: ModuleType, sets: list[_Set], threads: int) -> Iterator[None]:
    given_up = threading.Event()
    with beside_each_other(threads) as start:
        under_way = iter([start(functools.partial(each.made, given_up)) for each in sets])

        class Awaited:
            def __init__(self, **arguments: Any) -> None:
                pass

            def compile(self, student: dspy.Module, **given: Any) -> dspy.Module:
                return next(under_way).result()

        try:
            with replaced(module, BootstrapFewShot=Awaited):
                yield
        finally:
            given_up.set()


def _scores_nothing(**_arguments: Any) -> Callable[[dspy.Module], Any]:
    return lambda _program: SimpleNamespace(score=0.0, results=[])


def _says_nothing(*_words: object) -> None:
    pass
