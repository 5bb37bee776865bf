"""A job's stream (`GET /jobs/{id}/stream`) as updates. No I/O: both clients read events and hand them in here.

A round of a stream is some entries and then the summary. Whatever breaks a stream, its reader goes on from what was
seen: `Last-Event-ID` says that to a service, and a client that has to ask instead knows it as well.
"""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from dspy_service import reading
from dspy_service.answers import Candidate, Event, LogEntry, Summary
from dspy_service.watching import Update, Watch
from dspy_service.wire import calls

_CONTENT = "text/event-stream"
BROKEN = (httpx.RequestError, httpx.StreamError)
"""What may end a stream at any time."""


def request(job_id: str, watch: Watch) -> tuple[str, dict[str, str]]:
    """Path and headers."""
    tried = f".c{watch.last_candidate}" if watch.last_candidate else ""
    return calls.job_path(job_id, "stream"), {
        "Accept": _CONTENT,
        "Last-Event-ID": f"e{watch.last_event}.l{watch.last_log}{tried}",
    }


def is_stream(response: httpx.Response) -> bool:
    return response.status_code == 200 and response.headers.get("content-type", "").startswith(_CONTENT)


def knows_no_streams(response: httpx.Response) -> bool:
    """An older service, for which this is a path like any unknown one. Others may only be busy."""
    return not is_stream(response) and response.status_code in (200, 404, 405)


@dataclass(slots=True)
class Rounds:
    watch: Watch
    ended: bool = False
    again: bool = True
    """Whether another try to open one is worth it."""
    _events: list[Event] = field(default_factory=list)
    _logs: list[LogEntry] = field(default_factory=list)
    _candidates: list[Candidate] = field(default_factory=list)

    def take(self, word: str, data: str) -> Update | None:
        """One event of the stream; an update at the end of a round that brought something."""
        match word, _parsed(data):
            case "event", dict(found):
                self._events.append(reading.entry(Event, found))
            case "log", dict(found):
                self._logs.append(reading.entry(LogEntry, found))
            case "candidate", dict(found):
                self._candidates.append(reading.entry(Candidate, found))
            case "status", dict(found):
                return self._round(reading.read(Summary, found))
        return None

    def _round(self, summary: Summary) -> Update | None:
        update = self.watch.observe(summary, tuple(self._events), tuple(self._logs), tuple(self._candidates))
        self._events.clear()
        self._logs.clear()
        self._candidates.clear()
        self.ended = summary.finished
        return update


def _parsed(data: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
