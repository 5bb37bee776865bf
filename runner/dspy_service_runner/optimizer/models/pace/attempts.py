"""Attempts of one call that run beside each other: each writes into records of its own, and those of one become the
call's.

dspy's engines write what they find into the two last arguments of an attempt, a state and a list of results.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Attempt:
    arguments: tuple[Any, ...]
    _engine: Callable[..., None]

    def once(self) -> None:
        self._engine(*self.arguments)


@dataclass(frozen=True)
class Attempts:
    engine: Callable[..., None]
    arguments: Sequence[Any]
    """Of the call's own attempt, as dspy gives them."""

    def new(self) -> Attempt:
        *same, state, _results = self.arguments
        return Attempt((*same, type(state)(), []), self.engine)

    def take(self, attempt: Attempt) -> None:
        *_same, state, results = self.arguments
        *_its, its_state, its_results = attempt.arguments
        vars(state).update(vars(its_state))
        results.extend(its_results)
