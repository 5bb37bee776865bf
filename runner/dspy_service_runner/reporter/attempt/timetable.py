"""When to look, flush, patch and try again: pure, so that it can be tested without waiting."""

import random
from dataclasses import dataclass, field

SHORTEST_LOOK = 0.005
LONGEST_LOOK = 0.2
QUIET_SHARE = 0.1
FIRST_PATCH_AFTER = 0.5
"""Seconds until the first patch. In a short run the stage changes sooner, and the patch for that makes this one
unnecessary."""
LONGEST_STRETCH = 1.2
"""Each patch waits for the progress interval times a random number up to this. Otherwise reporters that something
brought into step (an API server that was away, a busy node) would go on patching at the same moments."""


@dataclass(slots=True)
class Looks:
    """How long to sleep between two looks at the optimizer's files: a tenth of the time since they last changed.

    So a change after a quiet time is noticed with a delay of at most a tenth of that time, and an idle reporter looks
    five times a second.
    """

    last_change: float

    def note(self, now: float, changed: bool) -> None:
        if changed:
            self.last_change = now

    def pause(self, now: float) -> float:
        return min(max((now - self.last_change) * QUIET_SHARE, SHORTEST_LOOK), LONGEST_LOOK)


@dataclass(slots=True)
class Backoff:
    """Pauses that double from `first` to `longest`, with a random part so that many reporters do not return at once."""

    first: float = 0.2
    longest: float = 5.0
    until: float = 0.0
    _pause: float = field(init=False, default=0.0)

    def failed(self, now: float) -> float:
        """Returns the pause before the next try."""
        self._pause = min(max(self._pause * 2, self.first), self.longest)
        pause = self._pause * random.uniform(0.5, 1.0)
        self.until = now + pause
        return pause

    def succeeded(self) -> None:
        self._pause = self.until = 0.0


@dataclass(slots=True)
class Timetable:
    """When to patch and to ask. A patch is made at once if the run reaches the stage Running, after the progress
    interval if anything changed, and after the heartbeat interval in any case.

    A heartbeat never comes sooner than the progress interval, which is set so that all reporters together do not
    overload the API server.
    """

    progress_interval: float
    flush_interval: float
    heartbeat_interval: float
    ask_interval: float
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

    def ask_due(self, now: float, answered: float) -> bool:
        """Whether to ask what the job's owner wants by now. The answer to a patch tells it too, and `answered` is when
        the last answer of either kind came."""
        return now - answered >= self.ask_interval * self._stretch

    def flush_due(self, now: float) -> bool:
        return now - self.last_flush >= self.flush_interval

    def patched(self, now: float) -> None:
        self.last_patch = now
        self._stretch = random.uniform(1.0, LONGEST_STRETCH)
        self.changed = self.urgent = False

    def flushed(self, now: float) -> None:
        self.last_flush = now
