"""How many connections the process's limit of open files leaves room for, beside what else it must be able to open."""

import logging
import resource

log = logging.getLogger(__name__)

RESERVE = 256
"""For the store's files, the connections to the API server, temporary files, and refusals under way."""


def room_for(connections: int) -> int:
    """Raises the process's own limit where it may; what is then still too much is lowered, and the log says so."""
    soft = _raised(connections + RESERVE)
    allowed = within(connections, soft)
    if allowed < connections:
        log.warning(
            "the limit of %d open files leaves room for %d connections, not for %d: raise it (ulimit -n)",
            *(soft, allowed, connections),
        )
    return allowed


def within(connections: int, soft: int) -> int:
    """A very low limit is halved: some of both is better than none of one."""
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
