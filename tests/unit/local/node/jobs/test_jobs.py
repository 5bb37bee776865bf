"""What the Job controller decides, as a table of Jobs, pods and clocks."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dspy_service_local.node.jobs.jobs import decide

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
Object = dict[str, Any]


def at(seconds: float) -> str:
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def job(status: Object | None = None, **spec: Any) -> Object:
    return {
        "metadata": {"name": "work", "namespace": "default", "uid": "u"},
        "spec": {"backoffLimit": 0, "template": {"spec": {}}, **spec},
        "status": status or {},
    }


def pod(
    phase: str = "Running", *, code: int = 1, deleted: bool = False, ready: bool = False, ended: float = 0
) -> Object:
    state: Object = {"terminated": {"exitCode": code, "finishedAt": at(ended)}} if phase in ("Failed",) else {}
    metadata: Object = {"name": "work-abcde", "namespace": "default", "uid": "p"}
    return {
        "metadata": metadata | ({"deletionTimestamp": at(0)} if deleted else {}),
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "main", "state": state}],
            "conditions": [{"type": "Ready", "status": "True"}] if ready else [],
        },
    }


def conditions(status: Object | None) -> dict[str, str]:
    return {c["type"]: c["reason"] for c in (status or {}).get("conditions", []) if c["status"] == "True"}


def test_a_new_job_gets_a_pod_and_a_start_time() -> None:
    decision = decide(job(), [], NOW)
    assert decision.create
    assert decision.status == {"startTime": at(0), "active": 1, "ready": 0, "terminating": 0}


def test_nothing_to_do_while_its_pod_runs() -> None:
    status = {"startTime": at(-5), "active": 1, "ready": 1, "terminating": 0}
    decision = decide(job(status), [pod(ready=True)], NOW)
    assert (decision.status, decision.create, decision.delete) == (None, False, ())


def test_a_succeeded_pod_completes_the_job() -> None:
    status = decide(job({"startTime": at(-5), "active": 1}), [pod("Succeeded")], NOW).status
    assert conditions(status) == {"SuccessCriteriaMet": "CompletionsReached", "Complete": "CompletionsReached"}
    assert status is not None
    assert (status["succeeded"], status["completionTime"]) == (1, at(0))
    assert "active" not in status


def test_a_failed_pod_fails_the_job_at_its_limit() -> None:
    status = decide(job({"startTime": at(-5), "active": 1}), [pod("Failed")], NOW).status
    assert conditions(status) == {"FailureTarget": "BackoffLimitExceeded", "Failed": "BackoffLimitExceeded"}


def test_below_the_limit_another_pod_follows_after_a_pause() -> None:
    waiting = decide(job({"active": 1}, backoffLimit=2), [pod("Failed", ended=-4)], NOW)
    assert (waiting.create, waiting.again_in) == (False, pytest.approx(6))
    assert decide(job({"failed": 1}, backoffLimit=2), [pod("Failed", ended=-10)], NOW).create


def test_the_deadline_deletes_the_pod_first_and_fails_when_it_is_gone() -> None:
    late = job({"startTime": at(-10), "active": 1}, activeDeadlineSeconds=10)
    decision = decide(late, [pod()], NOW)
    assert [p["metadata"]["name"] for p in decision.delete] == ["work-abcde"]
    assert conditions(decision.status) == {"FailureTarget": "DeadlineExceeded"}
    assert decision.status is not None
    assert decision.status["terminating"] == 1
    after = decide(job(decision.status, activeDeadlineSeconds=10), [pod(deleted=True)], NOW)
    assert conditions(after.status or decision.status) == {"FailureTarget": "DeadlineExceeded"}
    end = decide(job(decision.status, activeDeadlineSeconds=10), [], NOW)
    assert conditions(end.status) == {"FailureTarget": "DeadlineExceeded", "Failed": "DeadlineExceeded"}


def test_the_deadline_is_looked_at_again_in_time() -> None:
    assert decide(job({"startTime": at(-4), "active": 1}, activeDeadlineSeconds=10), [pod()], NOW).again_in == 6


def test_suspending_deletes_the_pod_and_resuming_starts_anew() -> None:
    decision = decide(job({"startTime": at(-5), "active": 1}, suspend=True), [pod()], NOW)
    assert len(decision.delete) == 1
    assert conditions(decision.status) == {"Suspended": "JobSuspended"}
    assert decision.status is not None
    assert "startTime" not in decision.status
    ended = decide(job(decision.status, suspend=True), [pod("Failed", deleted=True)], NOW)
    assert conditions(ended.status or decision.status) == {"Suspended": "JobSuspended"}
    resumed = decide(job(decision.status), [], NOW)
    assert resumed.create
    assert resumed.status is not None
    assert (conditions(resumed.status), resumed.status["startTime"]) == ({}, at(0))


def test_a_pod_that_vanished_counts_as_failed() -> None:
    status = decide(job({"startTime": at(-5), "active": 1}), [], NOW).status
    assert conditions(status)["Failed"] == "BackoffLimitExceeded"


def test_a_pod_that_is_being_deleted_is_waited_for() -> None:
    decision = decide(job({"startTime": at(-5), "active": 1}), [pod(deleted=True)], NOW)
    assert not decision.create


@pytest.mark.parametrize(("age", "removed", "again"), [(3, False, 7), (10, True, None), (11, True, None)])
def test_finished_jobs_are_removed_after_their_ttl(age: float, removed: bool, again: float | None) -> None:
    done = {"conditions": [{"type": "Complete", "status": "True", "lastTransitionTime": at(-age)}]}
    decision = decide(job(done, ttlSecondsAfterFinished=10), [pod("Succeeded")], NOW)
    assert (decision.remove_job, decision.again_in) == (removed, again)


def rule(action: str, **match: Any) -> Object:
    return {"podFailurePolicy": {"rules": [{"action": action, **match}]}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (rule("FailJob", onExitCodes={"operator": "In", "values": [42]}), {"Failed": "PodFailurePolicy"}),
        (rule("FailJob", onExitCodes={"operator": "NotIn", "values": [42]}), {}),
        (rule("FailJob", onExitCodes={"operator": "In", "values": [42], "containerName": "other"}), {}),
        (rule("Ignore", onPodConditions=[{"type": "DisruptionTarget", "status": "True"}]), {}),
    ],
)
def test_pod_failure_policies(spec: Object, expected: dict[str, str]) -> None:
    failed = pod("Failed", code=42)
    failed["status"]["conditions"] = [{"type": "DisruptionTarget", "status": "True"}]
    decision = decide(job({"active": 1}, backoffLimit=1, **spec), [failed], NOW)
    assert {k: v for k, v in conditions(decision.status).items() if k == "Failed"} == expected
    ignored = spec["podFailurePolicy"]["rules"][0]["action"] == "Ignore"
    assert (decision.status or {}).get("failed", 0) == (0 if ignored else 1)
