"""The score as it went: from a job's events, as points over the optimizer's metric calls, and a small picture of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dspy_service.answers import Event
from dspy_service.foreign import figure

_BARS = "▁▂▃▄▅▆▇█"


@dataclass(frozen=True, slots=True)
class Point:
    calls: int
    best: float


class ScoreTrail:
    """What a display needs to remember of the events that it was shown."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.baseline: float | None = None
        self.optimized: float | None = None

    def add(self, events: Iterable[Event]) -> None:
        for event in events:
            metrics = event.metrics
            self.baseline = _newer(figure(metrics, "baseline_test_metric"), self.baseline)
            self.optimized = _newer(figure(metrics, "optimized_test_metric"), self.optimized)
            if (best := figure(metrics, "best_score")) is not None:
                self.points.append(Point(int(figure(metrics, "tqdm_n") or 0), best))

    @property
    def best(self) -> float | None:
        """The best score on the optimizer's own validation rows, so not to be compared with the test's."""
        return self.points[-1].best if self.points else None


def _newer(told: float | None, known: float | None) -> float | None:
    return known if told is None else told


def sparkline(points: Sequence[Point], width: int) -> str:
    """Each character stands for as many metric calls as another, the first for the beginning."""
    if len(points) < 2 or points[-1].calls <= points[0].calls:
        return ""
    first, span = points[0].calls, points[-1].calls - points[0].calls
    places = [first + span * (i + 1) / width for i in range(width)]
    return _bars(
        [max(point.best for point in points if point.calls <= place or point is points[0]) for place in places]
    )


def _bars(values: Sequence[float]) -> str:
    low, high = min(values), max(values)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return "".join(_BARS[round((value - low) / step)] for value in values)
