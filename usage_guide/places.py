"""What the desk knows of stations, and how it cleans a message."""

import re

STATIONS = {"harbour": "full", "museum": "empty", "market": "closed"}
_BLANKS = re.compile(r"\s+")


def tidy(text: str) -> str:
    return _BLANKS.sub(" ", text).strip()


def station_status(message: str) -> str:
    """The desk's tool: what is known of the stations that a message names."""
    known = [f"{name}: {status}" for name, status in STATIONS.items() if name in message.lower()]
    return "; ".join(known) or "no station is named"
