"""MIPROv2: demos and instructions, searched together by optuna."""

import math
from collections.abc import Iterator

from dspy_service_core.optimizers import cel
from dspy_service_core.optimizers.calls import Calls, Range, at_least, exactly
from dspy_service_core.optimizers.families.few_shot import bootstrapped
from dspy_service_core.optimizers.family import Family, Json, Setup, proposal_temperature, two_training_rows
from dspy_service_core.optimizers.options import Options, UnknownOption, whole
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import AutoRun, tables

_MOST_VALIDATION_ROWS, _VALIDATION_SHARE = 1000, 0.8
"""How many training rows it validates on if there are no validation rows."""
_FIXED_SETS = 3
"""Sets of demos that come first: none, labelled ones, and those bootstrapped in the order of the rows."""
_MOST_OBSERVATIONS, _FEWEST_OBSERVATIONS = 9, 5
"""Further calls for a summary of the rows: at most so many, and at least so many before it may give up because the
answers add nothing."""


def _budget(setup: Setup) -> Iterator[str]:
    auto = setup.options.init.get("auto")
    own = {
        f"{setup.kwargs}.num_candidates": setup.options.init.get("num_candidates"),
        f"{setup.compile_kwargs}.num_trials": setup.options.compile.get("num_trials"),
    }
    if auto is not None:
        for path, value in own.items():
            if value is not None:
                yield f"{path} conflicts with {setup.kwargs}.auto '{auto}': give one, the other null."
    missing = [path for path, value in own.items() if value is None]
    if auto is None and missing:
        yield f"{setup.name} with auto null needs {' and '.join(own)}; missing: {', '.join(missing)}."


def _permission(setup: Setup) -> Iterator[str]:
    if setup.options.compile.get("requires_permission_to_run"):
        yield f"{setup.compile_kwargs}.requires_permission_to_run must be false: nobody could confirm."


def _minibatch(setup: Setup) -> Iterator[str]:
    size = whole(setup.options.compile.get("minibatch_size"))
    if setup.counts is None or size is None or not setup.counts.train:
        return
    rows = _validation_rows(setup.options, setup.counts)
    if _uses_minibatches(setup.options, rows) and size > rows:
        yield (
            f"{setup.compile_kwargs}.minibatch_size {size} exceeds the {rows} validation rows: lower it, set "
            f"{setup.compile_kwargs}.minibatch to false, or {setup.rows_for('val', size)}."
        )


def _shuffled_demos(setup: Setup) -> Iterator[str]:
    """Sets of demos beyond the first few draw their size from 1 up to `max_bootstrapped_demos`, which fails for 0."""
    try:
        options = setup.options
        bootstrapped, labelled = _demos(options, "max_bootstrapped_demos"), _demos(options, "max_labeled_demos")
        drawn = _candidates(options) > _FIXED_SETS
    except UnknownOption:
        return
    if labelled and not bootstrapped and drawn:
        yield (
            f"{setup.kwargs}.max_bootstrapped_demos must be at least 1 for {setup.name}: dspy draws numbers from 1 to "
            "it. For no demos at all, set max_labeled_demos to 0 as well."
        )


def _auto_run(options: Options) -> AutoRun | None:
    auto = options.init.get("auto")
    return tables().mipro_auto.get(auto) if isinstance(auto, str) else None


def _held_out(counts: SplitCounts) -> int:
    """How many of the training rows it validates on."""
    return 0 if counts.val else min(_MOST_VALIDATION_ROWS, max(1, int(counts.train * _VALIDATION_SHARE)))


def _validation_rows(options: Options, counts: SplitCounts) -> int:
    rows, auto = counts.val or _held_out(counts), _auto_run(options)
    return min(rows, auto.val_size) if auto and auto.val_size else rows


def _uses_minibatches(options: Options, rows: int) -> bool:
    if _auto_run(options):
        return rows > tables().mipro_min_minibatch_size
    return bool(options.compile.get("minibatch"))


def _demos(options: Options, name: str) -> int:
    return options.number(name) if options.compile.get(name) is None else options.compile_number(name)


def _is_zero_shot(options: Options) -> bool:
    return not any(_demos(options, name) for name in ("max_bootstrapped_demos", "max_labeled_demos"))


class Mipro(Family):
    rules = (_budget, _permission, two_training_rows, _minibatch, _shuffled_demos, proposal_temperature)

    def full_rows(self, options: Options, counts: SplitCounts) -> int:
        return _validation_rows(options, counts)

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        return Calls(
            scores=exactly(_scores(options, self.full_rows(options, counts), predictors)),
            demos=_bootstraps(options, counts.train - _held_out(counts)),
            own=_proposals(options, counts.train - _held_out(counts), predictors),
            predictors=predictors,
        )

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        """The program as given on all rows, and the first trial, after all demos and instructions were made. Rows that
        are tried for several sets of demos may be answered from memory."""
        rows, train = self.full_rows(options, counts), counts.train - _held_out(counts)
        trial = options.compile_number("minibatch_size") if _uses_minibatches(options, rows) else rows
        wanted = tables().mipro_zero_shot_demos if _is_zero_shot(options) else _demos(options, "max_bootstrapped_demos")
        demos = min(_bootstraps(options, train).least, wanted)
        return at_least(rows + trial, demos, _proposals(options, train, predictors).least, predictors)

    def typed_kwargs(self) -> dict[str, Json]:
        return {
            "kwargs": {"auto": cel.AUTO, "num_candidates": cel.number("How many candidates (MIPROv2).")},
            "compileKwargs": {"num_trials": cel.number("How many trials (MIPROv2).")},
        }

    def cel_of_optimizer(self, names: str) -> list[Json]:
        return [
            {
                "rule": f"!(self.name in {names}) || !has(self.kwargs) || !has(self.kwargs.auto)"
                " || !(has(self.kwargs.num_candidates)"
                " || (has(self.compileKwargs) && has(self.compileKwargs.num_trials)))",
                "message": "MIPROv2 with kwargs.auto takes neither kwargs.num_candidates nor compileKwargs.num_trials: "
                "give them, or auto",
            }
        ]


def _candidates(options: Options) -> int:
    auto = _auto_run(options)
    return auto.n if auto else options.number("num_candidates")


def _trials(options: Options, predictors: int) -> int:
    auto = _auto_run(options)
    if auto is None:
        return options.compile_number("num_trials")
    variables = predictors * (1 if _is_zero_shot(options) else 2)
    return int(max(2 * variables * math.log2(auto.n), 1.5 * auto.n))


def _scores(options: Options, rows: int, predictors: int) -> int:
    """Scores of the given program and of every trial. With minibatches, the best candidate so far is also scored on all
    rows after every few trials."""
    trials = _trials(options, predictors)
    if not _uses_minibatches(options, rows):
        return (1 + trials) * rows
    full = 1 + math.ceil(trials / options.compile_number("minibatch_full_eval_steps"))
    return trials * options.compile_number("minibatch_size") + full * rows


def _bootstraps(options: Options, rows: int) -> Range:
    """Rows tried for the sets of demos: an empty set, labelled demos, demos bootstrapped in the order of the rows, and
    then shuffled sets of any size."""
    zero_shot = _is_zero_shot(options)
    most = tables().mipro_zero_shot_demos if zero_shot else _demos(options, "max_bootstrapped_demos")
    labelled = 0 if zero_shot else _demos(options, "max_labeled_demos")
    in_order = bootstrapped(rows, exactly(most), 1)
    shuffled = bootstrapped(rows, Range(min(1, most), most), 1)
    kinds = [exactly(0), exactly(0) if labelled else shuffled, in_order]
    sets = _candidates(options)
    return sum(kinds[:sets], exactly(0)) + shuffled * max(sets - len(kinds), 0)


def _proposals(options: Options, rows: int, predictors: int) -> Range:
    """Calls for a summary of the rows, and for each instruction, before which the program may be described."""
    auto, sets = _auto_run(options), _candidates(options)
    instructions = auto.n // 2 if auto and not _is_zero_shot(options) else sets
    each = Range(1, 3 if options.compile.get("program_aware_proposer") else 1)
    return _summary(options, rows) + each * (predictors * instructions)


def _summary(options: Options, rows: int) -> Range:
    if not options.compile.get("data_aware_proposer"):
        return exactly(0)
    batch = options.compile_number("view_data_batch_size")
    further = min(_MOST_OBSERVATIONS, len(range(batch, rows, batch)))
    return Range(2 + min(_FEWEST_OBSERVATIONS, further), 2 + further)
