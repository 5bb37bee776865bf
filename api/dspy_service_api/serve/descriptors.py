"""How many connections the limit of open files allows, after a reserve for everything else that is opened."""

import logging
import resource

log = logging.getLogger(__name__)

RESERVE = 256
"""Open files kept for the store, for connections to the API server, for temporary files, and for refusals."""


def room_for(connections: int) -> int:
    """Raises the process's own limit if allowed. If that is not enough, fewer connections are taken and a warning is
    logged."""
    soft = _raised(connections + RESERVE)
    allowed = within(connections, soft)
    if allowed < connections:
        log.warning(
            "the limit of %d open files leaves room for %d connections, not for %d: raise it (ulimit -n)",
            *(soft, allowed, connections),
        )
    return allowed


def within(connections: int, soft: int) -> int:
    """A very low limit is divided in halves, so that neither connections nor the rest get nothing."""
    return max(1, min(connections, max(soft - RESERVE, soft // 2)))


def _raised(wanted: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    if soft >= wanted:
        return soft
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft
    return most
