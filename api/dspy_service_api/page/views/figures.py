"""Numbers out of answers in which a job's own code may have put anything."""

import math
from collections.abc import Mapping
from typing import Any


def figure(metrics: Any, name: str) -> float | None:
    """None for what is no number that can be shown."""
    value = metrics.get(name) if isinstance(metrics, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
