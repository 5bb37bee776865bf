"""What a watcher of a job remembers between two looks: which entries it has seen, and how soon to look again.

Kept apart from the clients, which do the looking: one sleeps, the other awaits.
"""

from dataclasses import dataclass, replace

from dspy_service.answers import Candidate, Event, LogEntry, Summary

SHORTEST = 0.3
"""Seconds between two looks while something changes."""
LONGEST = 3.0
_GROWTH = 1.4


@dataclass(frozen=True, slots=True)
class Update:
    """The job as it is, with the events, log entries and candidates since the update before."""

    summary: Summary
    events: tuple[Event, ...] = ()
    logs: tuple[LogEntry, ...] = ()
    candidates: tuple[Candidate, ...] = ()


class Watch:
    def __init__(self, from_log: int = 0) -> None:
        self.last_log = from_log
        self.last_event = 0
        self.last_candidate = 0
        self.interval = SHORTEST
        self._summary: Summary | None = None

    def lacks_candidates(self, summary: Summary) -> bool:
        """Whether there are some to be asked for: an older service has none."""
        return (summary.candidates_count or 0) > self.last_candidate

    def observe(
        self,
        summary: Summary,
        events: tuple[Event, ...],
        logs: tuple[LogEntry, ...],
        candidates: tuple[Candidate, ...] = (),
    ) -> Update | None:
        """None where nothing is new."""
        self.last_event += len(events)
        self.last_log += len(logs)
        self.last_candidate = candidates[-1].n if candidates else self.last_candidate
        changed = bool(events or logs or candidates) or not _same(self._summary, summary)
        self.seen(summary, changed=changed)
        return Update(summary, events, logs, candidates) if changed else None

    def seen(self, summary: Summary, *, changed: bool | None = None) -> Summary:
        changed = not _same(self._summary, summary) if changed is None else changed
        self.interval = SHORTEST if changed else min(self.interval * _GROWTH, LONGEST)
        self._summary = summary
        return summary


def _same(before: Summary | None, now: Summary) -> bool:
    """A new estimate of the time left is no news by itself."""
    return before is not None and replace(before, estimated_seconds_remaining=None) == replace(
        now, estimated_seconds_remaining=None
    )
