"""How many metric and model calls an optimizer makes, as exactly as that can be known before the run.

The numbers hold if program and models succeed: most optimizers do not score rows on which the program fails, and a
model whose answer cannot be parsed is called again. Answers from the job's own cache count as calls here."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Range:
    least: int
    most: int

    def __add__(self, other: "Range") -> "Range":
        return Range(self.least + other.least, self.most + other.most)

    def __mul__(self, times: int) -> "Range":
        return Range(self.least * times, self.most * times)

    def __contains__(self, number: int) -> bool:
        return self.least <= number <= self.most


def exactly(number: int) -> Range:
    return Range(number, number)


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls of one run of an optimizer, without those that the service adds (baseline, final score)."""

    scores: Range
    """Rows scored to compare candidates."""
    demos: Range
    """Rows tried as demos; the search ends as soon as there are enough demos."""
    own: Range
    """Model calls of the optimizer itself: proposals, reflections, summaries. A call for n completions counts as one or
    as n, depending on the provider."""
    predictors: int
    budget: int | None = None
    """Calls after which the search begins no further step, if it has such a budget."""

    @property
    def at_least(self) -> "Calls":
        return at_least(self.scores.least, self.demos.least, self.own.least, self.predictors)

    @property
    def metric(self) -> Range:
        """Calls that score the whole program; those for GEPA's feedback on one predictor do not count."""
        return self.scores + self.demos

    @property
    def program(self) -> Range:
        """Model calls of the program, which calls each of its predictors once for a row."""
        return self.metric * self.predictors

    @property
    def model(self) -> Range:
        return self.program + self.own


def at_least(scores: int, demos: int, own: int, predictors: int) -> Calls:
    return Calls(exactly(scores), exactly(demos), exactly(own), predictors)


def no_calls(predictors: int) -> Calls:
    """Of an optimizer that scores nothing and asks no model."""
    return Calls(scores=exactly(0), demos=exactly(0), own=exactly(0), predictors=predictors)
