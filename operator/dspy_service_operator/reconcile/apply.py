"""Carries out a decision: first it creates or deletes the attempt's Job, then it writes the status, then the label.

In this order the next pass repairs whatever a crash interrupts: an attempt's Job is found again by its name, and a
status never claims something that was not done. Every status patch names the version that the decision was based on, so
that a report that arrived meanwhile is never overruled unread.
"""

import asyncio

from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS
from dspy_service_core.registry.registry import Registry, UnknownName, targets_of
from dspy_service_core.resource import names
from dspy_service_core.resource.conditions import parse_time
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_core.resource.status import FINAL_PHASES, OptimizationJobStatus
from dspy_service_operator.decide.decision import CreateJob, Decision, DeleteJob
from dspy_service_operator.decide.observed import Refusal
from dspy_service_operator.decide.pod_trouble import lacks_quota
from dspy_service_operator.decide.status_changes import patch_between
from dspy_service_operator.housekeeping.expiry import Expiry
from dspy_service_operator.monitoring.events import EventRecorder
from dspy_service_operator.monitoring.telemetry import Telemetry
from dspy_service_operator.pod.runner_job import build_job
from dspy_service_operator.queue.queue import Key
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.view import ClusterView, JobEntry


class Applier:
    def __init__(
        self,
        client: KubeClient,
        view: ClusterView,
        recorder: EventRecorder,
        expiry: Expiry,
        registry: Registry,
        settings: OperatorSettings,
        telemetry: Telemetry,
    ) -> None:
        self._client = client
        self._view = view
        self._recorder = recorder
        self._expiry = expiry
        self._registry = registry
        self._settings = settings
        self._telemetry = telemetry

    async def apply(self, key: Key, entry: JobEntry, decision: Decision) -> float | None:
        """Returns in how many seconds the job is due again, or None; 0 where it has to be decided anew."""
        match decision.child:
            case CreateJob() as wanted if entry.job is not None:
                entry.refused = await self._create(entry.job, wanted)
                if entry.refused is not None:
                    return 0.0
            case DeleteJob() as unwanted:
                await self._delete(key, unwanted)
        try:
            await self._write(key, entry, decision)
        except errors.NotFound:
            self._view.forget(key)
            return None
        except errors.Conflict:
            await self._read_again(key)
            return 0.0
        self._recorder.record(entry.metadata, decision.notes, final=decision.mark_finished)
        return decision.requeue_after

    async def _create(self, job: OptimizationJob, wanted: CreateJob) -> Refusal | None:
        try:
            module = job.spec.module.name if job.spec.module else None
            targets = targets_of(module, job.spec.optimizer.name, self._registry)
        except UnknownName as exc:  # an earlier registry knew it
            return Refusal("UnknownName", str(exc), final=True)
        body = build_job(job, wanted.number, wanted.deadline_seconds, targets, self._settings)
        namespace = job.metadata.namespace
        try:
            self._view.jobs.upsert(await self._client.create(JOBS, body, namespace))
        except errors.AlreadyExists:
            return await self._adopt(job, body["metadata"]["name"])
        except (errors.Invalid, errors.BadRequest) as exc:
            return Refusal("JobRefused", f"the cluster refuses the attempt's Job: {exc}", final=True)
        except errors.Forbidden as exc:
            reason = "WaitingForQuota" if lacks_quota(str(exc)) else "JobForbidden"
            return Refusal(reason, f"the cluster does not take the attempt's Job now: {exc}")
        return None

    async def _adopt(self, job: OptimizationJob, name: str) -> Refusal | None:
        """The Job exists already: an earlier pass made it and could not finish, or somebody else did."""
        try:
            raw = await self._client.get(JOBS, name, job.metadata.namespace)
        except errors.NotFound:
            return Refusal("NameTaken", f"a Job '{name}' was there a moment ago")
        owners = raw["metadata"].get("ownerReferences") or ()
        if any(owner["uid"] == job.metadata.uid for owner in owners):
            self._view.jobs.upsert(raw)
            return None
        return Refusal("NameTaken", f"there is a Job '{name}' that does not belong to this job; delete it")

    async def _delete(self, key: Key, unwanted: DeleteJob) -> None:
        try:
            await self._client.delete(JOBS, unwanted.name, key[0], uid=unwanted.uid)
        except (errors.NotFound, errors.Conflict):
            return  # gone already, or another Job has its name now

    async def _write(self, key: Key, entry: JobEntry, decision: Decision) -> None:
        namespace, name = key
        if decision.status is not None and (changes := patch_between(entry.status, decision.status)):
            body = {"metadata": {"resourceVersion": entry.metadata.resource_version}, "status": changes}
            raw = await self._client.patch(OPTIMIZATION_JOBS, name, body, namespace, subresource="status")
            self._view.upsert(raw)
            if (written := self._view.get(key)) is not None:
                written.wrote_at = asyncio.get_running_loop().time()
            self._tell(entry, decision.status)
        if decision.mark_finished:
            label = {"metadata": {"labels": {names.LABEL_FINISHED: "true"}}}
            raw = await self._client.patch(OPTIMIZATION_JOBS, name, label, namespace)
            self._view.close(raw)
            self._expiry.watch(raw)

    def _tell(self, entry: JobEntry, new: OptimizationJobStatus) -> None:
        """Counts a start only once, whatever attempts follow; an end happens only once anyway."""
        created, started = parse_time(entry.metadata.creation_timestamp), parse_time(new.started_at)
        if created and started and not entry.status.started_at:
            self._telemetry.started((started - created).total_seconds())
        if new.phase in FINAL_PHASES:
            end = next((c for c in new.conditions if c.type == new.phase), None)
            self._telemetry.ended(new.phase, end.reason if end else "")

    async def _read_again(self, key: Key) -> None:
        try:
            self._view.upsert(await self._client.get(OPTIMIZATION_JOBS, key[1], key[0]))
        except errors.NotFound:
            self._view.forget(key)
