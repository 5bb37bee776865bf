"""What makes the liveness probe fail: this process no longer does what it is there for, and is to be started again.

A cluster that is out of reach is not mended by a restart, so patience is long; what a restart mends is a watch or a
loop that is stuck. A watch whose task died needs no probe: kopf ends the process.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from dspy_service_operator.watch.kopf_settings import INACTIVITY_SECONDS

_SILENCE_SECONDS = 3 * INACTIVITY_SECONDS
"""kopf opens a silent watch anew after one of these."""


def trouble(last_resync: float, heard: Mapping[str, float], now: float, every: float) -> str:
    """What is wrong, or nothing. `heard` is when the API server last said something to each watch."""
    age = now - last_resync
    if age > 3 * every:
        return f"the last resync was {age:.0f} s ago"
    for path, moment in heard.items():
        if last_resync - moment > _SILENCE_SECONDS:
            return f"the watch of {path} has been silent for {now - moment:.0f} s, though the cluster answers"
    return ""


def address_of(url: str) -> tuple[str, int, str]:
    """(host, port, path) of http://0.0.0.0:8080/healthz."""
    parts = urlsplit(url)
    if not parts.hostname or not parts.port:
        raise ValueError(f"'{url}' is no address such as http://0.0.0.0:8080/healthz")
    return parts.hostname, parts.port, parts.path or "/"
