"""Optimizers that only choose demos: labelled rows, bootstrapped traces, searches over sets of them, and the rows that
are nearest to each input."""

from collections.abc import Iterator

from dspy_service_core.optimizers.calls import Calls, Range, at_least, exactly, no_calls
from dspy_service_core.optimizers.family import Family, Setup
from dspy_service_core.optimizers.options import Options, whole
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import bundled, by_path


def bootstrapped(rows: int, demos: Range, rounds: int) -> Range:
    """How many rows BootstrapFewShot tries until it has as many demos as wanted: at least that many, if all succeed,
    and at most all rows in every round, if none does."""
    if not demos.most:
        return exactly(0)
    return Range(min(rows, demos.least), rows * rounds)


class LabeledFewShot(Family):
    """Calls neither the model nor the metric."""

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        return no_calls(predictors)


class BootstrapFewShot(Family):
    """Scores rows one by one until it has enough demos; it never scores a candidate."""

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        wanted = exactly(options.number("max_bootstrapped_demos"))
        demos = bootstrapped(counts.train, wanted, options.number("max_rounds"))
        return Calls(scores=exactly(0), demos=demos, own=exactly(0), predictors=predictors)


def _random_search(setup: Setup) -> Iterator[str]:
    init = setup.options.init
    demos, programs = init.get("max_bootstrapped_demos"), whole(init.get("num_candidate_programs"))
    if programs and not demos:
        yield f"{setup.kwargs}.max_bootstrapped_demos must be at least 1 for {setup.name}, not {demos}."
    restrict = setup.options.compile.get("restrict")
    if restrict is None or programs is None:
        return
    seeds = _seeds(programs)
    if not isinstance(restrict, list) or not any(seed in seeds for seed in restrict if whole(seed) is not None):
        allowed = f"a list of seeds, one of them in {seeds[0]}..{seeds[-1]}"
        yield f"{setup.compile_kwargs}.restrict must be {allowed}."


def _seeds(programs: int) -> range:
    """Seeds of the candidates: no demos, labelled demos, demos bootstrapped in the order of the rows, then shuffled."""
    return range(-3, programs)


class RandomSearch(Family):
    rules = (_random_search,)

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        restrict = options.compile.get("restrict")
        seeds = [seed for seed in _seeds(options.number("num_candidate_programs")) if not restrict or seed in restrict]
        rows, most = self.full_rows(options, counts), options.number("max_bootstrapped_demos")
        demos = exactly(0)
        for seed in seeds:
            demos += self._demos(seed, counts.train, most, options.number("max_rounds"))
        scores = exactly(len(seeds) * rows)
        if options.init.get("stop_at_score") is not None:  # it may end with the first candidate
            scores, demos = Range(rows, scores.most), Range(0, demos.most)
        return Calls(scores=scores, demos=demos, own=exactly(0), predictors=predictors)

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        """The first candidate is the program without demos, mostly as it was given."""
        whole_search = self.known_calls(options, counts, predictors)
        rows = self.full_rows(options, counts)
        return at_least(min(2 * rows, whole_search.scores.least), 0, 0, predictors)

    def _demos(self, seed: int, rows: int, most: int, rounds: int) -> Range:
        if seed < -1:
            return exactly(0)
        return bootstrapped(rows, exactly(most) if seed == -1 else Range(min(1, most), most), rounds)


class OptunaSearch(Family):
    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        wanted = options.compile_number("max_demos")
        return Calls(
            scores=exactly(options.number("num_candidate_programs") * self.full_rows(options, counts)),
            demos=bootstrapped(counts.train, exactly(wanted), options.number("max_rounds")),
            own=exactly(0),
            predictors=predictors,
        )

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        demos = self.known_calls(options, counts, predictors).demos.least
        return at_least(self.full_rows(options, counts), demos, 0, predictors)


def _two_rows(setup: Setup) -> Iterator[str]:
    if setup.counts is not None and setup.counts.train < 2:
        yield f"{setup.name} looks for the nearest of at least 2 training rows: {setup.rows_for('train', 2)}."


def _nothing_beyond_the_record(setup: Setup) -> Iterator[str]:
    """The optimized program looks up rows and makes demos of them each time it is asked, wherever it is loaded. So it
    must need nothing that its record in the artifact cannot hold."""
    needless = "no metric is asked when the program makes its demos: where it is loaded, there is none"
    model = "the program would ask that model each time it runs, and its record in the artifact cannot hold one"
    for name, why in (("metric_threshold", needless), ("teacher_settings", model)):
        if setup.options.init.get(name) is not None:
            yield f"{setup.kwargs}.{name} cannot be set for {setup.name}: {why}."


class NearestFewShot(Family):
    """Only wraps the program, which then chooses its demos for each input anew: calls come with each prediction."""

    rules = (_two_rows, _nothing_beyond_the_record)
    chainable = False
    embeds_rows = True

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls:
        return no_calls(predictors)

    def runs_a_row(self, options: Options, counts: SplitCounts) -> Range:
        """On the nearest rows, until there are enough demos, and then on the row itself."""
        wanted, rounds = (_of_bootstrap(options, name) for name in ("max_bootstrapped_demos", "max_rounds"))
        nearest = min(whole(options.init.get("k")) or counts.train, counts.train)
        return bootstrapped(nearest, exactly(wanted), rounds) + exactly(1)


def _of_bootstrap(options: Options, name: str) -> int:
    """An argument that goes on to BootstrapFewShot, which has a default of its own."""
    given = whole(options.init.get(name))
    if given is not None:
        return given
    default = by_path(bundled().optimizers)["dspy.BootstrapFewShot"].init.find(name)
    return (default and whole(default.default)) or 0
