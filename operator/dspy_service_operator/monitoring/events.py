"""Posts a Kubernetes Event for every step of a job, in the background, at most `MOST` for each job.

Not by kopf, for the reasons that `watch/kopf_settings.py` gives.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import KubeError
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import EVENTS
from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import timestamp
from dspy_service_core.resource.job import ObjectMeta
from dspy_service_operator.decide.decision import Note

log = logging.getLogger(__name__)

MOST = 8
_COMPONENT = "dspy-service-operator"
_BACKLOG = 10_000
_MESSAGE_LENGTH = 1024
_SENDERS = 2


class EventRecorder:
    def __init__(self, client: KubeClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock
        self._backlog: asyncio.Queue[Object] = asyncio.Queue(_BACKLOG)
        self._made: dict[str, int] = {}

    def record(self, job: ObjectMeta, notes: Iterable[Note], *, final: bool = False) -> None:
        """The last of the `MOST` Events is reserved for the job's end."""
        for note in notes:
            made = self._made.get(job.uid, 0)
            if made < MOST - (not final):
                self._made[job.uid] = made + 1
                self._put(_event(job, note, timestamp(self._clock())))
        if final:
            self._made.pop(job.uid, None)

    def forget(self, uid: str) -> None:
        self._made.pop(uid, None)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(_SENDERS):
                group.create_task(self._send())

    async def drain(self, seconds: float) -> None:
        """Waits until all Events are sent, at most so many seconds. `run` must be running."""
        try:
            async with asyncio.timeout(seconds):
                await self._backlog.join()
        except TimeoutError:
            log.warning("%d events were not sent", self._backlog.qsize())

    def _put(self, event: Object) -> None:
        try:
            self._backlog.put_nowait(event)
        except asyncio.QueueFull:
            log.warning("an event is dropped: %d wait for the API server", self._backlog.qsize())

    async def _send(self) -> None:
        while True:
            event = await self._backlog.get()
            try:
                await self._client.create(EVENTS, event, event["metadata"]["namespace"])
            except KubeError as exc:
                log.info("event %s of %s: %s", event["reason"], event["involvedObject"]["name"], exc)
            except Exception:  # an Event must not end the operator
                log.exception("event %s of %s", event["reason"], event["involvedObject"]["name"])
            finally:
                self._backlog.task_done()


def _event(job: ObjectMeta, note: Note, now: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{job.name}.{time.time_ns():x}", "namespace": job.namespace},
        "involvedObject": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": job.name,
            "namespace": job.namespace,
            "uid": job.uid,
            "resourceVersion": job.resource_version,
        },
        "reason": note.reason,
        "message": note.message[:_MESSAGE_LENGTH],
        "type": "Warning" if note.warning else "Normal",
        "source": {"component": _COMPONENT},
        "reportingComponent": _COMPONENT,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }
