"""How often an optimizer calls the metric and the models, as exactly as it can be known before the run.

All of it holds for programs and models that answer: rows on which the program fails are not scored by most optimizers,
and a model whose answer cannot be parsed is asked again. An answer out of the job's own cache is a call here.
"""

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
    """Of one run of an optimizer; what the service adds (baseline, final score) is not among them."""

    scores: Range
    """Rows scored to compare candidates."""
    demos: Range
    """Rows tried as demos: the search for them ends as soon as there are enough."""
    own: Range
    """Model calls that are the optimizer's own: proposals, reflections, summaries. A call for n completions is one
    or n, as the provider has it."""
    predictors: int

    @property
    def metric(self) -> Range:
        """Scores of the whole program; feedback that GEPA asks for one predictor is none."""
        return self.scores + self.demos

    @property
    def program(self) -> Range:
        """Model calls by the program, which asks each of its predictors once for a row."""
        return self.metric * self.predictors

    @property
    def model(self) -> Range:
        return self.program + self.own
