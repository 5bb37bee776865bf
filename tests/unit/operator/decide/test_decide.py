"""The table of decisions: what was observed -> the act on a child, the phase and its reason, what is asked again."""

from dataclasses import replace
from typing import Any

import pytest

from dspy_service_core.resource import conditions, names
from dspy_service_core.resource.conditions import precise_timestamp
from dspy_service_core.resource.job import OptimizationJob
from dspy_service_core.resource.status import OptimizationJobStatus
from dspy_service_operator.decide.attempt_running import LOOK_AGAIN_SECONDS, SETTLE_SECONDS
from dspy_service_operator.decide.decide import ABANDONED_SECONDS, SECRET_SECONDS, decide
from dspy_service_operator.decide.decision import CreateJob, Decision, DeleteJob
from dspy_service_operator.decide.observed import ContainerState, Observed, Prerequisites, Refusal
from dspy_service_operator.settings import OperatorSettings
from operator_objects import (
    NOW,
    USABLE,
    ago,
    attempt,
    condition,
    ended,
    exited,
    make_child,
    make_job,
    make_pod,
    result,
    running,
    running_status,
    seen,
    stamp,
)

SETTINGS = OperatorSettings(retries=2, deadline_seconds=1000, retry_backoff_seconds=10)


def decided(job: OptimizationJob, observed: Observed, **settings: Any) -> Decision:
    return decide(job, observed, NOW, SETTINGS.model_copy(update=settings))


def reason_of(decision: Decision, kind: conditions.ConditionType) -> tuple[str, str]:
    assert decision.status is not None
    found = conditions.find(decision.status.conditions, kind)
    assert found is not None, decision.status.conditions
    return found.status, found.reason


# --- the way there ---------------------------------------------------------------------------------------------------


def test_a_fresh_job_with_a_slot_is_checked_and_gets_its_first_job_without_a_status_write():
    job = make_job()
    assert decided(job, seen()).wants == "prerequisites"
    decision = decided(job, seen(prerequisites=USABLE))
    assert decision.child == CreateJob(1, 1000)
    assert decision.status is None
    assert [note.reason for note in decision.notes] == ["AttemptStarted"]


def test_the_jobs_own_deadline_counts():
    assert decided(make_job(run={"deadlineSeconds": 60}), seen(prerequisites=USABLE)).child == CreateJob(1, 60)


def test_one_write_records_the_pod_and_says_that_the_job_is_valid_and_no_longer_queued():
    decision = decided(make_job(), seen(make_child(), pods=(make_pod(),)))
    assert decision.status is not None
    assert decision.status.attempt is not None
    assert decision.status.attempt.model_dump(by_alias=True) == {
        "number": 1,
        "jobName": "tickets-1",
        "podName": "tickets-1-x",
        "podUID": "pod-1",
        "startedAt": stamp(ago(100)),
    }
    assert reason_of(decision, "Valid") == ("True", "Checked")
    assert reason_of(decision, "Queued") == ("False", "Admitted")
    assert reason_of(decision, "Started") == ("False", "PodCreated")
    assert decision.status.phase == "Pending"


@pytest.mark.parametrize(
    ("pod", "recorded"),
    [
        (make_pod(created_at=NOW), False),
        (make_pod(created_at=NOW, bound=True), True),
        (make_pod(created_at=NOW, unschedulable="no node"), True),
        (make_pod(created_at=ago(2)), True),
    ],
    ids=["just made", "bound", "unschedulable", "without a scheduler"],
)
def test_a_new_pod_is_recorded_once_the_scheduler_has_spoken(pod, recorded):
    decision = decided(make_job(), seen(make_child(), pods=(pod,)))
    assert (decision.status is not None) == recorded
    assert recorded or decision.requeue_after == 2.0


@pytest.mark.parametrize(("since", "said"), [(ago(1), ""), (ago(16), "PodCreated")])
def test_that_a_node_was_found_is_told_by_the_start_itself_unless_that_takes_long(since, said):
    waiting = make_pod(unschedulable="no node")
    first = decided(make_job(), seen(make_child(), pods=(waiting,)))
    assert first.status is not None
    found = seen(make_child(), pods=(make_pod(bound=True, scheduled_at=since),), words="")
    decision = decided(make_job(status=first.status), found)
    assert (reason_of(decision, "Started")[1] if decision.status else "") == said


def test_a_pod_that_runs_when_it_is_recorded_is_validating_at_once():
    decision = decided(make_job(), seen(make_child(), pods=(running(),)))
    assert decision.status is not None
    assert (decision.status.phase, decision.status.attempt and decision.status.attempt.pod_uid) == (
        "Validating",
        "pod-1",
    )


def test_a_pod_of_an_earlier_resource_of_that_name_is_not_recorded():
    decision = decided(make_job(), seen(make_child(), pods=(make_pod(job_uid="somebody-else"),)))
    assert decision.status is None


@pytest.mark.parametrize(
    ("quiet", "phase"), [(0.0, None), (SETTLE_SECONDS, "Validating"), (float("inf"), "Validating")]
)
def test_validating_is_only_written_when_it_lasts(quiet, phase):
    job = make_job(status={"phase": "Pending", "attempt": attempt()})
    decision = decided(job, seen(make_child(), pods=(running(),), quiet_seconds=quiet))
    assert (decision.status.phase if decision.status else None) == phase
    assert (decision.requeue_after is not None) == (phase is None)


def test_the_end_of_the_preflight_makes_it_running():
    status = {"attempt": attempt(), "run": {"attempt": 1, "stage": "Running", "startedAt": stamp(ago(5))}}
    decision = decided(make_job(created=ago(60), status=status), seen(make_child(), pods=(running(),), quiet_seconds=0))
    assert decision.status is not None
    assert (decision.status.phase, decision.status.started_at) == ("Running", "2026-01-02T11:59:55.000Z")
    assert [note.reason for note in decision.notes] == ["Running"]


def test_an_earlier_attempts_progress_does_not_count_for_the_next():
    status = running_status(attempt=attempt(2, "pod-2"), attempts=[ended(1)])
    decision = decided(make_job(status=status), seen(make_child(2), pods=(make_pod(2),)))
    assert decision.status is not None
    assert decision.status.phase == "Pending"


def test_nothing_is_written_twice():
    job = make_job(status=running_status())
    decision = decided(job, seen(make_child(), pods=(running(),)))
    assert decision.status == job.status
    assert not decision.notes


@pytest.mark.parametrize("skew", [-7200, 7200])
def test_a_runners_clock_that_is_off_stays_within_the_jobs_life(skew):
    status = {"attempt": attempt(), "run": {"attempt": 1, "stage": "Running", "startedAt": stamp(ago(5 + skew))}}
    decision = decided(make_job(created=ago(60), status=status), seen(make_child(), pods=(running(),)))
    assert decision.status is not None
    assert decision.status.started_at == precise_timestamp(ago(60) if skew > 0 else NOW)


def compared(verdict, difference, interval):
    rows = {"rows": 20, "won": 6, "lost": 2, "tied": 12, "failedRows": 0}
    evidence = {"difference": difference, "interval": interval, "confidence": "0.95", "method": "m"}
    return result(verdict=verdict, comparison=evidence | rows)


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reported", "phase", "message"),
    [
        (result(), "Succeeded", "Optimization completed successfully."),
        (result(stoppedEarly=True), "Succeeded", "Stopped early"),
        (
            compared("improved", "20", ["3.1", "36.94"]),
            "Succeeded",
            "Improved: +20.0 points (95 % interval 3.1 to 36.9;",
        ),
        (compared("worse", "-20", ["-36", "-3"]), "Succeeded", "Worse: -20.0 points (95 % interval -36.0 to -3.0; "),
        (compared("no_evidence", "2", None), "Succeeded", "No evidence of a difference: +2.0 points (no interval; "),
        (compared("unknown", "0", None), "Succeeded", "Unknown whether it is better"),
        (result(reason="NothingTried", nothingTried="GEPA scored no other."), "Succeeded", "Nothing was tried: GEPA"),
        (
            result(verdict="unknown", baselineScore="73.333", splitCounts={"train": 0, "val": 0, "test": 30}),
            "Succeeded",
            "Scored 73.3 on 30 rows: nothing was optimized, so there is nothing to compare.",
        ),
        (result("Failed", reason="MetricFailed", message="KeyError: 'x'"), "Failed", "KeyError: 'x'"),
        (result("Cancelled", message="stopped"), "Cancelled", "stopped"),
    ],
)
@pytest.mark.parametrize(
    "pods", [(), (running(),), (exited(137),), (exited(0),)], ids=["gone", "runs", "killed", "done"]
)
def test_a_result_record_decides_whatever_became_of_the_pod(reported, phase, message, pods):
    job = make_job(created=ago(60), status=running_status(run=running_status()["run"] | {"result": reported}))
    decision = decided(job, seen(make_child(), pods=pods))
    assert decision.status is not None
    assert (decision.status.phase, decision.mark_finished, decision.release_slot) == (phase, True, True)
    assert message in decision.status.message
    assert decision.status.completed_at == "2026-01-02T12:00:00.000Z"
    assert decision.child is None


def test_a_result_that_comes_with_the_first_report_skips_running():
    run = {"attempt": 1, "stage": "Ended", "startedAt": stamp(ago(5)), "result": result()}
    decision = decided(make_job(created=ago(60), status={"attempt": attempt(), "run": run}), seen(make_child()))
    assert decision.status is not None
    assert (decision.status.phase, decision.status.started_at) == ("Succeeded", "2026-01-02T11:59:55.000Z")


@pytest.mark.parametrize(
    ("labels", "marked"), [({}, True), ({names.LABEL_FINISHED: "true"}, False)], ids=["unlabelled", "labelled"]
)
def test_an_ended_job_only_gets_its_label(labels, marked):
    job = make_job(labels=labels, status={"phase": "Succeeded", "conditions": [condition("Succeeded", "True", "Done")]})
    assert decided(job, seen(make_child(), pods=(running(),))) == Decision(mark_finished=marked, release_slot=True)


def test_an_optimizer_that_ended_is_not_judged_before_its_reporter_has_drained():
    terminated = ContainerState("terminated", "Error", exit_code=137, started=True)
    draining = make_pod(phase="Running", optimizer=terminated, reporter=ContainerState("running"))
    job = make_job(status=running_status())
    assert decided(job, seen(make_child(), pods=(draining,))).child is None
    assert decided(job, seen(make_child(failure="BackoffLimitExceeded"), pods=(draining,))).wants == ""


@pytest.mark.parametrize("pods", [(exited(137),), ()], ids=["ended", "gone"])
def test_nothing_is_lost_by_hearsay(pods):
    decision = decided(make_job(status=running_status()), seen(make_child(), pods=pods))
    assert decision == Decision(wants="fresh")


# --- attempts --------------------------------------------------------------------------------------------------------


def test_a_killed_attempt_is_followed_by_another():
    job = make_job(status=running_status())
    decision = decided(job, seen(make_child(), pods=(exited(137),), fresh=True))
    status = decision.status
    assert status is not None
    assert [(e.number, e.reason, e.counted) for e in status.attempts] == [(1, "Killed", True)]
    assert (status.retries_used, status.active_seconds, status.phase) == (1, 100, "Pending")
    assert reason_of(decision, "Started") == ("False", "Retrying")
    assert (decision.child, decision.requeue_after) == (None, 0.0)
    following = make_job(status=status.wire())
    assert decided(following, seen(make_child(), pods=(exited(137),), prerequisites=USABLE)).child == CreateJob(2, 900)


def test_a_disruption_uses_up_no_retry():
    pods = (exited(143, disruption="EvictionByEvictionAPI: drain"),)
    decision = decided(make_job(status=running_status()), seen(make_child(), pods=pods, fresh=True))
    assert decision.status is not None
    assert (decision.status.retries_used, decision.status.attempts[0].counted) == (0, False)


def test_when_the_retries_are_used_up_the_job_fails_and_names_the_signal():
    job = make_job(status=running_status(retriesUsed=2, attempt=attempt(3, "pod-3"), attempts=[ended(1), ended(2)]))
    decision = decided(job, seen(make_child(3), pods=(exited(137, 3),), fresh=True))
    assert decision.status is not None
    assert decision.status.phase == "Failed"
    assert "killed by SIGKILL" in decision.status.message
    assert "2 of 2 retries" in decision.status.message


def test_a_job_may_ask_for_no_retries():
    job = make_job(run={"retries": 0}, status=running_status())
    decision = decided(job, seen(make_child(), pods=(exited(137),), fresh=True))
    assert decision.status is not None
    assert decision.status.phase == "Failed"


def test_disruptions_do_not_go_on_for_ever():
    attempts = [ended(n, "Disrupted", counted=False) for n in range(1, 20)]
    job = make_job(status=running_status(attempt=attempt(20, "pod-20"), attempts=attempts))
    pods = (exited(143, 20, disruption="EvictionByEvictionAPI"),)
    decision = decided(job, seen(make_child(20), pods=pods, fresh=True))
    assert decision.status is not None
    assert decision.status.phase == "Failed"


@pytest.mark.parametrize(
    ("pod", "reason"),
    [(exited(3), "ProcessEnded"), (exited(137, reason="OOMKilled"), "OutOfMemory")],
)
def test_the_users_own_fault_is_final(pod, reason):
    decision = decided(make_job(status=running_status()), seen(make_child(), pods=(pod,), fresh=True))
    assert decision.status is not None
    assert (decision.status.phase, reason_of(decision, "Failed")) == ("Failed", ("True", reason))


def test_the_memory_limit_that_is_named_is_the_jobs_own():
    job = make_job(run={"resources": {"limits": {"memory": "7Gi"}}}, status=running_status())
    decision = decided(job, seen(make_child(), pods=(exited(137, reason="OOMKilled"),), fresh=True))
    assert decision.status is not None
    assert "7Gi" in decision.status.message


def test_the_next_attempt_waits_for_the_pod_of_the_last():
    job = make_job(status={"attempt": attempt(), "attempts": [ended(1, "JobDeleted")]})
    assert decided(job, seen(pods=(running(),), prerequisites=USABLE)).child is None
    assert decided(job, seen(pods=(exited(143),), prerequisites=USABLE)).child == CreateJob(2, 1000)


def test_a_pod_whose_node_is_lost_is_not_waited_for():
    gone_for = {"deleted_at": ago(61)}
    job = make_job(status=running_status())
    assert decided(job, seen(make_child(), pods=(running(deleted_at=ago(59)),), fresh=True)).child is None
    lost = decided(job, seen(make_child(), pods=(running(**gone_for),), fresh=True))
    assert lost.status is not None
    assert lost.status.attempts[0].reason == "PodLost"
    assert lost.child == DeleteJob("tickets-1", "child-1")
    after = make_job(status=lost.status.wire())
    assert decided(after, seen(pods=(running(**gone_for),), prerequisites=USABLE)).child == CreateJob(2, 900)


@pytest.mark.parametrize(("seconds", "again"), [(-30, 90.1), (0, 60.1), (59, 1.1)])
@pytest.mark.parametrize("pod", [running, make_pod], ids=["running", "not started"])
def test_a_pod_that_should_be_gone_is_looked_at_when_it_counts_as_lost(pod, seconds, again):
    job = make_job(status=running_status())
    decision = decided(job, seen(make_child(), pods=(pod(deleted_at=ago(seconds)),), words=""))
    assert decision.requeue_after is not None
    assert decision.requeue_after <= again + 1e-6
    after_that = decided(job, seen(make_child(), pods=(pod(deleted_at=ago(60.1)),), fresh=True))
    assert after_that.status is not None
    assert after_that.status.attempts[0].reason == "PodLost"


@pytest.mark.parametrize(("seconds", "again"), [(0, LOOK_AGAIN_SECONDS), (59, 1.1)])
def test_an_earlier_pod_is_waited_for_until_it_counts_as_lost(seconds, again):
    job = make_job(status={"attempt": attempt(), "attempts": [ended(1, "JobDeleted")]})
    decision = decided(job, seen(pods=(running(deleted_at=ago(seconds)),), prerequisites=USABLE))
    assert (decision.child, decision.requeue_after) == (None, pytest.approx(again))


@pytest.mark.parametrize(("tried", "pause"), [(1, 0), (2, 10), (3, 20), (4, 40)])
def test_retries_wait_longer_each_time(tried, pause):
    job = make_job(run={"retries": 10}, status={"attempts": [ended(n) for n in range(1, tried + 1)]})
    decision = decided(job, seen(prerequisites=USABLE))
    assert (decision.requeue_after if pause else 0) == pause
    assert (decision.child is None) == bool(pause)
    later = make_job(run={"retries": 10}, status={"attempts": [ended(n, at=ago(pause)) for n in range(1, tried + 1)]})
    assert decided(later, seen(prerequisites=USABLE)).child == CreateJob(tried + 1, 1000)


def test_a_deleted_job_is_followed_by_another_when_its_pod_is_gone():
    job = make_job(status=running_status())
    assert decided(job, seen(pods=(running(),))).child is None
    decision = decided(job, seen(fresh=True))
    assert decision.status is not None
    assert decision.status.attempts[0].reason == "JobDeleted"


def test_a_job_that_is_being_deleted_is_not_recorded():
    decision = decided(make_job(), seen(make_child(deleting=True), pods=(make_pod(),)))
    assert decision.status is None


def test_the_deadline_is_over_all_attempts():
    job = make_job(status={"activeSeconds": 1000, "attempts": [ended(1)]})
    decision = decided(job, seen(prerequisites=USABLE))
    assert decision.status is not None
    assert decision.status.message == "deadline of 1000 s exceeded"
    exceeded = seen(make_child(failure="DeadlineExceeded"), fresh=True)
    decision = decided(make_job(status=running_status()), exceeded)
    assert reason_of(decision, "Failed") == ("True", "DeadlineExceeded")


def test_kueue_taking_its_quota_back_ends_the_attempt_for_free():
    decision = decided(make_job(status=running_status()), seen(make_child(suspended=True), fresh=True))
    assert decision.status is not None
    assert (decision.status.attempts[0].reason, decision.status.retries_used) == ("Preempted", 0)
    assert decision.child == DeleteJob("tickets-1", "child-1")


# --- pods that do not start ------------------------------------------------------------------------------------------

WAITS = ContainerState("waiting", "ImagePullBackOff", 'Back-off pulling image "x"')
NOT_STARTING = [
    ("image", make_pod(optimizer=WAITS), None, "ImagePullBackOff", 'Back-off pulling image "x"', 600),
    ("scheduler", make_pod(unschedulable="0/3 nodes are available"), None, "Unschedulable", "0/3 nodes", 21600),
    (
        "config",
        make_pod(optimizer=ContainerState("waiting", "CreateContainerConfigError", 'secret "k" not found')),
        None,
        "CreateContainerConfigError",
        'secret "k" not found',
        600,
    ),
    (
        "reporter",
        make_pod(reporter=replace(WAITS, reason="CrashLoopBackOff")),
        None,
        "CrashLoopBackOff",
        "reporter",
        600,
    ),
    ("pulling", make_pod(optimizer=replace(WAITS, reason="ErrImagePull")), None, "ImagePullBackOff", '"x"', 600),
    ("policy", None, 'pods "x" is forbidden: violates PodSecurity', "PodNotCreated", "PodSecurity", 600),
    ("quota", None, 'pods "x" is forbidden: exceeded quota', "WaitingForQuota", "exceeded quota", 21600),
    ("mount", make_pod(), "MountVolume.SetUp failed", "PodNotStarted", "MountVolume", 600),
]


@pytest.mark.parametrize(
    ("pod", "words", "reason", "message", "patience"), [c[1:] for c in NOT_STARTING], ids=[c[0] for c in NOT_STARTING]
)
def test_a_pod_that_does_not_start_says_why_and_fails_in_the_end(pod, words, reason, message, patience):
    def at(age: float) -> Decision:
        child = make_child(created_at=ago(age))
        pods = (replace(pod, created_at=ago(age)),) if pod else ()
        return decided(make_job(), seen(child, pods=pods, words=words or ""))

    early = at(20)
    assert early.status is not None
    assert reason_of(early, "Started") == ("False", reason)
    assert message in early.status.message
    assert early.notes[0].warning
    late = at(patience + 1)
    assert late.status is not None
    assert (late.status.phase, reason_of(late, "Failed")) == ("Failed", ("True", reason))
    assert message in late.status.message
    assert late.child == DeleteJob("tickets-1", "child-1")


def test_a_name_that_is_no_images_fails_at_once():
    pod = make_pod(optimizer=replace(WAITS, reason="InvalidImageName", message="couldn't parse image name"))
    decision = decided(make_job(), seen(make_child(), pods=(pod,)))
    assert decision.status is not None
    assert reason_of(decision, "Failed") == ("True", "InvalidImageName")
    assert decision.status.message == "optimizer: couldn't parse image name"


def test_the_time_that_a_pod_waited_for_its_node_is_not_held_against_its_start():
    pod = make_pod(optimizer=WAITS, created_at=ago(5000), scheduled_at=ago(100))
    decision = decided(make_job(status={"attempt": attempt()}), seen(make_child(), pods=(pod,), words=""))
    assert decision.status is not None
    assert decision.status.phase == "Pending"


def test_words_of_the_cluster_are_cut_to_what_the_resource_takes():
    pod = make_pod(optimizer=replace(WAITS, message="x" * 5000))
    for age in (20, 601):
        seen_so = seen(make_child(created_at=ago(age)), pods=(replace(pod, created_at=ago(age)),), words="")
        decision = decided(make_job(status={"attempt": attempt()}), seen_so)
        assert decision.status is not None
        OptimizationJobStatus.model_validate(decision.status.model_dump(by_alias=True))


def test_the_events_are_looked_at_when_a_pod_takes_long():
    def wants(age: float, **pod: Any) -> str:
        pods = (make_pod(created_at=ago(age), **pod),)
        return decided(make_job(status={"attempt": attempt()}), seen(make_child(), pods=pods)).wants

    assert wants(5) == ""
    assert wants(20) == "words"
    assert wants(20, unschedulable="no node") == ""


def test_a_job_that_kueue_holds_says_so_and_is_patient():
    decision = decided(make_job(), seen(make_child(suspended=True, created_at=ago(99999))))
    assert reason_of(decision, "Started") == ("False", "WaitingForQuota")


# --- the queue -------------------------------------------------------------------------------------------------------


def test_an_event_of_a_waiting_job_writes_nothing():
    assert decided(make_job(api_made=True), seen(slot=False)) == Decision()


def test_its_place_is_written_when_it_is_time():
    decision = decided(make_job(api_made=True), seen(slot=False, position=3))
    assert decision.status is not None
    assert (decision.status.queue and decision.status.queue.position) == 3
    assert "position 3" in decision.status.message
    assert reason_of(decision, "Queued") == ("True", "Queued")
    again = decided(make_job(api_made=True, status=decision.status.wire()), seen(slot=False, position=2))
    assert again.status is not None
    assert (again.notes, again.status.queue and again.status.queue.position) == ((), 2)


def test_a_job_made_with_kubectl_is_checked_while_it_waits():
    job = make_job()
    assert decided(job, seen(slot=False)).wants == "prerequisites"
    valid = decided(job, seen(slot=False, prerequisites=USABLE))
    assert (reason_of(valid, "Valid"), reason_of(valid, "Queued")) == (("True", "Checked"), ("True", "Queued"))
    assert valid.status is not None
    assert decided(make_job(status=valid.status.wire()), seen(slot=False)) == Decision()


@pytest.mark.parametrize("slot", [True, False])
@pytest.mark.parametrize("suspend", [True, False])
def test_an_unusable_job_fails_at_once_with_the_checks_own_words(slot, suspend):
    refused = Prerequisites(invalid="Unknown optimizer 'x'.")
    decision = decided(make_job(suspend=suspend), seen(slot=slot, prerequisites=refused))
    assert decision.status is not None
    assert (decision.status.phase, decision.status.message) == ("Failed", "Unknown optimizer 'x'.")
    assert reason_of(decision, "Valid") == ("False", "Invalid")
    assert decision.mark_finished


@pytest.mark.parametrize("slot", [True, False])
def test_what_is_missing_is_waited_for_without_a_slot(slot):
    missing = Prerequisites(missing_reason="SecretNotFound", missing="there is no Secret 'openai'.")
    decision = decided(make_job(created=ago(60)), seen(slot=slot, prerequisites=missing))
    assert reason_of(decision, "Queued") == ("True", "SecretNotFound")
    assert (decision.release_slot, decision.child, decision.requeue_after) == (True, None, 6.0)


def test_the_api_has_a_moment_to_make_a_jobs_secret():
    missing = Prerequisites(missing_reason="SecretNotFound", missing="there is no Secret 'openai'.")
    decision = decided(make_job(api_made=True, created=NOW), seen(prerequisites=missing))
    assert decision == Decision(requeue_after=SECRET_SECONDS, release_slot=True)


def test_a_submit_that_was_never_finished_ends_its_job():
    missing = Prerequisites(missing_reason="SecretNotFound", missing="there is no Secret 'openai'.")
    created = ago(ABANDONED_SECONDS + 1)
    decision = decided(make_job(api_made=True, created=created), seen(prerequisites=missing))
    assert decision.status is not None
    assert (decision.status.phase, decision.mark_finished) == ("Failed", True)
    assert "submit it again" in decision.status.message
    assert decided(make_job(created=created), seen(prerequisites=missing)).status.phase == "Pending"


@pytest.mark.parametrize(("final", "phase"), [(True, "Failed"), (False, "Pending")])
def test_a_refused_job_object_is_shown(final, phase):
    decision = decided(make_job(), seen(prerequisites=USABLE, refused=Refusal("JobRefused", "no such class", final)))
    assert decision.status is not None
    assert (decision.status.phase, decision.status.message) == (phase, "no such class")


# --- stop and suspend ------------------------------------------------------------------------------------------------


def test_cancel_ends_the_job_and_its_attempt():
    decision = decided(make_job(stop="Cancel", status=running_status()), seen(make_child(), pods=(running(),)))
    assert decision.status is not None
    assert decision.status.phase == "Cancelled"
    assert decision.child == DeleteJob("tickets-1", "child-1")


@pytest.mark.parametrize(
    ("status", "observed", "cancelled"),
    [
        ({}, seen(slot=False), True),
        ({"attempt": attempt()}, seen(make_child(), pods=(make_pod(),)), True),
        ({"attempt": attempt()}, seen(make_child(), pods=(running(),)), False),
        (running_status(), seen(make_child(), pods=(running(),)), False),
        (running_status(attempts=[ended(1)]), seen(prerequisites=USABLE), False),
    ],
    ids=["waiting", "pod starting", "validating", "running", "between attempts"],
)
def test_keep_best_cancels_only_what_has_not_begun(status, observed, cancelled):
    decision = decided(make_job(stop="KeepBest", status=status, api_made=True), observed)
    assert ((decision.status.phase if decision.status else "") == "Cancelled") == cancelled


def test_suspending_ends_the_attempt_without_using_up_a_retry():
    decision = decided(make_job(suspend=True, status=running_status()), seen(make_child(), pods=(running(),)))
    assert decision.child == DeleteJob("tickets-1", "child-1")
    assert decision.release_slot
    status = decision.status
    assert status is not None
    assert (status.phase, status.retries_used) == ("Pending", 0)
    assert [(e.number, e.reason, e.counted) for e in status.attempts] == [(1, "Suspended", False)]
    assert reason_of(decision, "Queued") == ("True", "Suspended")
    held = make_job(suspend=True, status=status.wire())
    again = decided(held, seen(pods=(running(deleted_at=ago(1)),), slot=False))
    assert (again.status, again.notes, again.child) == (held.status, (), None)
    resumed = make_job(status=status.wire())
    assert decided(resumed, seen(pods=(exited(143),), prerequisites=USABLE)).child == CreateJob(2, 900)


def test_a_result_that_beat_the_suspension_counts():
    run = running_status()["run"] | {"result": result()}
    status = running_status(run=run, attempts=[ended(1, "Suspended", counted=False)])
    decision = decided(make_job(created=ago(60), suspend=True, status=status), seen())
    assert decision.status is not None
    assert decision.status.phase == "Succeeded"


def test_a_job_that_is_suspended_often_keeps_what_its_policy_counts():
    attempts = [ended(1, "Killed")] + [ended(n, "Suspended", counted=False) for n in range(2, 21)]
    status = running_status(attempt=attempt(21, "pod-21"), attempts=attempts, retriesUsed=1)
    decision = decided(make_job(suspend=True, status=status), seen(make_child(21), pods=(running(21),)))
    assert decision.status is not None
    assert len(decision.status.attempts) == 20
    assert [e.number for e in decision.status.attempts][:2] == [1, 3]
    assert decision.status.attempts[-1].number == 21
