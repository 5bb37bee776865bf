"""Lines of the optimizer's files to entries of the store: checked, rebuilt to the expected shape, redacted.

- A log line that is no JSON object was printed by something into our file: it becomes an entry of its own, as text.
- An event or a call that is not what it should be becomes nothing: a garbled figure is worse than none. So does a
  figure of the service's own (`pod_files.FIGURES`) that is no number.
- Calls are kept byte for byte (the optimizer's journal reads them back by position), unless a key must be taken out.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from dspy_service_core import nesting, pod_files
from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter import plain
from dspy_service_runner.reporter.tail import Line

MAX_MESSAGE = 64 * 1024
MAX_METRICS = 16 * 1024
MAX_NAME = 256
OWN_LOGGER = "dspy_service.reporter"

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class EntryMaker:
    redactor: Redactor

    def log(self, line: Line, now: str) -> Fields:
        if line.content is None:
            return own_log(f"A line of {line.length} bytes was dropped: it is longer than a log line may be.", now)
        found = plain.load_object(line.content)
        if found is None:
            found = {"message": line.content.decode(errors="replace")}
        return {
            "timestamp": plain.timestamp_of(found.get("timestamp"), now),
            "level": self._text(found.get("level"), MAX_NAME) or "INFO",
            "logger": self._text(found.get("logger"), MAX_NAME),
            "message": self._text(found.get("message"), MAX_MESSAGE),
        }

    def event(self, line: Line, now: str) -> bytes | None:
        found = plain.load_object(line.content or b"")
        if found is None or not isinstance(found.get("event"), str):
            return None
        metrics = self.redactor.json(plain.clean(found.get("metrics")))
        entry = {
            "timestamp": plain.timestamp_of(found.get("timestamp"), now),
            "event": plain.cut(plain.visible_line(self._text(found["event"], MAX_NAME)), MAX_NAME),
            "metrics": _figures(metrics) if isinstance(metrics, dict) and plain.size_of(metrics) <= MAX_METRICS else {},
        }
        return orjson.dumps(entry)

    def call(self, line: Line) -> bytes | None:
        """Rebuilt by nobody: `load_object` only proves that it is one object on one line."""
        content = line.content
        if content is None or (found := _strict_object(content)) is None:
            return None
        rebuilt = orjson.dumps(found)
        if not self.redactor.finds(rebuilt) and not self.redactor.finds(content):
            return content
        return orjson.dumps(self.redactor.json(found))

    def _text(self, value: Any, limit: int) -> str:
        """Redacted before it is cut, so that no half of a key is left at the end."""
        return plain.text_of(self.redactor.text(value), limit) if isinstance(value, str) else ""


def own_log(message: str, now: str, level: str = "WARNING") -> Fields:
    """The reporter's own word among the job's entries."""
    return {"timestamp": now, "level": level, "logger": OWN_LOGGER, "message": message}


def _figures(metrics: Fields) -> Fields:
    return {name: value for name, value in metrics.items() if name not in pod_files.FIGURES or plain.is_number(value)}


def _strict_object(content: bytes) -> Fields | None:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    shallow = not nesting.deeper_than(found, nesting.CUT_DEPTH)
    return found if isinstance(found, dict) and shallow else None
