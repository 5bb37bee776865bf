"""Which strategy an optimizer gets: its own class's, else its nearest ancestor's, else the common one."""

from dspy import COPRO, GEPA, SIMBA, BootstrapFewShot, BootstrapRS, InferRules, LabeledFewShot, MIPROv2
from dspy.teleprompt import BootstrapFewShotWithOptuna

from dspy_service_runner.optimizer.strategies import few_shot, gepa, instructions, mipro, simba
from dspy_service_runner.optimizer.strategies.strategy import Strategy

STRATEGIES: dict[type, Strategy] = {
    LabeledFewShot: few_shot.LabeledFewShot(),
    BootstrapFewShot: few_shot.BootstrapFewShot(),
    BootstrapRS: few_shot.RandomSearch(),
    BootstrapFewShotWithOptuna: few_shot.OptunaSearch(),
    MIPROv2: mipro.Mipro(),
    GEPA: gepa.Gepa(),
    SIMBA: simba.Simba(),
    COPRO: instructions.Copro(),
    InferRules: instructions.InferRules(),
}
_COMMON = Strategy()


def strategy_for(optimizer: type) -> Strategy:
    return next((STRATEGIES[c] for c in optimizer.__mro__ if c in STRATEGIES), _COMMON)
