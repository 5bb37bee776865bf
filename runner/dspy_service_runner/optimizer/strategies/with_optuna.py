"""What the optimizers that search with optuna have in common: its log lines, its seed, and when it is imported.

optuna imports numpy, whose linear algebra starts threads at once. A process that is prewarmed and then locked into a
sandbox must have none, so it is imported only when such an optimizer runs.
"""

import functools
import importlib
from typing import Any

import dspy

from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy

_SEED = 0
"""Used where DSPy gives no seed, as for BootstrapFewShotWithOptuna: the same payload should make the same search."""


class OptunaStrategy(Strategy):
    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        optuna: Any = importlib.import_module("optuna")
        logs = importlib.import_module("optuna.logging")
        logs.disable_default_handler()
        logs.enable_propagation()
        create_study = optuna.create_study
        optuna.create_study = functools.partial(create_study, sampler=optuna.samplers.TPESampler(seed=_SEED))
        try:
            return super().compile(optimizer, plan)
        finally:
            optuna.create_study = create_study
