"""Kubelets and reporters of a whole cluster, and its Job controller where it has none, played through its API alone.

For API servers without nodes, embedded or real: every Job of a namespace gets a pod, which runs once the operator has
recorded it, reports as a reporter would, and ends well.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_core.resource import names
from waiting import until

_LOOK_SECONDS = 0.1
_RECORD_SECONDS = 120


class PlayedRunners:
    def __init__(self, client: KubeClient, namespace: str, seconds: float, *, controlled: bool) -> None:
        self.ran: Counter[str] = Counter()
        """How many pods ran user code, by the resource's name."""
        self._client = client
        self._namespace = namespace
        self._seconds = seconds
        self._controlled = controlled
        self._runs: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def playing(self) -> AsyncIterator["PlayedRunners"]:
        task = asyncio.create_task(self._play())
        try:
            yield self
        finally:
            for each in (task, *self._runs.values()):
                each.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _play(self) -> None:
        while True:
            with suppress(errors.KubeError):
                for job in (await self._client.list(JOBS, self._namespace)).items:
                    uid = job["metadata"]["uid"]
                    if uid not in self._runs:
                        self._runs[uid] = asyncio.create_task(self._run(job))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _run(self, job: Object) -> None:
        name, number = job["metadata"]["labels"][names.LABEL_JOB], int(job["metadata"]["labels"][names.LABEL_ATTEMPT])
        pod = await (self._made_pod(job) if self._controlled else self._make_pod(job))
        await self._pod_status(pod, "Running", {"running": {}})
        word = {"attempt": number, "podUID": pod["metadata"]["uid"]}
        await until(lambda: self._recorded(name, pod), timeout=_RECORD_SECONDS, interval=_LOOK_SECONDS)
        self.ran[name] += 1
        began = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        await self._report(name, {**word, "stage": "Running", "startedAt": began})
        await asyncio.sleep(self._seconds)
        await self._report(name, {**word, "stage": "Ended", "result": {"outcome": "Succeeded", "reason": "Completed"}})
        await self._pod_status(pod, "Succeeded", {"terminated": {"exitCode": 0}})

    async def _make_pod(self, job: Object) -> Object:
        metadata, template = job["metadata"], job["spec"]["template"]
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": metadata["name"], "uid": metadata["uid"]}
        own = {
            "name": f"{metadata['name']}-abcde",
            "labels": template["metadata"]["labels"],
            "ownerReferences": [owner | {"controller": True}],
        }
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": own, "spec": template["spec"]}
        return await self._client.create(PODS, body, self._namespace)

    async def _made_pod(self, job: Object) -> Object:
        """By the cluster's own Job controller."""

        async def found() -> Object | None:
            selector = f"batch.kubernetes.io/controller-uid={job['metadata']['uid']}"
            pods = (await self._client.list(PODS, self._namespace, label_selector=selector)).items
            return pods[0] if pods else None

        pod = await until(found, timeout=_RECORD_SECONDS, interval=_LOOK_SECONDS)
        assert pod is not None
        return pod

    async def _pod_status(self, pod: Object, phase: str, state: Object) -> None:
        container = {"name": "optimizer", "image": "", "imageID": "", "ready": False, "restartCount": 0, "state": state}
        status = {"status": {"phase": phase, "containerStatuses": [container]}}
        await self._client.patch(PODS, pod["metadata"]["name"], status, self._namespace, subresource="status")

    async def _recorded(self, name: str, pod: Object) -> bool:
        """What the reporter's startup probe waits for."""
        found = await self._client.get(OPTIMIZATION_JOBS, name, self._namespace)
        attempt = (found.get("status") or {}).get("attempt") or {}
        return bool(attempt.get("podUID") == pod["metadata"]["uid"])

    async def _report(self, name: str, run: Object) -> None:
        await self._client.patch(
            OPTIMIZATION_JOBS, name, {"status": {"run": run}}, self._namespace, subresource="status"
        )
