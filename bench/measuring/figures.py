"""A measured number beside what it is held to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`least` or `most` is the limit, in the figure's own unit; a peer's figure is a limit that was measured."""

    what: str
    value: float
    unit: str
    least: float | None = None
    most: float | None = None
    peer: str = ""

    @property
    def limit(self) -> float:
        limit = self.least if self.least is not None else self.most
        assert limit is not None, f"{self.what} is held to nothing"
        return limit

    @property
    def ratio(self) -> float:
        return self.value / self.limit if self.limit else float(self.value > 0)

    @property
    def met(self) -> bool:
        return self.value >= self.limit if self.least is not None else self.value <= self.limit

    @property
    def measured(self) -> str:
        return f"{self.value:,.1f} {self.unit}"

    @property
    def against(self) -> str:
        word = "at least" if self.least is not None else "at most"
        return f"{word} {self.limit:,.1f} {self.unit}{f' ({self.peer})' if self.peer else ''}"

    @property
    def verdict(self) -> str:
        return "met" if self.met else "NOT MET"


def share(numbers: Sequence[float], part: float) -> float:
    """The least of the numbers that `part` (0 to 1) of them are below; of 100, 0.99 is the largest."""
    return sorted(numbers)[min(int(part * len(numbers)), len(numbers) - 1)]


def show(figures: Iterable[Figure]) -> None:
    """As lines, for a script of its own."""
    for figure in figures:
        print(f"{figure.what:<24} {figure.measured:>16}   {figure.against:<24} {figure.verdict}", flush=True)
