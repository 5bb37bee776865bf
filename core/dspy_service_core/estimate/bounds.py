"""Ranges of which the upper end may be unknown: what can be said of a number before a run, and no more."""

from dataclasses import dataclass

from dspy_service_core.optimizers.calls import Range


@dataclass(frozen=True, slots=True)
class Bounds:
    """`most` is None where nobody can say it before the run."""

    least: int
    most: int | None

    @classmethod
    def of(cls, known: Range) -> "Bounds":
        return cls(known.least, known.most)

    def __add__(self, other: "Bounds") -> "Bounds":
        known = self.most is not None and other.most is not None
        return Bounds(self.least + other.least, (self.most or 0) + (other.most or 0) if known else None)

    def __mul__(self, times: "Bounds") -> "Bounds":
        """Nothing times an unknown number is nothing."""
        if self.most == 0 or times.most == 0:
            return Bounds(0, 0)
        known = self.most is not None and times.most is not None
        return Bounds(self.least * times.least, (self.most or 0) * (times.most or 0) if known else None)

    def __contains__(self, number: int) -> bool:
        return self.least <= number and (self.most is None or number <= self.most)

    def __str__(self) -> str:
        if self.most is None:
            return f"at least {self.least}"
        return str(self.least) if self.least == self.most else f"{self.least} to {self.most}"


def just(number: int) -> Bounds:
    return Bounds(number, number)
