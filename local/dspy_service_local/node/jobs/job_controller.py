"""Watches Jobs and their pods and carries out what `jobs.decide` says: one Job at a time, again on every change."""

import asyncio
import copy
import logging
import random
from collections.abc import Callable
from datetime import datetime

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import AlreadyExists, Conflict, KubeError, NotFound
from dspy_service_core.kube.reflector import Reflector
from dspy_service_core.kube.resources import JOBS, PODS
from dspy_service_local.node.jobs.jobs import Decision, decide
from dspy_service_local.node.pods.content.environment import NODE_NAME
from dspy_service_local.node.pods.model import Object

log = logging.getLogger(__name__)

Key = tuple[str, str]
_RETRY_SECONDS = 1.0
_CONTROLLER_UID = "batch.kubernetes.io/controller-uid"
_LETTERS = "bcdfghjklmnpqrstvwxz2456789"


class JobController:
    def __init__(self, client: KubeClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._jobs: dict[Key, Object] = {}
        self._pods: dict[str, dict[str, Object]] = {}
        self._deleted: set[str] = set()
        self._due: asyncio.Queue[Key] = asyncio.Queue()
        self._queued: set[Key] = set()
        self._timers: dict[Key, asyncio.TimerHandle] = {}

    async def run(self) -> None:
        """Until cancelled. Pods are known before the first Job is looked at, or it would seem to have none."""
        pods = Reflector(self._client, PODS, _PodView(self))
        jobs = Reflector(self._client, JOBS, _JobView(self))
        async with asyncio.TaskGroup() as group:
            group.create_task(pods.run())
            await pods.synced.wait()
            group.create_task(jobs.run())
            group.create_task(self._work())

    # -- views --

    def job_seen(self, job: Object) -> None:
        key = _key(job)
        self._jobs[key] = job
        self._enqueue(key)

    def job_gone(self, key: Key) -> None:
        job = self._jobs.pop(key, None)
        if job:
            self._pods.pop(job["metadata"]["uid"], None)
        if timer := self._timers.pop(key, None):
            timer.cancel()

    def known_jobs(self) -> list[Key]:
        return list(self._jobs)

    def pod_seen(self, pod: Object) -> None:
        owner = _owner(pod)
        if owner:
            self._pods.setdefault(owner["uid"], {})[pod["metadata"]["uid"]] = pod
            self._enqueue((pod["metadata"]["namespace"], owner["name"]))

    def pod_gone(self, pod: Object) -> None:
        """A pod that somebody else removed has failed, whatever it was doing: it stays known as such."""
        owner, uid = _owner(pod), pod["metadata"]["uid"]
        pods = self._pods.get(owner["uid"], {}) if owner else {}
        if owner and pods.pop(uid, None):
            if uid not in self._deleted:
                pods[uid] = _ended(pod)
            self._deleted.discard(uid)
            self._enqueue((pod["metadata"]["namespace"], owner["name"]))

    def known_pods(self) -> list[Object]:
        return [pod for pods in self._pods.values() for pod in pods.values()]

    # -- work --

    def _enqueue(self, key: Key) -> None:
        if key not in self._queued:
            self._queued.add(key)
            self._due.put_nowait(key)

    async def _work(self) -> None:
        while True:
            key = await self._due.get()
            self._queued.discard(key)
            job = self._jobs.get(key)
            if job is None:
                continue
            try:
                await self._reconcile(key, job)
            except (NotFound, Conflict):
                continue  # its next event brings it back
            except KubeError as exc:
                log.warning("job %s/%s: %s", *key, exc)
                self._later(key, _RETRY_SECONDS)
            except Exception:  # of this Job alone: the others are not to wait for it
                log.exception("job %s/%s", *key)
                self._later(key, _RETRY_SECONDS)

    async def _reconcile(self, key: Key, job: Object) -> None:
        uid = job["metadata"]["uid"]
        if not self._pods.get(uid) and (job.get("status") or {}).get("active"):
            await self._look_again(uid, job["metadata"]["namespace"])
        pods = self._pods.get(uid, {})
        decision = decide(job, list(pods.values()), self._now())
        await self._apply(key, job, decision)
        if decision.again_in is not None:
            self._later(key, decision.again_in)

    async def _look_again(self, job_uid: str, namespace: str) -> None:
        """Before a pod counts as lost: the view may be behind."""
        selector = f"{_CONTROLLER_UID}={job_uid}"
        for pod in (await self._client.list(PODS, namespace, label_selector=selector)).items:
            self.pod_seen(pod)

    async def _apply(self, key: Key, job: Object, decision: Decision) -> None:
        """The pod before the status: a status that counts a pod which was never made would count it as lost."""
        namespace, name = key
        if decision.remove_job:
            await self._client.delete(JOBS, name, namespace, uid=job["metadata"]["uid"])
            return
        if decision.create:
            self.pod_seen(await self._create(job))
        for pod in decision.delete:
            await self._delete_pod(pod)
        if decision.status is not None:
            removed = dict.fromkeys((job.get("status") or {}).keys() - decision.status.keys())
            body = {"status": removed | decision.status}
            self._wrote(key, await self._client.patch(JOBS, name, body, namespace, subresource="status"))

    def _wrote(self, key: Key, job: Object) -> None:
        """The watch may have told of a later change before the answer came: that one stays."""
        known = self._jobs.get(key)
        if known is not None and _version(known) < _version(job):
            self._jobs[key] = job

    async def _create(self, job: Object) -> Object:
        while True:
            try:
                return await self._client.create(PODS, pod_of(job), job["metadata"]["namespace"])
            except AlreadyExists:
                continue  # the random end of the name was taken

    async def _delete_pod(self, pod: Object) -> None:
        metadata = pod["metadata"]
        self._deleted.add(metadata["uid"])
        try:
            await self._client.delete(PODS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except NotFound:
            self.pod_gone(pod)

    def _later(self, key: Key, seconds: float) -> None:
        if timer := self._timers.pop(key, None):
            timer.cancel()
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self._enqueue, key)


class _JobView:
    def __init__(self, controller: JobController) -> None:
        self._controller = controller

    def upsert(self, obj: Object) -> None:
        self._controller.job_seen(obj)

    def remove(self, obj: Object) -> None:
        self._controller.job_gone(_key(obj))

    def retain(self, keys: frozenset[Key]) -> None:
        for key in self._controller.known_jobs():
            if key not in keys:
                self._controller.job_gone(key)


class _PodView:
    def __init__(self, controller: JobController) -> None:
        self._controller = controller

    def upsert(self, obj: Object) -> None:
        self._controller.pod_seen(obj)

    def remove(self, obj: Object) -> None:
        self._controller.pod_gone(obj)

    def retain(self, keys: frozenset[Key]) -> None:
        for pod in self._controller.known_pods():
            if _key(pod) not in keys:
                self._controller.pod_gone(pod)


def pod_of(job: Object) -> Object:
    """The Job's pod, bound to this node at once: there is no other."""
    metadata, template = job["metadata"], copy.deepcopy(job["spec"]["template"])
    labels = {
        _CONTROLLER_UID: metadata["uid"],
        "batch.kubernetes.io/job-name": metadata["name"],
        "controller-uid": metadata["uid"],
        "job-name": metadata["name"],
    }
    given = template.get("metadata") or {}
    suffix = "".join(random.choices(_LETTERS, k=5))
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{suffix}",
            "namespace": metadata["namespace"],
            "labels": (given.get("labels") or {}) | labels,
            "annotations": given.get("annotations") or {},
            "ownerReferences": [
                {
                    "apiVersion": "batch/v1",
                    "kind": "Job",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": template["spec"] | {"nodeName": NODE_NAME},
    }


def _version(obj: Object) -> int:
    """The embedded API server's are numbers."""
    return int(obj["metadata"]["resourceVersion"])


def _key(obj: Object) -> Key:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _owner(pod: Object) -> Object | None:
    references: list[Object] = pod["metadata"].get("ownerReferences") or []
    return next((r for r in references if r.get("controller") and r["kind"] == "Job"), None)


def _ended(pod: Object) -> Object:
    status = pod.get("status") or {}
    phase = status.get("phase")
    return pod | {"status": status | {"phase": phase if phase in ("Succeeded", "Failed") else "Failed"}}
