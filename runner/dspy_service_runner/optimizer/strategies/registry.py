"""Which strategy an optimizer gets: its own class's, else its nearest ancestor's, else the common one."""

from collections.abc import Callable
from functools import partial

import dspy

from dspy_service_core.optimizers.family import Family
from dspy_service_core.optimizers.family_table import EVALUATION, FAMILIES
from dspy_service_runner.optimizer.strategies.ensemble import Ensemble
from dspy_service_runner.optimizer.strategies.evaluate import Evaluate, EvaluateStrategy
from dspy_service_runner.optimizer.strategies.gepa.gepa import Gepa
from dspy_service_runner.optimizer.strategies.instructions import Copro, InferRules
from dspy_service_runner.optimizer.strategies.knn import Nearest
from dspy_service_runner.optimizer.strategies.mipro import Mipro
from dspy_service_runner.optimizer.strategies.random_search import RandomSearch
from dspy_service_runner.optimizer.strategies.simba import Simba
from dspy_service_runner.optimizer.strategies.strategy import Strategy
from dspy_service_runner.optimizer.strategies.together import Together
from dspy_service_runner.optimizer.strategies.with_optuna import BootstrapWithOptuna


def strategy_for(optimizer: type) -> Strategy:
    return next((STRATEGIES[c] for c in optimizer.__mro__ if c in STRATEGIES), _COMMON)


_RUN_BY: dict[str, Callable[[Family], Strategy]] = {
    "dspy.BetterTogether": partial(Together, strategy_for=strategy_for),
    "dspy.BootstrapFewShotWithOptuna": BootstrapWithOptuna,
    "dspy.BootstrapFewShotWithRandomSearch": RandomSearch,
    "dspy.COPRO": Copro,
    "dspy.Ensemble": Ensemble,
    "dspy.GEPA": Gepa,
    "dspy.InferRules": InferRules,
    "dspy.KNNFewShot": Nearest,
    "dspy.MIPROv2": Mipro,
    "dspy.SIMBA": Simba,
}
"""All other families are run the common way."""

STRATEGIES: dict[type, Strategy] = {
    getattr(dspy, path.removeprefix("dspy.")): _RUN_BY.get(path, Strategy)(family) for path, family in FAMILIES.items()
} | {Evaluate: EvaluateStrategy(EVALUATION)}
_COMMON = Strategy()
