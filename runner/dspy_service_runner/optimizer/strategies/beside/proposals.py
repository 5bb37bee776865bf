"""Lets MIPROv2 ask for all its instructions at the same time: each takes three requests of the prompt model, and DSPy
makes one instruction after the other, though none is told of the others."""

import copy
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from dspy.propose import GroundedProposer
from dspy.teleprompt import mipro_optimizer_v2

from dspy_service_runner.optimizer.strategies.beside.replaced import replaced
from dspy_service_runner.optimizer.strategies.beside.threads import Start, beside_each_other


@contextmanager
def proposals_beside(threads: int) -> Iterator[None]:
    class Proposer(GroundedProposer):  # type: ignore[misc]  # dspy is untyped
        _start: Start

        def propose_instructions_for_program(self, **arguments: Any) -> dict[int, list[str]]:
            with beside_each_other(threads) as self._start:
                asked: dict[int, list[Future[str]]] = super().propose_instructions_for_program(**arguments)
                return {predictor: [each.result() for each in asked[predictor]] for predictor in asked}

        def propose_instruction_for_predictor(self, **arguments: Any) -> Future[str]:
            """What chance decides is decided here, in DSPy's order, so that a seed gives the same instructions."""
            alone = copy.copy(self)
            alone.rng = _Drawn(self.rng.randint(*_ROLLOUTS))
            return self._start(partial(GroundedProposer.propose_instruction_for_predictor, alone, **arguments))

    with replaced(mipro_optimizer_v2, GroundedProposer=Proposer):
        yield


_ROLLOUTS = (0, 10**9)
"""The range that DSPy draws a proposal's rollout from."""


@dataclass(frozen=True)
class _Drawn:
    number: int

    def randint(self, low: int, high: int) -> int:
        assert (low, high) == _ROLLOUTS
        return self.number
