"""A measured number beside what it is held to."""

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
