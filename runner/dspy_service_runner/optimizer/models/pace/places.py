"""How many calls of one model may be under way at once: its places.

They begin at a few and double while that brings more answers per second. Where it does not, the model only makes the
calls wait, and the places go back to what they were. A refusal takes them below what was refused; from then on they
grow by one with each round of answers, and for a while not to where the refusal came. Pure: time is passed in.
"""

import math
import statistics
from collections import deque
from dataclasses import dataclass, field

FIRST = 8
"""Places before anything is known of the model: as many as DSPy's default of threads."""
_LEAST_ANSWERS = 8
"""Answers that a rate is taken over, at least: over fewer of them chance looks like a rise."""
_MOST_ANSWERS = 256
_RISE = 0.2
"""Share of what further places could bring that they must bring."""
_KEPT = 0.85
"""Share of the places that a refusal leaves; a further one before any answer leaves half."""
_HOLD, _LONGEST_HOLD = 15.0, 600.0
"""Seconds for which the places keep below what was too much; twice as long each time."""


@dataclass(frozen=True)
class Sent:
    at: float
    demand: int
    """How many calls were under way or waited for a place, this one included."""


@dataclass
class Places:
    most: int
    count: int = field(init=False)
    unanswered_cuts: int = 0
    """How many refusals in a row cut the places, without an answer between them."""
    _seconds: deque[float] = field(default_factory=lambda: deque(maxlen=_MOST_ANSWERS))
    """What calls took for which all places were taken, since the places last changed."""
    _changed_at: float = -math.inf
    _wanted: bool = False
    """Whether a call waited for a place meanwhile: a number that is never reached must not grow."""
    _before: tuple[int, float] | None = None
    """Places and answers per second before the last doubling, until it has shown what it brings."""
    _came_from: int | None = None
    """Places before the last growth, until a round of answers has shown that the model takes that many."""
    _was_refused: bool = False
    _cut_at: float = -math.inf
    _ceiling: int = field(init=False)
    _held_until: float = -math.inf
    _hold: float = _HOLD

    def __post_init__(self) -> None:
        self.count, self._ceiling = min(FIRST, self.most), self.most

    def cut_lately(self, now: float) -> bool:
        return now < self._cut_at + _HOLD

    def answered(self, now: float, sent: Sent, demand: int) -> None:
        """`demand` is how many calls are under way or wait for a place, this one included."""
        self.unanswered_cuts = 0
        if sent.at < self._changed_at or max(sent.demand, demand) < self.count:
            return
        self._seconds.append(now - sent.at)
        least = self.count if self._was_refused else max(self.count, _LEAST_ANSWERS)
        self._wanted |= demand > self.count
        if len(self._seconds) >= least and (self._wanted or self._came_from is not None):
            self._end_round(now)

    def refused(self, now: float, sent: Sent, out: int) -> None:
        """`out` calls are under way, the refused one included. Those that were sent before the last cut do not cut
        again: they met what the cut was for."""
        if sent.at <= self._cut_at:
            return
        self._cut_at, self._was_refused = now, True
        self.unanswered_cuts += 1
        came_from, self._came_from, self._before = self._came_from, None, None
        if self.unanswered_cuts > 1:
            self._set(now, self.count // 2)
        elif came_from is not None:
            self._stay_below(now, came_from)
        elif out >= self.count:
            self._stay_below(now, out - 1)
            self._set(now, int(self.count * _KEPT))
        else:  # too many calls a minute, say: nothing is known of how many at once
            self._set(now, int(self.count * _KEPT))

    def _end_round(self, now: float) -> None:
        rate, wanted, self._wanted = self._rate(), self._wanted, False
        self._seconds.clear()
        before, self._before, self._came_from = self._before, None, None
        if before is not None and rate < _enough(*before, self.count):
            return self._stay_below(now, before[0])
        if now >= self._held_until:
            self._ceiling = self.most
        if not wanted or self.count >= self._ceiling:
            return None
        self._came_from = self.count
        if self._was_refused:
            return self._set(now, self.count + 1)
        self._before = self.count, rate
        return self._set(now, min(2 * self.count, self._ceiling))

    def _rate(self) -> float:
        """Answers per second, by the median: a few that take very long say nothing of the others."""
        took = statistics.median(self._seconds)
        return self.count / took if took > 0 else math.inf

    def _stay_below(self, now: float, ceiling: int) -> None:
        self._ceiling = max(1, min(ceiling, self.count))
        hold = self._hold if self._was_refused else self._hold / 3  # a try that refuses nobody costs next to nothing
        self._held_until, self._hold = now + hold, min(2 * self._hold, _LONGEST_HOLD)
        self._set(now, self._ceiling)

    def _set(self, now: float, count: int) -> None:
        self.count, self._changed_at, self._wanted = max(1, count), now, False
        self._seconds.clear()


def _enough(places: int, rate: float, now: int) -> float:
    """Answers per second that show that these places bring more than those did."""
    return rate * (1 + _RISE * (now / places - 1))
