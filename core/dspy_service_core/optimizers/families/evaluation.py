"""`evaluate`, which scores the given program and looks for no better one."""

from dspy_service_core.optimizers.calls import Calls, no_calls
from dspy_service_core.optimizers.family import Family
from dspy_service_core.optimizers.options import Options
from dspy_service_core.records.run import SplitCounts


class Evaluation(Family):
    optimizes = False

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        return no_calls(predictors)
