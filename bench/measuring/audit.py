"""What was asked of the API server, by its own audit log (`cluster/audit-policy.yaml`: one line a request)."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WRITES = frozenset({"create", "update", "patch", "delete"})
_APART = frozenset({"events", "leases", "tokenreviews", "subjectaccessreviews"})
"""Reviews are created to be answered and never stored; a lease is no job's."""


@dataclass(frozen=True)
class Request:
    """`user` is a ServiceAccount's own name; `kind` the plural with its subresource, as in `pods/status`."""

    user: str
    verb: str
    kind: str

    @property
    def writes(self) -> bool:
        """An object of some job, Events apart."""
        return self.verb in _WRITES and self.kind not in _APART


def requests(log: Path, since: int) -> Iterator[Request]:
    """From that byte of the log on; those that were answered."""
    with log.open("rb") as file:
        file.seek(since)
        for line in file:
            event = json.loads(line)
            target = event.get("objectRef")
            if target is not None:
                kind = "/".join(filter(None, (target["resource"], target.get("subresource"))))
                yield Request(event["user"]["username"].rpartition(":")[2], event["verb"], kind)
