"""When a request is sent again, and after how long. Pure, so that a test needs no clock.

Every request of ours is safe to repeat: reads change nothing, a submit carries an Idempotency-Key, and deleting
twice deletes once.
"""

from dataclasses import dataclass

from dspy_service.wire.calls import RETRIED_STATUSES


@dataclass(frozen=True, slots=True)
class Retries:
    attempts: int = 6
    """Requests in all, the first included."""
    first_wait: float = 0.25
    """Seconds before the second one; each later wait is twice as long."""
    longest_wait: float = 8.0

    def wait(self, attempt: int, status: int | None, asked: float | None) -> float | None:
        """Seconds to wait after the `attempt`-th request; None: give up. `status` is None where no answer came."""
        if attempt >= self.attempts or (status is not None and status not in RETRIED_STATUSES):
            return None
        wait = self.first_wait * 2.0 ** (attempt - 1)
        longer: float = max(wait, asked or 0.0)
        return min(longer, self.longest_wait)
