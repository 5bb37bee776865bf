"""Reads from the kubelet's message why a pod was evicted, since no field says it.

The messages are those of Kubernetes' eviction manager (`pkg/kubelet/eviction/helpers.go`) and of the embedded node. A
pod that exceeded a limit of its own would exceed it again; that a node ran short is not its pods' fault. An unknown
message is only quoted, because a guess would send people looking in the wrong place.
"""

import re
from dataclasses import dataclass

MOST_QUOTED = 500
_OWN_DISK = re.compile(
    r"usage of emptydir volume .+ exceeds the limit"
    r"|pod ephemeral local storage usage exceeds the total limit"
    r"|exceeded its local ephemeral storage limit",
    re.IGNORECASE,
)
_OWN_PROCESSES = re.compile(r"\bhad \d+ processes, which exceeds the limit", re.IGNORECASE)
_NODE_LOW = re.compile(r"the node was low on resource: (?P<resource>[\w./-]*\w)", re.IGNORECASE)
_NODE_CONDITION = re.compile(r"the node had condition: \[?(?P<condition>\w+)", re.IGNORECASE)
_OWN_LIMIT = re.compile(r"\bexceed(s|ed)\b.*\blimit\b", re.IGNORECASE)
_NODE_SHORT_OF = {
    "memory": "memory",
    "MemoryPressure": "memory",
    "ephemeral-storage": "disk space",
    "inodes": "inodes",
    "DiskPressure": "disk space",
    "pids": "process ids",
    "PIDPressure": "process ids",
}
_NO_CONTROL = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029), " ")


@dataclass(frozen=True, slots=True)
class Eviction:
    """`own`: the pod exceeded a limit of its own, and another attempt would exceed it again."""

    own: bool
    reason: str
    message: str


def eviction_of(message: str) -> Eviction:
    said = quoted(message)
    if _OWN_DISK.search(said):
        return Eviction(True, "DiskLimitExceeded", f"evicted for what it wrote to disk: {said}")
    if _OWN_PROCESSES.search(said):
        return Eviction(True, "ProcessLimitExceeded", f"evicted for the number of its processes: {said}")
    if short_of := _node_short_of(said):
        return Eviction(False, "Evicted", f"evicted because its node ran short of {short_of}: {said}")
    words = f'evicted, and the node says: "{said}"' if said else "evicted, and the node does not say for what"
    return Eviction(bool(_OWN_LIMIT.search(said)), "Evicted", words)


def quoted(message: str) -> str:
    """The message on one line, cut to what a status has room for."""
    line = " ".join(message[: 2 * MOST_QUOTED].translate(_NO_CONTROL).split())
    return line if len(line) <= MOST_QUOTED else f"{line[:MOST_QUOTED]}..."


def _node_short_of(said: str) -> str:
    if found := _NODE_LOW.search(said) or _NODE_CONDITION.search(said):
        return _NODE_SHORT_OF.get(found[1], found[1])
    return ""
