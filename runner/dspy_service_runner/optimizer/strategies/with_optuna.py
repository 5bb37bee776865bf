"""What the optimizers that search with optuna have in common: its log lines, and when it is imported.

optuna imports numpy, whose linear algebra starts threads at once. A process that is prewarmed and then locked into a
sandbox must have none, so it is imported only when such an optimizer runs.
"""

import importlib
from typing import Any

import dspy

from dspy_service_runner.optimizer.strategies.strategy import Plan, Strategy


class OptunaStrategy(Strategy):
    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        logs = importlib.import_module("optuna.logging")
        logs.disable_default_handler()
        logs.enable_propagation()
        return super().compile(optimizer, plan)
