"""The kubelet's part: sees the pods that are bound to this node and gives each a `PodRun`; keeps their folders tidy."""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from dspy_service_core.kube.errors import KubeError, NotFound
from dspy_service_core.kube.reflector import Reflector
from dspy_service_core.kube.resources import PODS
from dspy_service_local.node.pods.content.environment import NODE_NAME
from dspy_service_local.node.pods.content.remove import remove_tree
from dspy_service_local.node.pods.context import NodeContext
from dspy_service_local.node.pods.model import Object
from dspy_service_local.node.pods.pod_setup import was_started
from dspy_service_local.node.pods.pods import PodRun, Stop
from dspy_service_local.node.pods.status import NodeEnding

log = logging.getLogger(__name__)

SHUTDOWN_SECONDS, SHUTDOWN_MAIN_SECONDS = 8.0, 3.0
"""Pods end within these when the node stops: together with the server's own end they make up its 10 s."""
_AGAIN_SECONDS = 1.0
_SHUTDOWN = NodeEnding("Terminated", "Pod was terminated in response to imminent node shutdown.", disruption=True)


class Node:
    """`run` serves until cancelled; `stop` ends every pod first."""

    def __init__(self, context: NodeContext) -> None:
        self._context = context
        self._runs: dict[str, PodRun] = {}
        self._done: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.ready = asyncio.Event()

    async def run(self) -> None:
        reflector = Reflector(self._context.client, PODS, self)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._context.usage.run())
            group.create_task(reflector.run())
            await reflector.synced.wait()
            self._tidy()
            self.ready.set()

    async def stop(self) -> None:
        """SIGTERM to every pod, a drain, the condition DisruptionTarget; no pod starts any more."""
        self._stopping = True
        for run in self._runs.values():
            run.stop(Stop(SHUTDOWN_SECONDS, SHUTDOWN_MAIN_SECONDS, _SHUTDOWN))
        if self._tasks:
            await asyncio.wait(self._tasks)

    def runs(self, pod_uid: str) -> bool:
        return pod_uid in self._runs

    # -- what the reflector sees --

    def upsert(self, obj: Object) -> None:
        metadata, uid = obj["metadata"], obj["metadata"]["uid"]
        if uid in self._runs:
            self._stop_if_deleted(self._runs[uid], metadata)
        elif (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed") or uid in self._done:
            self._done.add(uid)
            if metadata.get("deletionTimestamp"):
                self._spawn(self._remove_object(obj))
        elif not self._stopping:
            self._adopt(obj)

    def remove(self, obj: Object) -> None:
        """The object is gone: nothing of the pod may stay."""
        uid = obj["metadata"]["uid"]
        run = self._runs.get(uid)
        if run:
            run.gone = True
            run.stop(Stop(0.0, 0.0))
        else:
            self._done.discard(uid)
            self._spawn(remove_tree(self._context.folders.pod(uid)))

    def retain(self, keys: frozenset[tuple[str, str]]) -> None:
        for run in list(self._runs.values()):
            if (run.pod.namespace, run.pod.name) not in keys:
                self.remove({"metadata": {"uid": run.pod.uid}})

    # -- one pod --

    def _adopt(self, obj: Object) -> None:
        if not obj["spec"].get("nodeName"):
            self._spawn(self._bind(obj))
            return
        if obj["spec"]["nodeName"] != NODE_NAME:
            return
        try:
            run = PodRun(obj, self._context)
        except Exception:  # of this pod: the others are not to wait for it
            log.exception("cannot read pod %s", obj["metadata"]["name"])
            return
        self._runs[run.pod.uid] = run
        self._stop_if_deleted(run, obj["metadata"])
        self._spawn(self._serve(run, lost=self._was_lost(obj)))

    async def _serve(self, run: PodRun, lost: bool) -> None:
        uid = run.pod.uid
        try:
            await (run.recover() if lost else run.run())
        except Exception:  # one pod's trouble is not the other pods'
            log.exception("pod %s/%s is looked at anew in %g s", run.pod.namespace, run.pod.name, _AGAIN_SECONDS)
            await run.abandon()
            self._spawn(self._look_again(run))
            return
        del self._runs[uid]
        self._done.add(uid)
        if run.gone:
            self._done.discard(uid)
            await remove_tree(self._context.folders.pod(uid))
        elif run.deleted:
            await self._remove_object({"metadata": run.pod.metadata})

    async def _look_again(self, run: PodRun) -> None:
        """As a node that was restarted would: by what is stored of the pod."""
        await asyncio.sleep(_AGAIN_SECONDS)
        del self._runs[run.pod.uid]
        try:
            obj = await self._context.client.get(PODS, run.pod.name, run.pod.namespace)
            if obj["metadata"]["uid"] != run.pod.uid:
                raise NotFound(run.pod.name)
            self.upsert(obj)
        except NotFound:
            self.remove({"metadata": run.pod.metadata})
        except KubeError as exc:
            log.warning("cannot look at pod %s/%s: %s", run.pod.namespace, run.pod.name, exc)
            self._runs[run.pod.uid] = run
            self._spawn(self._look_again(run))

    def _was_lost(self, obj: Object) -> bool:
        """Another node process had started it: its own memory is all that a node has of running processes."""
        statuses = (obj.get("status") or {}).get("containerStatuses") or ()
        return was_started(self._context.folders.pod(obj["metadata"]["uid"])) or any(
            "waiting" not in s.get("state", {}) for s in statuses
        )

    def _stop_if_deleted(self, run: PodRun, metadata: Object) -> None:
        if metadata.get("deletionTimestamp"):
            grace = float(metadata.get("deletionGracePeriodSeconds") or 0)
            run.deleted = True
            run.stop(Stop(grace, grace))

    async def _bind(self, obj: Object) -> None:
        metadata = obj["metadata"]
        try:
            body = {"spec": {"nodeName": NODE_NAME}}
            await self._context.client.patch(PODS, metadata["name"], body, metadata["namespace"])
        except KubeError as exc:
            log.warning("cannot bind pod %s/%s: %s", metadata["namespace"], metadata["name"], exc)

    async def _remove_object(self, obj: Object) -> None:
        """What a kubelet does last: the object of a deleted pod goes when its processes are gone."""
        metadata = obj["metadata"]
        try:
            await self._context.client.delete(
                PODS, metadata["name"], metadata["namespace"], grace_period_seconds=0, uid=metadata["uid"]
            )
        except NotFound:
            return
        except KubeError as exc:
            log.warning("cannot remove pod %s/%s: %s", metadata["namespace"], metadata["name"], exc)

    def _tidy(self) -> None:
        """Folders of pods that a node before this one left behind."""
        folders = self._context.folders
        known = {*self._runs, *self._done}
        for folder in _entries(folders.pods):
            if folder.name not in known:
                self._spawn(remove_tree(folder))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
