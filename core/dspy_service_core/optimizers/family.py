"""The base of all families. `Family` itself is for optimizers of which nothing is known, such as those that whoever
runs the service has added."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dspy_service_core.optimizers.calls import Calls, Range, exactly
from dspy_service_core.optimizers.options import Options, UnknownOption, options_of
from dspy_service_core.records.run import SplitCounts
from dspy_service_core.registry.catalogue import OptimizerAsset
from dspy_service_core.resource.spec.model_rules import REASONING_TEMPERATURE, is_reasoning
from dspy_service_core.resource.splits import Fractions, fewest_rows, in_column
from dspy_service_core.resource.words import Words

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Setup:
    """An optimizer with its arguments, rows and models. `counts` is None if the number of rows is unknown."""

    name: str
    options: Options
    counts: SplitCounts | None
    fractions: Fractions
    models: Mapping[str, str]
    """The provider's name of each model, by the model's role or name in the job."""
    words: Words
    split_column: str = ""
    """The column that splits the rows, if shares do not."""
    programs: int | None = None
    """How many programs of earlier jobs the job carries; None if that is unknown."""

    @property
    def kwargs(self) -> str:
        return self.words("spec.optimizer.kwargs")

    @property
    def compile_kwargs(self) -> str:
        return self.words("spec.optimizer.compileKwargs")

    def rows_for(self, split: str, wanted: int) -> str:
        """Advice for a split with too few rows."""
        if self.split_column:
            return in_column(split, self.split_column, wanted)
        rows = fewest_rows(split, wanted, self.fractions)
        share = f"a larger share in {self.words('spec.split')}.{split}"
        return f"send at least {rows} rows, or give it {share}" if rows else f"give it {share}"


Rule = Callable[[Setup], Iterator[str]]
"""Yields a message for each problem."""


@dataclass(frozen=True, slots=True)
class Part:
    """An optimizer within another one's arguments, with its own."""

    name: str
    asset: OptimizerAsset
    kwargs: Mapping[str, Any]
    compile_kwargs: Mapping[str, Any]

    @property
    def options(self) -> Options:
        return options_of(self.asset, self.kwargs, self.compile_kwargs)


class Family:
    rules: tuple[Rule, ...] = ()
    unusable = ""
    """Why no job can use the optimizer, if none can."""
    chainable = True
    """Whether it may be a step of a chain: it takes a program and gives one back, whose state tells all of it."""
    joins = False
    """Whether it takes whole programs, which the job carries, in place of a program and rows."""
    optimizes = True
    """Whether it looks for a better program; otherwise the given one is scored, and its score is the result."""
    embeds_rows = False
    """Whether an embedder is asked for all training rows, and for each row that the optimized program is called on."""

    def arguments(self, asset: OptimizerAsset) -> OptimizerAsset:
        """The optimizer as a job may give its arguments."""
        return asset

    def objections(self, setup: Setup) -> Iterator[str]:
        """Why the optimizer would refuse its arguments, or fail after money was spent."""
        for rule in self.rules:
            yield from rule(setup)

    def parts(self, options: Options) -> Mapping[str, Part]:
        """Further optimizers in its arguments, by the names that they have there."""
        return {}

    def full_rows(self, options: Options, counts: SplitCounts) -> int:
        """Rows that a candidate is scored on when it is scored fully."""
        return counts.val or counts.train

    def calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls | None:
        """None if nothing is known about this optimizer."""
        try:
            return self.known_calls(options, counts, predictors)
        except UnknownOption:
            return None

    def known_calls(self, options: Options, counts: SplitCounts, predictors: int) -> Calls | None:
        return None

    def first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls | None:
        """The least that it takes until a program of its own was scored for the first time; None if that is not known.
        A search that ends earlier has found nothing."""
        try:
            return self.known_first_try(options, counts, predictors)
        except UnknownOption:
            return None

    def known_first_try(self, options: Options, counts: SplitCounts, predictors: int) -> Calls | None:
        """All of it, for an optimizer that compares nothing."""
        known = self.known_calls(options, counts, predictors)
        return None if known is None else known.at_least

    def runs_a_row(self, options: Options, counts: SplitCounts) -> Range:
        """How often the program runs when the optimized one is called on a row."""
        return exactly(1)

    def typed_kwargs(self) -> dict[str, Json]:
        """Schemas of those `kwargs` and `compileKwargs` that the CRD's rules use."""
        return {}

    def cel_of_optimizer(self, names: str) -> list[Json]:
        """Rules on `spec.optimizer`. `names` is a CEL list of all names of this family's optimizer."""
        return []

    def cel_of_spec(self, names: str) -> list[Json]:
        return []


def proposal_temperature(setup: Setup) -> Iterator[str]:
    """A rule for optimizers that call the prompt model at a temperature of their own."""
    role = "prompt" if "prompt" in setup.models else "default"
    model, given = setup.models.get(role, ""), setup.options.init.get("init_temperature")
    if is_reasoning(model) and given != REASONING_TEMPERATURE:
        yield (
            f"{setup.kwargs}.init_temperature must be {REASONING_TEMPERATURE}, and is {given}: the {role} model "
            f"'{model}' ({setup.words(f'spec.models.{role}')}), which proposes prompts, takes no other temperature."
        )


def two_training_rows(setup: Setup) -> Iterator[str]:
    """A rule for optimizers that split the training rows if there are no validation rows."""
    if setup.counts is not None and not setup.counts.val and setup.counts.train < 2:
        yield f"{setup.name} needs 2 training rows where there are no validation rows: {setup.rows_for('train', 2)}."
