"""The record of a resource that cannot be read: made of its metadata and of what the operator says of it, so that the
job is still listed and can be deleted."""

from collections.abc import Mapping
from typing import Any

from dspy_service_api.jobs.from_resource import identity
from dspy_service_api.jobs.record import JobRecord, StreamTail
from dspy_service_core.kube.protocol import Object
from dspy_service_core.records.run import Progress
from dspy_service_core.records.usage import Usage
from dspy_service_core.resource.adapters import DEFAULT_ADAPTER
from dspy_service_core.resource.conditions import DELETED_MESSAGE
from dspy_service_core.resource.splits import DEFAULTS
from dspy_service_core.resource.status import FINAL_PHASES, STATUS_WORDS

UNREADABLE = "This job cannot be read."
_NOTHING = b"{}"


def unreadable_record(obj: Object) -> JobRecord:
    metadata = obj["metadata"]
    known = identity(metadata)
    phase, message = _said(obj.get("status"))
    cut_off = bool(known.kept_by) and phase not in FINAL_PHASES
    return JobRecord(
        **known.arguments(),
        request_digest="",
        queue_order=None,
        status="cancelled" if cut_off else STATUS_WORDS[phase],
        finished=cut_off or phase in FINAL_PHASES,
        suspended=False,
        stop="",
        message=DELETED_MESSAGE if cut_off else message or UNREADABLE,
        note="",
        notice="",
        started_at=None,
        completed_at=metadata["deletionTimestamp"] if cut_off else None,
        attempted=False,
        module_name="",
        module_kwargs=_NOTHING,
        optimizer_name="",
        optimizer_kwargs=_NOTHING,
        compile_kwargs=_NOTHING,
        model_name="",
        dataset_rows=None,
        fractions=DEFAULTS,
        shuffle=True,
        split_column="",
        adapter=DEFAULT_ADAPTER,
        budget=b"null",
        seed=0,
        progress=Progress(),
        usage=Usage(),
        metrics=_NOTHING,
        events=StreamTail(),
        logs=StreamTail(),
        candidates=StreamTail(),
        end=None,
        metric_name=None,
    )


def _said(status: Any) -> tuple[Any, str]:
    """The phase and the message, or defaults where they have the wrong type."""
    given: Mapping[str, Any] = status if isinstance(status, dict) else {}
    phase, message = given.get("phase"), given.get("message")
    return phase if phase in tuple(STATUS_WORDS) else "Pending", message if isinstance(message, str) else ""
