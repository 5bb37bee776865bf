"""Conditions of an `OptimizationJob`, and the phase that is derived from them.

The operator is their one writer; a phase is never set beside them, so that the two cannot disagree.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Literal

from dspy_service_core.resource.status import MESSAGE_LENGTH, Condition, ConditionStatus, ConditionType, Phase

End = Literal["Succeeded", "Failed", "Cancelled"]

ENDS: tuple[End, ...] = ("Succeeded", "Failed", "Cancelled")
"""Types that say how a job ended; the first that is true is the phase."""

VALIDATING = "Validating"
RUNNING = "Running"
"""The two reasons of `Started=True`: while the preflight runs, and after it."""

DELETED_MESSAGE = "Deleted before its end; finalizers keep its record."
SUCCEEDED_MESSAGE = "Optimization completed successfully."
EVALUATED = "Evaluated"
"""Reason of `Succeeded=True` if the job only scored a program."""
NOTHING_TRIED = "NothingTried"
"""Reason of `Succeeded=True` if the optimizer scored nothing but the given program."""


def succeeded_message(stopped_early: bool, budget_hit: str | None) -> str:
    """The contract's sentence, and that the search ended before its time."""
    if not stopped_early:
        return SUCCEEDED_MESSAGE
    by = f" by the budget's {budget_hit}" if budget_hit else ""
    return f"{SUCCEEDED_MESSAGE} Stopped early{by}: this is the best program so far."


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC to the second, as Kubernetes writes its own."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def precise_timestamp(moment: datetime) -> str:
    """The same with milliseconds, for times that clients subtract from each other."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def parse_time(text: str | None) -> datetime | None:
    """None for an empty text, and for any text that is no RFC 3339 time with an offset."""
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def find(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    return next((condition for condition in conditions if condition.type == kind), None)


def holds(conditions: Iterable[Condition], kind: ConditionType) -> bool:
    condition = find(conditions, kind)
    return condition is not None and condition.status == "True"


def with_condition(
    conditions: Sequence[Condition],
    kind: ConditionType,
    status: ConditionStatus,
    reason: str,
    message: str = "",
    *,
    now: datetime,
    generation: int = 0,
) -> list[Condition]:
    """The list with that condition added or replaced; `lastTransitionTime` changes only together with the status."""
    old = find(conditions, kind)
    since = old.last_transition_time if old and old.status == status else timestamp(now)
    new = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MESSAGE_LENGTH],
        last_transition_time=since,
        observed_generation=generation,
    )
    if old is None:
        return [*conditions, new]
    return [new if condition.type == kind else condition for condition in conditions]


def derive_phase(conditions: Sequence[Condition]) -> Phase:
    for end in ENDS:
        if holds(conditions, end):
            return end
    started = find(conditions, "Started")
    if started is None or started.status != "True":
        return "Pending"
    return "Validating" if started.reason == VALIDATING else "Running"
