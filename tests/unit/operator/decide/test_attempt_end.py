import pytest

from dspy_service_operator.decide.attempt_end import Context, classify
from dspy_service_operator.decide.observed import ContainerState
from operator_objects import exited, make_child, make_pod

CONTEXT = Context(deadline_seconds=3600, memory="2Gi")
REPORTER_BROKE = ContainerState("terminated", "Error", "cannot write to the store: no space left", exit_code=1)
UNKNOWN = ContainerState("terminated", "ContainerStatusUnknown", exit_code=137, started=True)
DRAIN = "EvictionByEvictionAPI: Eviction API: evicting"

CASES = [
    # the user's own faults: final
    ("exit 1", make_child(), exited(1), "failed", "ProcessEnded", "exit code 1"),
    ("os._exit(0)", make_child(), exited(0, reason="Completed", phase="Succeeded"), "failed", "ProcessEnded", "code 0"),
    ("sys.exit(200)", make_child(), exited(200), "failed", "ProcessEnded", "exit code 200"),
    ("exit 1 while drained", make_child(), exited(1, disruption=DRAIN), "failed", "ProcessEnded", "exit code 1"),
    ("out of memory", make_child(), exited(137, reason="OOMKilled"), "failed", "OutOfMemory", "the limit is 2Gi"),
    (
        "own disk limit",
        make_child(),
        make_pod(phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "out" exceeds the limit "2Gi".'),
        "failed",
        "DiskLimitExceeded",
        'volume "out" exceeds the limit',
    ),
    (
        "own disk limit, announced as a disruption",
        make_child(),
        exited(
            137,
            reason="Error",
            disruption="TerminationByKubelet: evicted",
        ),
        "disrupted",
        "Disrupted",
        "TerminationByKubelet",
    ),
    ("deadline by the Job", make_child(failure="DeadlineExceeded"), None, "failed", "DeadlineExceeded", "3600 s"),
    (
        "deadline by the pod",
        make_child(),
        exited(143, reason="Error"),
        "retry",
        "Killed",
        "SIGTERM",
    ),
    (
        "the image lacks the command",
        make_child(),
        exited(128, reason="StartError", message='exec: "dspy-service-optimizer": executable file not found in $PATH'),
        "failed",
        "CannotStart",
        "executable file not found",
    ),
    (
        "memory for not even a process",
        make_child(),
        exited(128, reason="StartError", message="container init was OOM-killed (memory limit too low?): unknown"),
        "failed",
        "CannotStart",
        "memory limit too low",
    ),
    # the infrastructure's: a retry is used up
    (
        "the runtime failed",
        make_child(),
        exited(128, reason="StartError", message="failed to create shim task: ttrpc: closed"),
        "retry",
        "CannotStart",
        "ttrpc: closed",
    ),
    ("SIGKILL", make_child(), exited(137), "retry", "Killed", "killed by SIGKILL (exit code 137)"),
    ("SIGSEGV by field", make_child(), exited(139, signal=11), "retry", "Killed", "SIGSEGV"),
    ("an unnamed signal", make_child(), exited(128 + 63), "retry", "Killed", "signal 63"),
    ("no data in time", make_child(), exited(64), "retry", "NotReady", "did not reach"),
    (
        "report lost",
        make_child(),
        exited(0, reason="Completed", reporter=REPORTER_BROKE),
        "retry",
        "ReportLost",
        "no space left",
    ),
    (
        "unknown to the node",
        make_child(),
        make_pod(phase="Failed", optimizer=UNKNOWN),
        "retry",
        "PodLost",
        "not say how",
    ),
    ("Job deleted", None, None, "retry", "JobDeleted", "Job was deleted"),
    ("pod gone", make_child(failure="BackoffLimitExceeded"), None, "retry", "PodLost", "is gone"),
    # disruptions: free
    ("drained", make_child(), exited(143, disruption=DRAIN), "disrupted", "Disrupted", "evicting"),
    ("drained before it could say", make_child(), exited(64, disruption=DRAIN), "disrupted", "Disrupted", "evicting"),
    (
        "the node ran full",
        make_child(),
        make_pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory."),
        "disrupted",
        "Evicted",
        "low on resource",
    ),
    (
        "refused by the kubelet",
        make_child(),
        make_pod(phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource: cpu"),
        "disrupted",
        "OutOfcpu",
        "enough resource",
    ),
    ("preempted by Kueue", make_child(suspended=True), None, "disrupted", "Preempted", "Kueue"),
]


@pytest.mark.parametrize(
    ("child", "pod", "verdict", "reason", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_an_attempt_without_a_result_is_judged_by_how_it_ended(child, pod, verdict, reason, words):
    end = classify(child, pod, CONTEXT)
    assert (end.verdict, end.reason) == (verdict, reason)
    assert words in end.message


def test_the_pods_own_word_of_a_deadline_counts():
    pod = make_pod(phase="Failed", reason="DeadlineExceeded")
    assert classify(make_child(), pod, CONTEXT).message == "deadline of 3600 s exceeded"


def test_the_reporters_own_words_come_first():
    context = Context(3600, "2Gi", said="cannot read 'payload.json': access denied")
    assert classify(make_child(), exited(64), context).message.endswith("access denied")


def test_of_a_reporters_log_the_end_counts():
    log = "".join(f"2026-01-02 12:00:{n:02} WARNING the API server does not answer; trying again\n" for n in range(30))
    reporter = ContainerState("terminated", "Error", f"{log}2026-01-02 12:01:00 ERROR given up\n", exit_code=1)
    message = classify(make_child(), exited(0, reason="Completed", reporter=reporter), CONTEXT).message
    assert message.count("does not answer") == 1
    assert message.endswith("ERROR given up")


def test_a_deadline_that_was_spent_waiting_says_for_what():
    context = Context(40, "2Gi", said="the store answers 403")
    assert classify(make_child(failure="DeadlineExceeded"), None, context).message == (
        "deadline of 40 s exceeded: the store answers 403"
    )


def test_a_deleted_pod_says_so():
    pod = exited(143, deleted_at=make_pod().created_at)
    assert classify(make_child(), pod, CONTEXT).message.startswith("the pod was deleted: killed by SIGTERM")
