"""SIMBA: mini-batches of sampled trajectories, from which it appends demos or rules."""

from collections.abc import Iterator

from dspy_service_core.optimizers.calls import Calls, Range, at_least, exactly
from dspy_service_core.optimizers.family import Family, Setup
from dspy_service_core.optimizers.options import Options, whole
from dspy_service_core.records.run import SplitCounts


def _batch(setup: Setup) -> Iterator[str]:
    size = whole(setup.options.init.get("bsize"))
    if setup.counts is not None and size is not None and setup.counts.train < size:
        yield (
            f"{setup.name} needs at least {size} training rows (its bsize), and gets {setup.counts.train}: "
            f"{setup.rows_for('train', size)}, or lower {setup.kwargs}.bsize."
        )


class Simba(Family):
    rules = (_batch,)

    def full_rows(self, options: Options, counts: SplitCounts) -> int:
        return counts.train

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        """A step samples trajectories on a batch and scores new candidates on it, at most one for each row. At the end,
        winners of evenly spread steps, as many as there are candidates, are scored on all training rows."""
        batch, steps = options.number("bsize"), options.number("max_steps")
        sampled = options.number("num_candidates")
        tried = min(sampled + 1, batch)
        winners = {round(number * steps / sampled) for number in range(sampled + 1)}
        return Calls(
            scores=exactly(steps * batch * (sampled + tried) + len(winners) * counts.train),
            demos=exactly(0),
            own=Range(0, steps * tried),  # a candidate gets a rule, a demo, or nothing
            predictors=predictors,
        )

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        batch = options.number("bsize")
        return at_least(batch * (options.number("num_candidates") + 1), 0, 0, predictors)
