"""What the optimizers that search with optuna have in common: its log lines, its seed, and when it is imported.

optuna imports numpy, whose linear algebra starts threads at once. A process that is prewarmed and then locked into a
sandbox must have none, so it is imported only when such an optimizer runs.
"""

import functools
import importlib
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Kept:
    """A program within a trial. optuna copies all trials to give the best one, and a program with a lock or connection
    cannot be copied by Python's way."""

    program: dspy.Module

    def __deepcopy__(self, memo: Any) -> "Kept":
        return self


class KeptPrograms(dspy.BootstrapFewShotWithOptuna):  # type: ignore[misc]  # dspy is untyped
    """Its `compile` returns a `Kept`, because dspy's class takes the best program out of a copy of its trial."""

    def objective(self, trial: Any) -> Any:
        set_user_attr = trial.set_user_attr
        trial.set_user_attr = lambda key, value: set_user_attr(key, Kept(value))
        return super().objective(trial)


class BootstrapWithOptuna(OptunaStrategy):
    def optimizer_class(self, plan: Plan) -> type:
        return KeptPrograms if plan.optimizer is dspy.BootstrapFewShotWithOptuna else plan.optimizer

    def compile(self, optimizer: Any, plan: Plan) -> dspy.Module:
        best: Any = super().compile(optimizer, plan)
        return best.program if isinstance(best, Kept) else best
