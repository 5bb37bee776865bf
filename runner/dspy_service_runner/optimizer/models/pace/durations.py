"""How long the answered calls of one kind took, and from when on a call is slower than nearly all of them. Pure."""

import math
from collections import deque
from dataclasses import dataclass, field

_KEPT = 500
_LEAST = 4
"""Calls that must have been seen."""
_MANY = 20
"""From so many on, nearly all of them are more than what lies below the slowest one."""
_FEW_SHARE, _FEW_BEYOND = 0.75, 3.0
_NEARLY_ALL, _BEYOND = 0.95, 1.5
"""A call is slow that takes so many times as long as that share of the others took. The factor is above 1 because one
call in twenty would be slow by definition, and greater where little is known."""


@dataclass
class Durations:
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def note(self, seconds: float) -> None:
        self._seconds.append(seconds)

    def slow(self) -> float | None:
        """Seconds after which a call is slow; None while too few have been seen."""
        count = len(self._seconds)
        if count < _LEAST:
            return None
        share, beyond = (_NEARLY_ALL, _BEYOND) if count >= _MANY else (_FEW_SHARE, _FEW_BEYOND)
        return beyond * sorted(self._seconds)[math.ceil(share * count) - 1]
