"""Learns one model's rate limit from its refusals: how many calls may be under way at once (places), and until when all
of them wait.

A refusal cuts the places to a half; while all are taken, they grow by one with each round of answers. Calls that were
sent before the last cut do not cut again, because they met the limit that the cut was for. If a model refuses every
call, all calls wait until it may be asked again; if it still answers some, only the refused call waits. Pure: time is
passed in.
"""

import math
from dataclasses import dataclass

_FIRST_WAIT = 1.0
"""Seconds, where a refusal does not say how long to wait."""
_MOST_DOUBLINGS = 16


@dataclass
class RateLimit:
    longest_wait: float
    places: float = math.inf
    """No limit before the first refusal."""
    out: int = 0
    open_at: float = 0.0
    refused_since: float | None = None
    """When the first refusal since the last answer came."""
    _cut_at: float = -math.inf
    _cuts: int = 0

    def opens_in(self, now: float) -> float | None:
        """Seconds until one more call may go out; None while all places are taken."""
        if now < self.open_at:
            return self.open_at - now
        return 0.0 if self.out < int(min(self.places, 1e9)) else None

    def sent(self) -> None:
        self.out += 1

    def answered(self) -> None:
        if self.out >= int(min(self.places, 1e9)):
            self.places += 1 / self.places
        self.out -= 1
        self.refused_since, self._cuts = None, 0

    def broke(self) -> None:
        """A call failed in any other way, which says nothing about the limit."""
        self.out -= 1

    def refused(self, sent_at: float, now: float, asked: float | None, patience: float) -> tuple[float, float]:
        """Seconds that the refused call waits, and seconds of patience that are left with the model; `asked` is what
        its Retry-After says."""
        answers_nobody = self.refused_since is not None
        since = now if self.refused_since is None else self.refused_since
        left = since + patience - now
        self.refused_since = since
        if sent_at > self._cut_at:
            self.places = max(1.0, min(self.places, self.out) / 2)
            self._cut_at = now
            self._cuts += 1
        self.out -= 1
        wait = min(self._wait(asked), max(left, 0.0))
        if answers_nobody or not self.out:
            self.open_at = max(self.open_at, now + wait)
        return wait, left

    def _wait(self, asked: float | None) -> float:
        first = _FIRST_WAIT if asked is None else asked
        doubled = first * 2 ** min(max(self._cuts - 1, 0), _MOST_DOUBLINGS)
        return float(min(max(doubled, 0.0), self.longest_wait))
