"""Builders of what the operator reads and decides on: jobs, attempts' Jobs and pods."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dspy_service_core.resource import names
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_operator.decide.observed import AttemptJob, AttemptPod, ContainerState, Observed, Prerequisites

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)
JOB_UID = "job-uid"
USABLE = Prerequisites()
SIGNATURE = """
import dspy

class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    label: str = dspy.OutputField()
"""
METRIC = "def metric(gold, pred, trace=None):\n    return gold.label == pred.label\n"


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def make_raw(
    name: str = "tickets",
    *,
    namespace: str = "default",
    uid: str = JOB_UID,
    api_made: bool = False,
    labels: Mapping[str, str] | None = None,
    created: datetime = NOW,
    status: Mapping[str, Any] | None = None,
    version: int = 1,
    **spec: Any,
) -> dict[str, Any]:
    """A resource as the API server sends it; `spec` replaces top-level fields."""
    own = {names.LABEL_SUBMITTED_BY: names.SUBMITTED_BY_API} if api_made else {}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid,
            "generation": 1,
            "resourceVersion": str(version),
            "creationTimestamp": stamp(created),
            "labels": own | dict(labels or {}),
        },
        "spec": {
            "module": {"name": "cot"},
            "optimizer": {"name": "bootstrapfewshot"},
            "signature": {"code": SIGNATURE},
            "metric": {"code": METRIC},
            "dataset": {"rows": [{"text": f"row {n}", "label": "a"} for n in range(10)]},
            "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
            "models": {"default": {"name": "openai/gpt-4o-mini"}},
            **spec,
        },
        "status": dict(status or {}),
    }


def make_job(name: str = "tickets", **given: Any) -> OptimizationJob:
    return OptimizationJob.model_validate(make_raw(name, **given))


def condition(kind: str, status: str, reason: str, message: str = "", since: datetime = NOW) -> dict[str, Any]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": stamp(since),
        "observedGeneration": 1,
    }


def attempt(number: int = 1, pod_uid: str = "pod-1") -> dict[str, Any]:
    return {
        "number": number,
        "jobName": f"tickets-{number}",
        "podName": f"tickets-{number}-x",
        "podUID": pod_uid,
        "startedAt": stamp(ago(100)),
    }


def ended(number: int = 1, reason: str = "Killed", *, counted: bool = True, at: datetime = NOW) -> dict[str, Any]:
    return {"number": number, "reason": reason, "message": "", "endedAt": stamp(at), "counted": counted}


def running_status(**more: Any) -> dict[str, Any]:
    """Of a job whose first attempt is past its preflight."""
    return {
        "phase": "Running",
        "conditions": [
            condition("Valid", "True", "Checked"),
            condition("Queued", "False", "Admitted"),
            condition("Started", "True", "Running", "The preflight has passed."),
        ],
        "observedGeneration": 1,
        "attempt": attempt(),
        "startedAt": stamp(ago(90)),
        "queue": {"position": 0},
        "run": {"attempt": 1, "podUID": "pod-1", "stage": "Running", "startedAt": stamp(ago(90))},
        **more,
    }


def result(outcome: str = "Succeeded", **more: Any) -> dict[str, Any]:
    return {"outcome": outcome, "reason": outcome, "message": "", "endedAt": stamp(NOW), **more}


def make_child(number: int = 1, **given: Any) -> AttemptJob:
    fields = {"name": f"tickets-{number}", "uid": f"child-{number}", "number": number, "owner_uid": JOB_UID}
    return AttemptJob(**{**fields, "created_at": ago(100), **given})


def make_pod(number: int = 1, **given: Any) -> AttemptPod:
    fields = {"name": f"tickets-{number}-x", "uid": f"pod-{number}", "number": number, "job_uid": f"child-{number}"}
    return AttemptPod(**{**fields, "created_at": ago(5), **given})


def running(number: int = 1, **given: Any) -> AttemptPod:
    return make_pod(number, phase="Running", optimizer=ContainerState("running", started=True), **given)


def exited(
    code: int, number: int = 1, *, reason: str = "Error", message: str = "", signal: int = 0, **given: Any
) -> AttemptPod:
    """A pod that ended, its optimizer with that code and message."""
    state = ContainerState("terminated", reason, message, exit_code=code, signal=signal, started=True)
    reporter = ContainerState("terminated", "Completed", started=True)
    return make_pod(number, **{"phase": "Failed", "optimizer": state, "reporter": reporter, **given})


def seen(*children: AttemptJob, pods: tuple[AttemptPod, ...] = (), slot: bool = True, **given: Any) -> Observed:
    return Observed(jobs={child.number: child for child in children}, pods=pods, slot=slot, **given)
