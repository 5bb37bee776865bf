"""`evaluate`, which scores the given program and looks for no better one."""

from dspy_service_core.optimizers.calls import Calls, exactly
from dspy_service_core.optimizers.family import Family
from dspy_service_core.optimizers.options import Options
from dspy_service_core.records.run import SplitCounts


class Evaluation(Family):
    optimizes = False

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        return Calls(scores=exactly(0), demos=exactly(0), own=exactly(0), predictors=predictors)
