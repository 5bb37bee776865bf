"""When to look, flush, patch and try again: pure, so that it can be tested without waiting."""

import random
from dataclasses import dataclass, field

SHORTEST_LOOK = 0.005
LONGEST_LOOK = 0.2
QUIET_SHARE = 0.1
FIRST_PATCH_AFTER = 0.5
"""A short run's first stage change comes sooner and makes this patch needless."""
LONGEST_STRETCH = 1.2
"""Of the progress interval, anew for each patch: what brought many reporters into step (an API server that was away,
a busy node) would keep them in it."""


@dataclass(slots=True)
class Looks:
    """How long to sleep between looks at the files: a tenth of how long they have been quiet.

    So what ends a long quiet is seen late by a tenth at most, and an idle reporter looks five times a second.
    """

    last_change: float

    def note(self, now: float, changed: bool) -> None:
        if changed:
            self.last_change = now

    def pause(self, now: float) -> float:
        return min(max((now - self.last_change) * QUIET_SHARE, SHORTEST_LOOK), LONGEST_LOOK)


@dataclass(slots=True)
class Backoff:
    """Pauses that double from `first` to `longest`, spread so that many reporters do not come back at once."""

    first: float = 0.2
    longest: float = 5.0
    until: float = 0.0
    _pause: float = field(init=False, default=0.0)

    def failed(self, now: float) -> float:
        """The pause."""
        self._pause = min(max(self._pause * 2, self.first), self.longest)
        pause = self._pause * random.uniform(0.5, 1.0)
        self.until = now + pause
        return pause

    def succeeded(self) -> None:
        self._pause = self.until = 0.0


@dataclass(slots=True)
class Timetable:
    """Patches: what is important at once, what changed after the progress interval, a heartbeat in any case.

    No heartbeat is sooner than the progress interval, which keeps all reporters together below the cluster's budget.
    """

    progress_interval: float
    flush_interval: float
    heartbeat_interval: float
    started: float
    changed: bool = True
    urgent: bool = False
    last_flush: float = field(init=False)
    last_patch: float = field(init=False)
    _stretch: float = field(init=False, default=1.0)

    def __post_init__(self) -> None:
        self.last_flush = self.started
        self.last_patch = self.started - self.progress_interval + FIRST_PATCH_AFTER

    def patch_due(self, now: float) -> bool:
        if self.urgent:
            return True
        progress = self.progress_interval * self._stretch
        return now - self.last_patch >= (progress if self.changed else max(progress, self.heartbeat_interval))

    def flush_due(self, now: float) -> bool:
        return now - self.last_flush >= self.flush_interval

    def patched(self, now: float) -> None:
        self.last_patch = now
        self._stretch = random.uniform(1.0, LONGEST_STRETCH)
        self.changed = self.urgent = False

    def flushed(self, now: float) -> None:
        self.last_flush = now
