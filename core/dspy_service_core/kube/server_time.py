"""The time by the API server's clock.

A creationTimestamp or deletionTimestamp has to be compared with the clock that wrote it. By its own clock, a process on
a machine whose clock is wrong would give up pods that have just started, or wait for pods that were lost long ago. Each
answer tells the server's time (`Date`, RFC 9110, in whole seconds).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_TOLERANCE = timedelta(seconds=5)
"""A smaller difference may come from the rounding of `Date` and from the network; then our own clock is as good, and it
never jumps."""


class ServerTime:
    def __init__(self, own_clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._own_clock = own_clock
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return self._own_clock() + self._ahead

    def heard(self, date: str | None) -> None:
        """Called with the Date of each answer; one that cannot be read changes nothing."""
        try:
            server = parsedate_to_datetime(date or "")
        except ValueError:
            return
        ahead = server - self._own_clock() if server.tzinfo else self._ahead
        self._ahead = ahead if abs(ahead) > _TOLERANCE else timedelta()
