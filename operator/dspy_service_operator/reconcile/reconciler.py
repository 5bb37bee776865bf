"""One pass over one job: observe -> decide -> apply, and its place in the queue. Every event and every resync leads to
such passes."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from dspy_service_core.kube.errors import BadRequest, Forbidden, Invalid, TooLarge
from dspy_service_core.resource import queue_order
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_core.resource.status import FINAL_PHASES
from dspy_service_operator.decide.decide import decide
from dspy_service_operator.decide.decision import Decision, DeleteJob, Note
from dspy_service_operator.decide.observed import AttemptPod, Observed
from dspy_service_operator.decide.status_changes import StatusDraft
from dspy_service_operator.housekeeping.leftover_jobs import PATIENCE_SECONDS, Lingering
from dspy_service_operator.queue.queue import Key, Queue
from dspy_service_operator.reconcile import defects
from dspy_service_operator.reconcile.apply import Applier
from dspy_service_operator.reconcile.defects import Defects
from dspy_service_operator.reconcile.observe import Observer
from dspy_service_operator.reconcile.prerequisites import PrerequisiteCheck
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.view import ClusterView, JobEntry

REFUSALS = (BadRequest, Forbidden, Invalid, TooLarge)
"""The API server refuses something about this one job: if it does not run yet, it gives its slot back meanwhile."""
_LOOKS = 4
"""How many times one pass may read more before it decides; each of the three kinds is asked for once."""


class Reconciler:
    """`enqueue` is called with other jobs to which a pass gave a slot."""

    def __init__(
        self,
        view: ClusterView,
        queue: Queue,
        observer: Observer,
        prerequisites: PrerequisiteCheck,
        applier: Applier,
        lingering: Lingering,
        settings: OperatorSettings,
        clock: Callable[[], datetime],
        decide: Callable[[OptimizationJob, Observed, datetime, OperatorSettings], Decision] = decide,
    ) -> None:
        self._view = view
        self._queue = queue
        self._observer = observer
        self._prerequisites = prerequisites
        self._applier = applier
        self._lingering = lingering
        self._settings = settings
        self._clock = clock
        self._decide = decide
        self._defects = Defects(settings.internal_errors)
        self.enqueue: Callable[[Key], None] = lambda key: None
        self.due_reports: dict[Key, int] = {}
        """Waiting jobs whose position has to be written into the status, with that position."""

    async def reconcile(self, key: Key) -> float | None:
        entry = self._view.get(key)
        if entry is None:
            self._leave(key)
            self._defects.forget(key)
            return await self._lingering.check(key)
        try:
            return await self._guarded(key, entry)
        finally:
            entry.raw = None
            if self._view.get(key) is None:
                self._leave(key)

    async def _guarded(self, key: Key, entry: JobEntry) -> float | None:
        """One pass; a job that fails it again and again is given up, since it holds a slot that others wait for."""
        uid = entry.metadata.uid
        if self._defects.given_up(key, uid):
            return await self._give_up(key, entry)
        try:
            again = await self._pass(key, entry)
        except REFUSALS:
            if entry.job is None or not self._runs(key, entry.job):
                self._leave(key)
            raise
        except Exception as exc:
            if not self._defects.count(key, uid, exc):
                raise
            return await self._give_up(key, entry)
        self._defects.passed(key)
        return again

    async def _give_up(self, key: Key, entry: JobEntry) -> float | None:
        """The slot becomes free even if the end cannot be written; the write is tried again like any failed pass."""
        try:
            return await self._applier.apply(key, entry, self._internal_error(key, entry))
        finally:
            self._leave(key)

    def _internal_error(self, key: Key, entry: JobEntry) -> Decision:
        if entry.status.phase in FINAL_PHASES:
            return Decision(mark_finished=True)
        message, uid = self._defects.message(key), entry.metadata.uid
        running = next((job for job in self._view.jobs.of(key) if job.active and job.owner_uid == uid), None)
        return Decision(
            child=DeleteJob(running.name, running.uid) if running else None,
            status=StatusDraft(entry, self._clock()).finished("Failed", defects.REASON, message).status,
            mark_finished=True,
            notes=(Note(defects.REASON, message, warning=True),),
        )

    async def _pass(self, key: Key, entry: JobEntry) -> float | None:
        if entry.job is None:
            again = await self._refuse_unreadable(key, entry)
            if self._view.get(key) is not None:
                return again
            return await self._lingering.check(key, 0 if entry.metadata.deletion_timestamp else PATIENCE_SECONDS)
        self._take_place(key, entry.job)
        self._admit(besides=key)
        decided = await self._decided(key, entry)
        if decided is None:
            return None
        entry, decision = decided
        entry.refused = None
        again = await self._applier.apply(key, entry, decision)
        if decision.release_slot and again != 0.0:  # 0.0: the job changed meanwhile, and may still need its slot
            self._leave(key)
        if decision.mark_finished and self._view.get(key) is None:
            return await self._lingering.check(key)
        return again

    async def _decided(self, key: Key, entry: JobEntry) -> tuple[JobEntry, Decision] | None:
        """Decides, after reading more as often as the decision wants to; None if the job is gone meanwhile."""
        seen = self._observe(key, entry)
        for _ in range(_LOOKS):
            if entry.job is None:
                return None
            decision = self._decide(entry.job, seen, self._clock(), self._settings)
            if not decision.wants:
                return entry, decision
            closer = await self._look(key, entry, seen, decision)
            current = self._view.get(key)
            if closer is None or current is None:
                return None
            entry, seen = current, closer
        raise RuntimeError(f"no decision after {_LOOKS} looks: it wants {decision.wants}")

    async def _refuse_unreadable(self, key: Key, entry: JobEntry) -> float | None:
        """Fails a job whose spec cannot be read, for example because a newer version of the service wrote it."""
        if entry.status.phase in FINAL_PHASES:
            return await self._applier.apply(key, entry, Decision(mark_finished=True))
        draft = (
            StatusDraft(entry, self._clock()).unusable(entry.unreadable).finished("Failed", "Invalid", entry.unreadable)
        )
        note = Note("Invalid", entry.unreadable, warning=True)
        decision = Decision(status=draft.status, mark_finished=True, notes=(note,))
        return await self._applier.apply(key, entry, decision)

    def _observe(self, key: Key, entry: JobEntry) -> Observed:
        position = self.due_reports.pop(key, None)
        return replace(self._observer.glance(key, entry), slot=self._queue.holds(key), position=position)

    async def _look(self, key: Key, entry: JobEntry, seen: Observed, decision: Decision) -> Observed | None:
        """`seen` with what the decision wants to know added; None if the job is gone."""
        if decision.wants == "prerequisites":
            raw = await self._observer.full(key, entry)
            return None if raw is None else replace(seen, prerequisites=await self._prerequisites.look(raw))
        if decision.wants == "words":
            newest = max(seen.jobs.values(), key=lambda job: job.number, default=None)
            words = await self._observer.words(key[0], newest, seen.pod_of(newest))
            return replace(seen, words=words)
        await self._observer.refresh(key)
        current = self._view.get(key)
        if current is None:
            return None
        glance = self._observer.glance(key, current)
        pods = (*glance.pods, *_ended_and_gone(seen, glance))
        return replace(
            glance, pods=pods, slot=seen.slot, prerequisites=seen.prerequisites, words=seen.words, fresh=True
        )

    def take_places(self) -> None:
        """Enters all jobs into the queue before any slot is given away, because after a restart the queue is empty."""
        for key in self._view.known():
            entry = self._view.get(key)
            if entry is not None and entry.job is not None:
                self._take_place(key, entry.job)

    def _take_place(self, key: Key, job: OptimizationJob) -> None:
        """Enters the job into the queue, or gives it a slot if an attempt exists, whatever the limit says."""
        if job.finished or self._defects.given_up(key, job.metadata.uid):
            return
        if self._runs(key, job):
            self._queue.hold(key)
        elif not (job.spec.suspend or job.metadata.deletion_timestamp):
            self._queue.offer(key, _rank(job))

    def _runs(self, key: Key, job: OptimizationJob) -> bool:
        uid = job.metadata.uid
        return _under_way(job) or any(child.active and child.owner_uid == uid for child in self._view.jobs.of(key))

    def _leave(self, key: Key) -> None:
        self._queue.withdraw(key)
        self.due_reports.pop(key, None)
        self._admit()

    def _admit(self, besides: Key | None = None) -> None:
        for admitted in self._queue.admit():
            if admitted != besides:
                self.enqueue(admitted)


def _ended_and_gone(before: Observed, now: Observed) -> Iterator[AttemptPod]:
    """Pods that have ended and are gone now. An evicted pod is removed at once, and only this memory tells how it
    ended."""
    there = {pod.uid for pod in now.pods}
    return (pod for pod in before.pods if pod.ended and pod.uid not in there)


def _rank(job: OptimizationJob) -> queue_order.Rank:
    metadata = job.metadata
    return queue_order.rank(
        job.spec.run.priority, queue_order.age(metadata.name, metadata.creation_timestamp, metadata.annotations)
    )


def _under_way(job: OptimizationJob) -> bool:
    attempt = job.status.attempt
    return attempt is not None and attempt.number not in {ended.number for ended in job.status.attempts}
