"""Errors that nobody foresaw, by job. A few in a row and the job is given up, because it holds what others wait for.

Errors of the cluster and of the store say nothing of the job, and pass: those are tried again for ever, and not
counted. What is given up stays so until its resource goes: it takes no slot again, whether or not its end can be
written.
"""

import logging

from dspy_service_core.errors import ClusterUnavailable, StoreError
from dspy_service_core.kube.errors import KubeError
from dspy_service_operator.queue.queue import Key

log = logging.getLogger(__name__)

FOREIGN = (KubeError, StoreError, ClusterUnavailable)
REASON = "InternalError"


class Defects:
    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[Key, int] = {}
        self._given_up: dict[Key, tuple[str, str]] = {}
        """The uid, because a name can be used again, and the last error's kind."""

    def count(self, key: Key, uid: str, exc: Exception) -> bool:
        """Whether this one was one too many."""
        if isinstance(exc, FOREIGN):
            return False
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] < self._most:
            return False
        log.error("%s is given up after %d unexpected errors", key, self._counts[key], exc_info=exc)
        self._given_up[key] = (uid, type(exc).__name__)
        return True

    def given_up(self, key: Key, uid: str) -> bool:
        return key in self._given_up and self._given_up[key][0] == uid

    def message(self, key: Key) -> str:
        """The kind alone: an error's words may hold what is not everybody's to read."""
        kind = self._given_up[key][1]
        return f"The service failed on this job {self._most} times in a row ({kind}). The operator's log says where."

    def passed(self, key: Key) -> None:
        self._counts.pop(key, None)

    def forget(self, key: Key) -> None:
        self.passed(key)
        self._given_up.pop(key, None)
