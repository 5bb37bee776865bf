"""`evaluate` as DSPy's optimizers are: a class whose `compile` takes a program and gives one back.

So a job that only scores its program is run, checked and recorded like any other.
"""

from typing import Any

import dspy

from dspy_service_runner.optimizer.strategies.strategy import Strategy


class Evaluate:
    def compile(self, student: dspy.Module, *, trainset: Any = None) -> dspy.Module:
        return student


class EvaluateStrategy(Strategy):
    optimizes = False
