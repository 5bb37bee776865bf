"""How long the answered calls of one kind took, and from when on a call is slower than nearly all of them. Pure."""

import math
from collections import deque
from dataclasses import dataclass, field

_KEPT = 500
_LEAST = 10
"""Calls that must have been seen."""
_NEARLY_ALL = 0.95
_BEYOND = 1.5
"""How many times as long as nearly all others took: otherwise one call in twenty would be slow by definition."""


@dataclass
class Durations:
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def note(self, seconds: float) -> None:
        self._seconds.append(seconds)

    def slow(self) -> float | None:
        """Seconds after which a call is slow; None while too few have been seen."""
        if len(self._seconds) < _LEAST:
            return None
        ordered = sorted(self._seconds)
        return _BEYOND * ordered[math.ceil(_NEARLY_ALL * len(ordered)) - 1]
