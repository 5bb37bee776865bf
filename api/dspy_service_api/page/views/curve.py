"""The search as a picture: the best score so far over metric calls, and each candidate as a point.

Both come from the list of candidates, so that they count the same calls: those of the search. A job of an earlier
version has none, and its best is known from its events and its result. It is drawn here as SVG, for whoever has no
scripts and for print; `curve.js` draws the same points with uPlot, where one can point at them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dspy_service_api.page.views.candidates import most_rows
from dspy_service_api.page.views.figures import figure, mapping

WIDTH, HEIGHT = 720, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 12, 30
_MOST_POINTS = 600
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Tick:
    at: float
    label: str


@dataclass(frozen=True, slots=True)
class Curve:
    best: tuple[Point, ...]
    candidates: tuple[Point, ...]
    path: str
    dots: tuple[Point, ...]
    few: tuple[Point, ...]
    """Dots of candidates that were scored on fewer rows, which do not compare with the others."""
    on_few: tuple[Point, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    said: str
    """For whoever does not see it."""

    @property
    def data(self) -> dict[str, Any]:
        """For the script."""
        return {"best": self.best, "candidates": self.candidates, "few": self.on_few}


def curve_of(
    events: Iterable[Mapping[str, Any]], details: Mapping[str, Any], tried: Sequence[Mapping[str, Any]] = ()
) -> Curve | None:
    """None where nothing was scored yet."""
    most = most_rows(tried)
    candidates = _points(tried, lambda rows: rows == most) if tried else _pairs(details.get("candidate_scores"))
    few = _points(tried, lambda rows: rows < most)
    best = _best_of(candidates) if tried else _pairs(details.get("best_so_far")) or _so_far(events)
    return _drawn(thinned(best), thinned(candidates), thinned(few)) if best or candidates else None


def _points(tried: Iterable[Mapping[str, Any]], wanted: Callable[[float], bool]) -> list[Point]:
    found = ((figure(each, "at_call"), figure(each, "score"), figure(each, "rows") or 0.0) for each in tried)
    return [(x, y) for x, y, rows in found if x is not None and y is not None and wanted(rows)]


def _best_of(candidates: Iterable[Point]) -> list[Point]:
    points: list[Point] = []
    for at, score in (found := sorted(candidates)):
        if not points or score > points[-1][1]:
            points.append((at, score))
    return points if not points or points[-1][0] == found[-1][0] else [*points, (found[-1][0], points[-1][1])]


def _so_far(events: Iterable[Mapping[str, Any]]) -> list[Point]:
    points: list[Point] = []
    for event in events:
        metrics = mapping(event.get("metrics"))
        calls, best = figure(metrics, "tqdm_n"), figure(metrics, "best_score")
        if calls is None or best is None or (points and calls < points[-1][0]):
            continue
        if not points or best != points[-1][1]:
            points.append((calls, best))
        elif len(points) > 1 and points[-2][1] == best:
            points[-1] = (calls, best)
        else:
            points.append((calls, best))
    return points


def _pairs(given: Any) -> list[Point]:
    pairs = given if isinstance(given, list) else []
    return [(float(x), float(y)) for x, y in (pair for pair in pairs if _is_pair(pair))]


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(figure({"v": v}, "v") is not None for v in pair)


def thinned(points: Sequence[Point]) -> list[Point]:
    """Evenly, with the first and the last."""
    if len(points) <= _MOST_POINTS:
        return list(points)
    step = (len(points) - 1) / (_MOST_POINTS - 1)
    return [points[round(n * step)] for n in range(_MOST_POINTS)]


def _drawn(best: list[Point], candidates: list[Point], few: list[Point]) -> Curve:
    every = [*best, *candidates, *few]
    last = max(x for x, _ in every) or 1.0
    low, high = _bounds([y for _, y in every])

    def x(value: float) -> float:
        return round(_LEFT + (WIDTH - _LEFT - _RIGHT) * value / last, 1)

    def y(value: float) -> float:
        return round(HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low), 1)

    return Curve(
        best=tuple(best),
        candidates=tuple(candidates),
        path=_steps([(x(a), y(b)) for a, b in best], x(last)),
        dots=tuple((x(a), y(b)) for a, b in candidates),
        few=tuple((x(a), y(b)) for a, b in few),
        on_few=tuple(few),
        across=tuple(Tick(x(value), f"{value:,.0f}") for value in _ticks(0, last)),
        up=tuple(Tick(y(value), f"{value:g}") for value in _ticks(low, high)),
        said=_said(best, len(candidates) + len(few), last),
    )


def _bounds(scores: Sequence[float]) -> tuple[float, float]:
    low, high = min(scores), max(scores)
    room = max((high - low) * 0.15, 2.0)
    return (0.0 if low >= 0 and low - room < 0 else low - room), high + room


def _ticks(low: float, high: float) -> list[float]:
    """Four or five round numbers."""
    span = (high - low) or 1.0
    magnitude = 10.0 ** len(str(int(span))) / 100
    step = next(s * m for m in (magnitude, magnitude * 10, magnitude * 100) for s in (1, 2, 5) if span / (s * m) <= 5)
    first = int(low // step) + (low % step > 0)
    return [value for n in range(8) if (value := round((first + n) * step, 6)) <= high]


def _steps(points: Sequence[Point], end: float) -> str:
    if not points:
        return ""
    path = f"M{points[0][0]} {points[0][1]}"
    for x, y in points[1:]:
        path += f"H{x}V{y}"
    return f"{path}H{end}"


def _said(best: Sequence[Point], candidates: int, last: float) -> str:
    said = f"{candidates} candidates were scored. " if candidates else ""
    if best:
        said += f"The best score on the validation rows went from {best[0][1]:.1f} to {best[-1][1]:.1f}"
    return f"{said} within {last:,.0f} metric calls."
