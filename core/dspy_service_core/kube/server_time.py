"""The time by the API server's clock.

Whoever compares a creationTimestamp or a deletionTimestamp with now must ask the clock that wrote it: by its own, a
part whose machine's clock is off would give up on pods that have just begun, or wait for ones long lost. Every answer
brings the server's time along (`Date`, RFC 9110, in whole seconds).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

_TOLERANCE = timedelta(seconds=5)
"""Less may be the rounding of `Date` and the answer's own way: then our own clock is as good, and never steps."""


class ServerTime:
    def __init__(self, own_clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._own_clock = own_clock
        self._ahead = timedelta()

    def __call__(self) -> datetime:
        return self._own_clock() + self._ahead

    def heard(self, date: str | None) -> None:
        """Of each answer; one without a readable time changes nothing."""
        try:
            server = parsedate_to_datetime(date or "")
        except ValueError:
            return
        ahead = server - self._own_clock() if server.tzinfo else self._ahead
        self._ahead = ahead if abs(ahead) > _TOLERANCE else timedelta()
