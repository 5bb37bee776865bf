"""The order of jobs by age and by priority, on which the queue, its positions and the list must agree.

Age is by creationTimestamp, which only the API server sets. It counts whole seconds; within one second, jobs that the
HTTP API made are ordered by the API's own time stamp. Annotations of other jobs, or of another form, are ignored.
"""

import re
from collections.abc import Mapping
from typing import Any

from dspy_service_core.resource import names

Age = tuple[str, str, str]
"""Sorts the oldest first: (creation time, time within that second, name)."""
Rank = tuple[int, str, str, str]
"""Sorts the job that starts first to the front: (negated priority, then as `Age`)."""

_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def age(name: str, created: str, annotations: Mapping[str, Any] | None) -> Age:
    return created, _stamp(name, annotations or {}), name


def rank(priority: int, oldest_first: Age) -> Rank:
    return (-priority, *oldest_first)


def _stamp(name: str, annotations: Mapping[str, Any]) -> str:
    """Empty for jobs that the API did not make: within one second these come first, ordered by name."""
    given = annotations.get(names.ANNOTATION_SUBMITTED_AT)
    ours = names.is_api_name(name) and isinstance(given, str) and _STAMP.fullmatch(given)
    return str(given) if ours else ""
