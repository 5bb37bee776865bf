"""The optimizer's two documents, `progress.json` and `result.json`, as what the reporter may pass on.

Both were written beside user code: every field is taken by name and type, the rest is dropped, texts are cut and
redacted. A result that cannot be read is a result all the same: the job failed, and says why.
"""

from dataclasses import dataclass, field
from typing import Any

from dspy_service_runner.redaction import Redactor
from dspy_service_runner.reporter import plain

MAX_PROGRESS_BYTES = 64 * 1024
MAX_RESULT_BYTES = 4 * 1024 * 1024
MAX_MESSAGE = 2048
STAGES = ("Validating", "Running", "Finishing")
OUTCOMES = ("Succeeded", "Failed", "Cancelled")
_MAX_REASON = 64
_MAX_NAME = 1024
_COUNTS = ("calls", "cachedCalls", "promptTokens", "completionTokens")

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.calls + other.calls,
            self.cached_calls + other.cached_calls,
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            None if self.cost is None and other.cost is None else (self.cost or 0.0) + (other.cost or 0.0),
        )

    def wire(self) -> JsonObject:
        return {
            "calls": self.calls,
            "cachedCalls": self.cached_calls,
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "cost": plain.decimal_of(self.cost),
        }


def read_usage(value: Any) -> Usage:
    """From the optimizer's document or from the status, whose decimals are strings."""
    found = value if isinstance(value, dict) else {}
    calls, cached, prompt, completion = (plain.count_of(found.get(key)) or 0 for key in _COUNTS)
    return Usage(calls, cached, prompt, completion, _number(found.get("cost")))


@dataclass(frozen=True, slots=True)
class Progress:
    stage: str = "Validating"
    started_at: str | None = None
    figures: JsonObject = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)


def read_progress(content: bytes, now: str) -> Progress | None:
    """None for what is no progress document: the one before stays."""
    found = plain.load_object(content)
    if found is None or found.get("stage") not in STAGES:
        return None
    started = found.get("startedAt")
    figures = {
        "percent": plain.decimal_of(found.get("percent")),
        "calls": plain.count_of(found.get("calls")),
        "total": plain.count_of(found.get("total")),
        "bestScore": plain.decimal_of(found.get("bestScore")),
        "etaSeconds": plain.decimal_of(found.get("etaSeconds")),
    }
    return Progress(
        found["stage"],
        plain.timestamp_of(started, now) if started else None,
        figures,
        read_usage(found.get("usage")),
    )


@dataclass(frozen=True, slots=True)
class Result:
    """`record` is what the store keeps, whole; `summary` what the status can hold."""

    outcome: str
    reason: str
    message: str
    record: JsonObject = field(default_factory=dict)
    usage: Usage | None = None

    def summary(self) -> JsonObject:
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "message": plain.cut(self.message, MAX_MESSAGE),
            "stoppedEarly": self.record.get("stoppedEarly", False),
            "splitCounts": self.record.get("splitCounts"),
            "baselineScore": plain.decimal_of(self.record.get("baselineScore")),
            "optimizedScore": plain.decimal_of(self.record.get("optimizedScore")),
            "runtimeSeconds": plain.decimal_of(self.record.get("runtimeSeconds")),
        }

    def failed(self, reason: str, message: str) -> "Result":
        """The same run, but what it brought cannot be handed over."""
        return Result("Failed", reason, message, self.record, self.usage)


def read_result(content: bytes, redactor: Redactor) -> Result:
    found = redactor.json(plain.clean(plain.load_object(content)))
    if not isinstance(found, dict) or found.get("outcome") not in OUTCOMES:
        return unreadable_result("it is not the document that the optimizer writes")
    usage = found.get("usage")
    return Result(
        outcome=found["outcome"],
        reason=plain.cut(plain.visible_line(plain.text_of(found.get("reason"), _MAX_REASON)), _MAX_REASON),
        message=plain.visible(plain.text_of(found.get("message"), MAX_RESULT_BYTES)),
        record=_record(found),
        usage=read_usage(usage) if isinstance(usage, dict) else None,
    )


def unreadable_result(why: str) -> Result:
    return Result("Failed", "UnreadableResult", f"The run ended with a result that cannot be read: {why}.")


def _record(found: JsonObject) -> JsonObject:
    return {
        "stoppedEarly": found.get("stoppedEarly") is True,
        "splitCounts": _split_counts(found.get("splitCounts")),
        **{key: _number(found.get(key)) for key in ("baselineScore", "optimizedScore", "runtimeSeconds")},
        **{key: plain.text_of(found.get(key), _MAX_NAME) for key in ("modelIdentifier", "metricName", "signatureName")},
        **{key: found[key] if isinstance(found.get(key), dict) else {} for key in ("details", "metadata")},
    }


def _split_counts(value: Any) -> JsonObject | None:
    counts = (
        {key: plain.count_of(value.get(key)) for key in ("train", "val", "test")} if isinstance(value, dict) else {}
    )
    return counts if counts and None not in counts.values() else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return plain.clean(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
