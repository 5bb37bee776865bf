"""Optimizers that only write instructions: COPRO and InferRules."""

from collections.abc import Iterator

from dspy_service_core.optimizers.calls import Calls, Range, at_least, exactly
from dspy_service_core.optimizers.families.few_shot import bootstrapped
from dspy_service_core.optimizers.family import Family, Setup, proposal_temperature, two_training_rows
from dspy_service_core.optimizers.options import Options, whole
from dspy_service_core.records.run import SplitCounts


def _breadth(setup: Setup) -> Iterator[str]:
    breadth = setup.options.init.get("breadth")
    if (whole(breadth) or 0) <= 1:
        yield f"{setup.kwargs}.breadth must be greater than 1, not {breadth}."


def _evaluation(setup: Setup) -> Iterator[str]:
    path, given = f"{setup.compile_kwargs}.eval_kwargs", setup.options.compile.get("eval_kwargs")
    if not isinstance(given, dict | None):
        yield f"{path} must be an object of keyword arguments of dspy.Evaluate."
    for name in ("devset", "metric"):
        if isinstance(given, dict) and name in given:
            yield f"{path}.{name} cannot be set: the service sets it."


class Copro(Family):
    """Scores every candidate on the training rows."""

    rules = (_breadth, _evaluation, proposal_temperature)

    def full_rows(self, options: Options, counts: SplitCounts) -> int:
        return counts.train

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        breadth, depth = options.number("breadth"), options.number("depth")
        # With several predictors, each depth scores all earlier candidates anew.
        rounds = depth if predictors == 1 else predictors * depth * (depth + 1) // 2
        return Calls(
            scores=exactly(breadth * rounds * counts.train),
            demos=exactly(0),
            own=Range(depth, breadth * depth - 1) * predictors,  # the instruction as given is the first candidate
            predictors=predictors,
        )

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        return at_least(counts.train, 0, predictors, predictors)


class InferRules(Family):
    rules = (two_training_rows,)

    def full_rows(self, options: Options, counts: SplitCounts) -> int:
        return counts.val or counts.train - _half(counts)

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        candidates, rows = options.number("num_candidates"), counts.train if counts.val else _half(counts)
        wanted = exactly(options.number("max_bootstrapped_demos"))
        return Calls(
            scores=exactly(candidates * self.full_rows(options, counts)),
            demos=bootstrapped(rows, wanted, options.number("max_rounds")),
            own=exactly(candidates * predictors),
            predictors=predictors,
        )

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        demos = self.known_calls(options, counts, predictors).demos.least
        return at_least(self.full_rows(options, counts), demos, predictors, predictors)


def _half(counts: SplitCounts) -> int:
    """Without validation rows, it trains on one half of the training rows and validates on the other half."""
    return int(0.5 * counts.train)
