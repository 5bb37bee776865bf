"""What is known of one model's limits: how many of its calls are under way, how many may be (`places`), and until when
all of them wait.

If a model refuses every call, all calls wait until it may be asked again; if it still answers some, only the refused
call waits. Pure: time is passed in.
"""

from dataclasses import dataclass

from dspy_service_runner.optimizer.models.pace.places import Places, Sent

_FIRST_WAIT = 1.0
"""Seconds, where a refusal does not say how long to wait."""
_LEAST_WAIT = 0.01
"""Seconds, where a refusal says that no wait is needed: it could say so for ever."""
_MOST_DOUBLINGS = 16


@dataclass
class RateLimit:
    longest_wait: float
    places: Places
    out: int = 0
    waiting: int = 0
    """Calls that wait for a place."""
    open_at: float = 0.0
    refused_since: float | None = None
    """When the first refusal since the last answer came."""

    @property
    def demand(self) -> int:
        return self.out + self.waiting

    def opens_in(self, now: float) -> float | None:
        """Seconds until one more call may go out; None while all places are taken."""
        if now < self.open_at:
            return self.open_at - now
        return 0.0 if self.out < self.places.count else None

    def is_limited(self, now: float) -> bool:
        """Whether the model is to get no call that could be spared."""
        return self.refused_since is not None or now < self.open_at or self.places.cut_lately(now)

    def sent(self, now: float) -> Sent:
        self.out += 1
        return Sent(now, self.demand)

    def answered(self, now: float, sent: Sent) -> None:
        self.places.answered(now, sent, self.demand)
        self.out -= 1
        self.refused_since = None

    def broke(self, now: float, sent: Sent, asked: float | None = None) -> None:
        """A call failed in any other way. That says nothing of the limit, unless it asks to be left alone for so many
        seconds."""
        if asked is not None:
            self.places.refused(now, sent, self.out)
        self.out -= 1

    def refused(self, now: float, sent: Sent, asked: float | None, patience: float) -> tuple[float, float]:
        """Seconds that the refused call waits, and seconds of patience that are left with the model; `asked` is what
        its Retry-After says."""
        answers_nobody = self.refused_since is not None
        since = now if self.refused_since is None else self.refused_since
        left = since + patience - now
        self.refused_since = since
        self.places.refused(now, sent, self.out)
        self.out -= 1
        wait = min(self._wait(asked), max(left, 0.0))
        if answers_nobody or not self.out:
            self.open_at = max(self.open_at, now + wait)
        return wait, left

    def _wait(self, asked: float | None) -> float:
        first = _FIRST_WAIT if asked is None else max(asked, _LEAST_WAIT)
        doubled = first * 2 ** min(max(self.places.unanswered_cuts - 1, 0), _MOST_DOUBLINGS)
        return float(min(doubled, self.longest_wait))
