"""Decides when the liveness probe fails, so that the process is started again.

A restart mends a watch or a loop that is stuck. It does not bring back a cluster that is out of reach, so the limits
are long. A watch whose task died needs no probe, since kopf ends the process then."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from dspy_service_operator.watch.kopf_settings import INACTIVITY_SECONDS

_SILENCE_SECONDS = 3 * INACTIVITY_SECONDS
"""kopf reopens a silent watch after one `INACTIVITY_SECONDS`, so three without a word mean that it is stuck."""


def trouble(last_resync: float, heard: Mapping[str, float], now: float, every: float) -> str:
    """What is wrong; empty if nothing is. `heard` is the time of the API server's last word on each watch."""
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
