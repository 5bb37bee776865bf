"""Counts unforeseen errors by job. After a few in a row the job is given up, because it holds a slot that others need.

Errors of the cluster and of the store say nothing about the job and pass, so they are not counted: the job is tried
again for ever. A job that was given up takes no slot again as long as its resource exists, even if its end cannot be
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
        """The resource's uid (a name can be used again) and the type of the last error."""

    def count(self, key: Key, uid: str, exc: Exception) -> bool:
        """Returns whether the job is given up because of this error."""
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
        """Names only the type of the error, since its text may hold something that not everybody may read."""
        kind = self._given_up[key][1]
        return f"The service failed on this job {self._most} times in a row ({kind}). The operator's log says where."

    def passed(self, key: Key) -> None:
        self._counts.pop(key, None)

    def forget(self, key: Key) -> None:
        self.passed(key)
        self._given_up.pop(key, None)
