"""Gathers what `decide` looks at: mostly from the view, and from the API server only if a decision depends on it."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import Forbidden, NotFound as KubeNotFound
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import EVENTS, JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import parse_time
from dspy_service_operator.decide.observed import AttemptJob, AttemptPod, Observed
from dspy_service_operator.queue.queue import Key
from dspy_service_operator.watch.view import ClusterView, JobEntry


class Observer:
    def __init__(self, client: KubeClient, view: ClusterView) -> None:
        self._client = client
        self._view = view

    def glance(self, key: Key, entry: JobEntry) -> Observed:
        """What the watches told. Jobs of an earlier resource with the same name are left out."""
        uid = entry.metadata.uid
        return Observed(
            jobs={job.number: job for job in self._view.jobs.of(key) if job.owner_uid == uid},
            pods=tuple(self._view.pods.of(key)),
            refused=entry.refused,
            quiet_seconds=asyncio.get_running_loop().time() - entry.wrote_at,
        )

    async def refresh(self, key: Key) -> None:
        """Reads the resource, its Jobs and its pods anew, because one watch may be behind another."""
        namespace, name = key
        selector = f"{names.LABEL_JOB}={name}"
        jobs = await self._client.list(JOBS, namespace, label_selector=selector)
        pods = await self._client.list(PODS, namespace, label_selector=selector)
        for children, found in ((self._view.jobs, jobs), (self._view.pods, pods)):
            for raw in found.items:
                children.upsert(raw)
            children.retain_own(key, _uids(found.items), found.resource_version)
        try:
            # The resource last, so that it holds any result that was reported before the pod ended.
            self._view.upsert(await self._client.get(OPTIMIZATION_JOBS, name, namespace))
        except KubeNotFound:
            self._view.forget(key)

    async def full(self, key: Key, entry: JobEntry) -> Object | None:
        """The resource with its rows and code; None if it is gone."""
        if entry.raw is not None:
            return entry.raw
        try:
            return await self._client.get(OPTIMIZATION_JOBS, key[1], key[0])
        except KubeNotFound:
            return None

    async def words(self, namespace: str, job: AttemptJob | None, pod: AttemptPod | None) -> str:
        """The newest Event of the pod (else of the Job) if it is a warning: only Events tell of quota and mounts.

        A warning that is not the newest Event is outdated: for example, the volume was mounted after all.
        """
        uid = pod.uid if pod else job.uid if job else ""
        try:
            found = await self._client.list(EVENTS, namespace, field_selector=f"involvedObject.uid={uid}")
        except Forbidden:
            return ""
        newest = max(found.items, key=_seen_at, default=None)
        if newest is None or newest.get("type") != "Warning":
            return ""
        return str(newest.get("message") or newest.get("reason") or "")


def _seen_at(event: Object) -> tuple[datetime, bool]:
    """Sorts by whole seconds, since most Events have no finer times; within one second a warning counts as newer."""
    series = (event.get("series") or {}).get("lastObservedTime")
    said = series or event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    moment = parse_time(said) or datetime.min.replace(tzinfo=UTC)
    return moment.replace(microsecond=0), event.get("type") == "Warning"


def _uids(items: Iterable[Object]) -> frozenset[str]:
    return frozenset(item["metadata"]["uid"] for item in items)
