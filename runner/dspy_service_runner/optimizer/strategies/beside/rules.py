"""Lets SIMBA ask for the rules of all its new candidates at the same time. DSPy asks for one after the other, though a
rule is needed only when its candidate is scored."""

import functools
import logging
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import dspy

from dspy_service_runner.optimizer.failures import first_line
from dspy_service_runner.optimizer.strategies.beside.threads import Start

logger = logging.getLogger("dspy_service.simba")


class RulesBeside:
    def __init__(self, start: Start) -> None:
        self._start = start
        self._asked: weakref.WeakKeyDictionary[dspy.Module, Future[object]] = weakref.WeakKeyDictionary()

    def asking(self, append: Callable[..., object]) -> Callable[..., bool]:
        """`append` as one of SIMBA's strategies, which writes its rule into the candidate when the answer is there."""

        @functools.wraps(append)
        def ask(bucket: Any, candidate: dspy.Module, **arguments: Any) -> bool:
            self._asked[candidate] = self._start(functools.partial(append, bucket, candidate, **arguments))
            return True

        return ask

    def written(self, candidate: dspy.Module) -> None:
        """Waits for the candidate's rule. One that cannot be had leaves the candidate as it is: a program of the pool,
        but for the demos that SIMBA took from it. (DSPy makes another in its place, whose scores cost the same.)"""
        asked = self._asked.pop(candidate, None)
        if asked is None:
            return
        try:
            asked.result()
        except Exception as error:
            logger.warning("SIMBA goes on without a rule that it asked for: %s", first_line(error))
