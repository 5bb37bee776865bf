"""Who is older and who starts next: the order of jobs, which the queue, its positions and the list must agree on.

First by the API server's clock, which nobody else writes. It counts in seconds: within one, jobs that the HTTP API made
go by the API's own stamp. An annotation of anything else, or in any other form, is not looked at.
"""

import re
from collections.abc import Mapping
from typing import Any

from dspy_service_core.resource import names

Age = tuple[str, str, str]
"""Sorts the oldest first: (creation time, time within that second, name)."""
Rank = tuple[int, str, str, str]
"""Sorts first who starts first: (negated priority, then as `Age`)."""

_STAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


def age(name: str, created: str, annotations: Mapping[str, Any] | None) -> Age:
    return created, _stamp(name, annotations or {}), name


def rank(priority: int, oldest_first: Age) -> Rank:
    return (-priority, *oldest_first)


def _stamp(name: str, annotations: Mapping[str, Any]) -> str:
    """Empty for what the API did not make: such jobs come before the API's of that second, by name."""
    given = annotations.get(names.ANNOTATION_SUBMITTED_AT)
    ours = names.is_api_name(name) and isinstance(given, str) and _STAMP.fullmatch(given)
    return str(given) if ours else ""
