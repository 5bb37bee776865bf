"""The operator's figures for Prometheus, each described where it is declared. `docs/monitoring.md` shows their use.

No label holds a name or a text that a user chose: a reason that is none of the service's own counts as `Other`.
Imported only where metrics are on: the library costs memory.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from dspy_service_core.side_server import SideAnswer
from dspy_service_operator.monitoring.telemetry import Telemetry
from dspy_service_operator.queue.queue import Queue

OTHER = "Other"
REASONS = frozenset(
    {
        # Ends that the operator finds
        *("Cancelled", "DeadlineExceeded", "DiskLimitExceeded", "Disrupted", "Evicted", "Failed", "InternalError"),
        *("Invalid", "JobDeleted", "JobRefused", "Killed", "NotReady", "OutOfMemory", "PodLost", "Preempted"),
        *("ProcessEnded", "ProcessLimitExceeded", "ReportLost"),
        # Pods that never started
        *("ContainerCannotRun", "CreateContainerConfigError", "CreateContainerError", "ErrImageNeverPull"),
        *("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "PodNotCreated", "PodNotStarted", "Unschedulable"),
        # Ends that the runner reports
        *("ArtifactFailed", "ArtifactHoldsKey", "ArtifactTooLarge", "ArtifactUnusable", "Completed"),
        *("BudgetSpent", "InvalidBudget"),
        *(
            "ConfigMapKeyNotFound",
            "DatasetNotFound",
            "DigestMismatch",
            "DiskFull",
            "InvalidDataset",
            "InvalidMapping",
            "InvalidMetric",
            "InvalidModel",
        ),
        *("InvalidInitialState", "InvalidModule", "InvalidOptimizer", "InvalidProgram", "InvalidRegistry"),
        *("InvalidSignature", "InvalidSplit", "MetricFailed"),
        *("ModelAuthFailed", "ModelBillingFailed", "ModelFailed", "ModelRateLimited", "ModelRejectedRequest"),
        *("ModelUnknown", "ModelUnreachable", "OptimizerFailed", "ProgramFailed", "StoppedEarly", "Stopped"),
        *("NothingTried", "Succeeded", "TooManyFailedRows", "UriNotAllowed"),
    }
)
_START_BUCKETS = (0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 300, 1800, 7200, 28800)
_PASS_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)


class Metrics(Telemetry):
    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._queue = Gauge("dspy_service_queue_length", "Jobs that wait for a slot.", registry=registry)
        self._running = Gauge("dspy_service_running_jobs", "Jobs that hold a slot.", registry=registry)
        self._leader = Gauge(
            "dspy_service_leader", "1 where this process acts, 0 where it stands by.", registry=registry
        )
        self._ended = Counter("dspy_service_jobs_ended", "Jobs that ended.", ["phase", "reason"], registry=registry)
        self._started = Histogram(
            "dspy_service_job_start_seconds",
            "From a job's creation to the end of its preflight, the wait in the queue included.",
            buckets=_START_BUCKETS,
            registry=registry,
        )
        self._passes = Histogram(
            "dspy_service_reconcile_seconds",
            "Passes over one job, its requests included.",
            buckets=_PASS_BUCKETS,
            registry=registry,
        )
        self._errors = Counter(
            "dspy_service_reconcile_errors", "Passes that failed and are tried again.", registry=registry
        )
        self._asked = Counter(
            "dspy_service_kube_requests", "Requests to the API server.", ["verb", "resource"], registry=registry
        )

    def pages(self) -> Mapping[str, Callable[[], SideAnswer]]:
        return {"/metrics": self._page}

    def watch(self, queue: Queue) -> None:
        self._queue.set_function(lambda: len(queue))
        self._running.set_function(lambda: queue.running)

    def asked(self, verb: str, resource: str) -> None:
        self._asked.labels(verb, resource).inc()

    def leads(self, leading: bool) -> None:
        self._leader.set(leading)

    def started(self, seconds: float) -> None:
        self._started.observe(seconds)

    def ended(self, phase: str, reason: str) -> None:
        self._ended.labels(phase, reason if reason in REASONS else OTHER).inc()

    @contextmanager
    def reconciling(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        except Exception:
            self._errors.inc()
            raise
        finally:
            self._passes.observe(time.perf_counter() - began)

    def _page(self) -> SideAnswer:
        return SideAnswer(generate_latest(self.registry), content_type=CONTENT_TYPE_LATEST)
