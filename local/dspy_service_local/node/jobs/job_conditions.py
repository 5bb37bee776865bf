"""Conditions of a Job's status, one of each type."""

from dataclasses import dataclass
from datetime import datetime

from dspy_service_local.node.pods.model import Object
from dspy_service_local.node.pods.status import rfc3339


@dataclass(frozen=True, slots=True)
class Condition:
    type: str
    reason: str
    message: str
    holds: bool = True


def holds(status: Object, kind: str) -> bool:
    return any(c["type"] == kind and c["status"] == "True" for c in status.get("conditions") or ())


def failed_condition(status: Object) -> Condition | None:
    for known in status.get("conditions") or ():
        if known["type"] == "FailureTarget" and known["status"] == "True":
            return Condition("FailureTarget", known["reason"], known["message"])
    return None


def set_condition(status: Object, condition: Condition, now: datetime) -> None:
    """Replaces the list: the old status must stay as it was to be compared with."""
    word = "True" if condition.holds else "False"
    known = [c for c in status.get("conditions") or () if c["type"] == condition.type]
    if known and known[0]["status"] == word:
        return
    new = {
        "type": condition.type,
        "status": word,
        "reason": condition.reason,
        "message": condition.message,
        "lastProbeTime": rfc3339(now),
        "lastTransitionTime": rfc3339(now),
    }
    others = [c for c in status.get("conditions") or () if c["type"] != condition.type]
    status["conditions"] = [*others, new]
