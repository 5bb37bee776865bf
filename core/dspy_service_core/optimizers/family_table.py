"""The family of each of DSPy's optimizers, by the optimizer's shortest path."""

from collections.abc import Mapping

from dspy_service_core.optimizers.families.evaluation import Evaluation
from dspy_service_core.optimizers.families.few_shot import (
    BootstrapFewShot,
    LabeledFewShot,
    NearestFewShot,
    OptunaSearch,
    RandomSearch,
)
from dspy_service_core.optimizers.families.gepa import Gepa
from dspy_service_core.optimizers.families.instructions import Copro, InferRules
from dspy_service_core.optimizers.families.joined import Joined
from dspy_service_core.optimizers.families.mipro import Mipro
from dspy_service_core.optimizers.families.simba import Simba
from dspy_service_core.optimizers.families.together import Together
from dspy_service_core.optimizers.families.unusable import BROKEN, WEIGHTS
from dspy_service_core.optimizers.family import Family
from dspy_service_core.registry import evaluate

EVALUATION = Evaluation()
UNKNOWN = Family()


def family_of(path: str) -> Family:
    return EVALUATION if path == evaluate.PATH else FAMILIES.get(path, UNKNOWN)


FAMILIES: Mapping[str, Family] = {
    "dspy.LabeledFewShot": LabeledFewShot(),
    "dspy.BootstrapFewShot": BootstrapFewShot(),
    "dspy.BootstrapFewShotWithRandomSearch": RandomSearch(),
    "dspy.BootstrapFewShotWithOptuna": OptunaSearch(),
    "dspy.KNNFewShot": NearestFewShot(),
    "dspy.GEPA": Gepa(),
    "dspy.MIPROv2": Mipro(),
    "dspy.SIMBA": Simba(),
    "dspy.COPRO": Copro(),
    "dspy.InferRules": InferRules(),
    "dspy.AvatarOptimizer": BROKEN,
    "dspy.BetterTogether": Together(family_of),
    "dspy.BootstrapFinetune": WEIGHTS,
    "dspy.Ensemble": Joined(),
}
EVALUATION = Evaluation()
