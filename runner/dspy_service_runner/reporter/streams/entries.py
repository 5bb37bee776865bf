"""Makes entries for the store of the lines in the optimizer's files: checked, brought into the right shape, redacted.

- A log line that is no JSON object was printed into our file by something else: it becomes the text of an entry.
- An event, a candidate or a call of the wrong shape is dropped, because a wrong figure is worse than none. So is one of
  the service's own figures (`FIGURES`) that is not a number.
- Calls are kept byte for byte, because the optimizer's journal reads them by position, unless a key must be removed.
"""

from dataclasses import dataclass

import orjson

from dspy_service_core import nesting
from dspy_service_core.records.candidates import Candidate
from dspy_service_core.records.events import Event, LogEntry, without_false_figures
from dspy_service_core.records.record import JsonObject, Reading, document, read
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter import sanitize
from dspy_service_runner.reporter.streams.tail import Line

MAX_METRICS = 16 * 1024
OWN_LOGGER = "dspy_service.reporter"


@dataclass(frozen=True, slots=True)
class EntryMaker:
    redactor: Redactor

    def log(self, line: Line, now: str) -> LogEntry:
        if line.content is None:
            return own_log(f"A line of {line.length} bytes was dropped: it is longer than a log line may be.", now)
        found = sanitize.load_object(line.content)
        if found is None:
            found = {"message": line.content.decode(errors="replace")}
        entry = read(LogEntry, found, reading(self.redactor, now))
        assert entry is not None, "none of its fields can be missing"
        return entry

    def event(self, line: Line, now: str) -> bytes | None:
        found = read(Event, sanitize.load_object(line.content or b""), reading(self.redactor, now))
        if found is None:
            return None
        small = sanitize.size_of(found.metrics) <= MAX_METRICS
        return orjson.dumps(document(found) | {"metrics": without_false_figures(found.metrics) if small else {}})

    def candidate(self, line: Line, now: str) -> bytes | None:
        found = read(Candidate, sanitize.load_object(line.content or b""), reading(self.redactor, now))
        return None if found is None else orjson.dumps(document(found))

    def call(self, line: Line) -> bytes | None:
        """The line itself; it is parsed only to make sure that it is one JSON object, and to look for keys."""
        content = line.content
        if content is None or (found := _strict_object(content)) is None:
            return None
        rebuilt = orjson.dumps(found)
        if not self.redactor.finds(rebuilt) and not self.redactor.finds(content):
            return content
        return orjson.dumps(self.redactor.json(found))


def reading(redactor: Redactor, now: str) -> Reading:
    """How to read what the optimizer's process wrote: cleaned and redacted, `now` where a time is missing."""
    return Reading(now, redactor.text, lambda value: redactor.json(sanitize.clean(value)))


def own_log(message: str, now: str, level: str = "WARNING") -> LogEntry:
    """An entry that the reporter itself adds to the job's log."""
    return LogEntry(now, level, OWN_LOGGER, message)


def _strict_object(content: bytes) -> JsonObject | None:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    shallow = not nesting.deeper_than(found, nesting.CUT_DEPTH)
    return found if isinstance(found, dict) and shallow else None
