"""Lines of the optimizer's files to entries of the store: checked, rebuilt to the expected shape, redacted.

- A log line that is no JSON object was printed by something into our file: it becomes an entry of its own, as text.
- An event or a call that is not what it should be becomes nothing: a garbled figure is worse than none. So does a
  figure of the service's own (`FIGURES`) that is no number.
- Calls are kept byte for byte (the optimizer's journal reads them back by position), unless a key must be taken out.
"""

from dataclasses import dataclass

import orjson

from dspy_service_core import nesting
from dspy_service_core.records import values
from dspy_service_core.records.events import FIGURES, Event, LogEntry
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
        return orjson.dumps(document(found) | {"metrics": _figures(found.metrics) if small else {}})

    def call(self, line: Line) -> bytes | None:
        """Rebuilt by nobody: `load_object` only proves that it is one object on one line."""
        content = line.content
        if content is None or (found := _strict_object(content)) is None:
            return None
        rebuilt = orjson.dumps(found)
        if not self.redactor.finds(rebuilt) and not self.redactor.finds(content):
            return content
        return orjson.dumps(self.redactor.json(found))


def reading(redactor: Redactor, now: str) -> Reading:
    """Of what the optimizer's process wrote."""
    return Reading(now, redactor.text, lambda value: redactor.json(sanitize.clean(value)))


def own_log(message: str, now: str, level: str = "WARNING") -> LogEntry:
    """The reporter's own word among the job's entries."""
    return LogEntry(now, level, OWN_LOGGER, message)


def _figures(metrics: JsonObject) -> JsonObject:
    return {name: value for name, value in metrics.items() if name not in FIGURES or values.is_number(value)}


def _strict_object(content: bytes) -> JsonObject | None:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    shallow = not nesting.deeper_than(found, nesting.CUT_DEPTH)
    return found if isinstance(found, dict) and shallow else None
