"""Draws of two programs' scores on the same rows, in named shapes, and how often an interval holds the truth of them.

For the tests of the verdict and for `bench/verdicts.py`, which prints the whole table.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Draw = Callable[[np.random.Generator, int, int], tuple[Any, Any]]
"""Baseline and optimized scores, each of so many draws by so many rows."""
Interval = Callable[[list[float], list[float]], tuple[float, float]]
"""Ends on the scale of 0 to 100."""


def _binary(both: float, won: float, lost: float) -> Draw:
    def draw(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
        kind = rng.random((draws, rows))
        is_won, is_lost = kind < won, (kind >= won) & (kind < won + lost)
        is_right = (kind >= won + lost) & (kind < won + lost + both)
        return (is_lost | is_right).astype(float), (is_won | is_right).astype(float)

    return draw


def _uniform(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
    return rng.random((draws, rows)), rng.random((draws, rows))


def _better(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
    return rng.beta(2, 3, (draws, rows)), rng.beta(3, 2, (draws, rows))


def _overlaps(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
    """F1 of extracted words: often nothing, else rather good."""
    sides = [np.where(rng.random((draws, rows)) < none, 0.0, rng.beta(4, 2, (draws, rows))) for none in (0.3, 0.2)]
    return sides[0], sides[1]


def _rubric(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
    """A judge's marks of 0 to 4."""
    before = rng.integers(0, 5, (draws, rows))
    return before / 4, np.clip(before + rng.integers(-1, 3, (draws, rows)), 0, 4) / 4


def _shifted(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
    before = rng.uniform(0.2, 0.8, (draws, rows))
    return before, np.clip(before + rng.normal(0.1, 0.1, (draws, rows)), 0, 1)


def _large_gain(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
    return np.full((draws, rows), 0.25), np.full((draws, rows), 0.95)


def _loses_half(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
    return rng.uniform(0.5, 1, (draws, rows)), rng.uniform(0, 0.5, (draws, rows))


def _tied(share: float, otherwise: Draw) -> Draw:
    def draw(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
        before, after = otherwise(rng, draws, rows)
        return before, np.where(rng.random((draws, rows)) < share, before, after)

    return draw


def _rare(share: float, common: float, rare: float) -> Draw:
    """Nearly all rows differ by `common`, few by `rare`."""

    def draw(rng: np.random.Generator, draws: int, rows: int) -> tuple[Any, Any]:
        before = np.full((draws, rows), 1 - common if rare < 0 else 0.0)
        return before, np.where(rng.random((draws, rows)) < share, before + rare, before + common)

    return draw


BINARY: Mapping[str, Draw] = {
    "0/1, as good": _binary(0.25, 0.25, 0.25),
    "0/1, 60 % and 70 %": _binary(0.42, 0.28, 0.18),
    "0/1, 20 % and 80 %": _binary(0.16, 0.64, 0.04),
    "0/1, 80 % tied": _binary(0.4, 0.1, 0.1),
    "0/1, 80 % tied, mostly won": _binary(0.4, 0.17, 0.03),
    "0/1, 80 % tied, none lost": _binary(0.4, 0.2, 0.0),
    "0/1, 90 % tied, mostly won": _binary(0.5, 0.08, 0.02),
    "0/1, 90 % tied, none won": _binary(0.5, 0.0, 0.1),
    "0/1, 95 % tied": _binary(0.5, 0.025, 0.025),
    "0/1, 98 % tied, none lost": _binary(0.5, 0.02, 0.0),
}
GRADED: Mapping[str, Draw] = {
    "graded, uniform": _uniform,
    "graded, beta, better": _better,
    "graded, word overlap": _overlaps,
    "graded, marks of 0 to 4": _rubric,
    "graded, small gain on all": _shifted,
    "graded, 50 % tied, uniform": _tied(0.5, _uniform),
    "graded, 80 % tied, uniform": _tied(0.8, _uniform),
    "graded, 80 % tied, marks": _tied(0.8, _rubric),
    "graded, 80 % tied, large gain": _tied(0.8, _large_gain),
    "graded, 80 % tied, loses half": _tied(0.8, _loses_half),
    "graded, 90 % tied, better": _tied(0.9, _better),
    "graded, 90 % tied, large gain": _tied(0.9, _large_gain),
    "graded, 90 % tied, loses half": _tied(0.9, _loses_half),
    "graded, 95 % tied, uniform": _tied(0.95, _uniform),
    "graded, 95 % tied, large gain": _tied(0.95, _large_gain),
    "graded, 95 % tied, loses half": _tied(0.95, _loses_half),
    "graded, 10 % lose all, else small gain": _rare(0.1, 0.05, -0.95),
    "graded, 3 % lose all, else small gain": _rare(0.03, 0.05, -0.95),
    "graded, 3 % win all, else small gain": _rare(0.03, 0.05, 1.0),
}
SHAPES: Mapping[str, Draw] = {**BINARY, **GRADED}
ROWS = (10, 30, 100, 300)
SEED = 20_000
_LONG_RUN = 1_000_000


@dataclass(frozen=True)
class Coverage:
    shape: str
    rows: int
    share: float
    """Of the intervals that hold the true difference."""
    width: float
    """Of the interval, on average."""


@cache
def true_difference(shape: str) -> float:
    """On the scale of 0 to 100, from very many rows: wrong by a tenth of the narrowest interval at most."""
    before, after = SHAPES[shape](np.random.default_rng(SEED), 1, _LONG_RUN)
    return float(100 * (after - before).mean())


def coverage(shape: str, rows: int, draws: int, interval: Interval) -> Coverage:
    before, after = SHAPES[shape](np.random.default_rng(SEED + rows), draws, rows)
    ends = np.array([interval(*pair) for pair in zip(before.tolist(), after.tolist(), strict=True)])
    truth = true_difference(shape)
    held = (ends[:, 0] - 1e-9 <= truth) & (truth <= ends[:, 1] + 1e-9)
    return Coverage(shape, rows, float(held.mean()), float((ends[:, 1] - ends[:, 0]).mean()))
