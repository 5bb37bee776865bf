"""What an evicted attempt is said to have ended of, for each kind that a kubelet or the embedded node has words for."""

import pytest
from hypothesis import given, strategies as st

from dspy_service_operator.decide.attempt_end import Context, classify
from dspy_service_operator.decide.evictions import MOST_QUOTED, eviction_of
from operator_objects import make_child, make_pod

CONTEXT = Context(deadline_seconds=3600, memory="2Gi")
LOW = "The node was low on resource: {}. Threshold quantity: 100Mi, available: 55060Ki. "
CONSUMER = "Container optimizer was using 3Gi, request is 1Gi, has larger consumption of {}. "
NODE_CONDITION = "TerminationByKubelet: "

CASES = [
    # the pod's own limits: final
    ('Usage of EmptyDir volume "out" exceeds the limit "2Gi". ', "failed", "DiskLimitExceeded", "wrote to disk"),
    (
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
        "failed",
        "DiskLimitExceeded",
        "wrote to disk",
    ),
    (
        'Container optimizer exceeded its local ephemeral storage limit "1Gi". ',
        "failed",
        "DiskLimitExceeded",
        "wrote to disk",
    ),
    (
        'Container optimizer had 517 processes, which exceeds the limit "512". ',
        "failed",
        "ProcessLimitExceeded",
        "evicted for the number of its processes: Container optimizer had 517",
    ),
    # the node's: another attempt
    (LOW.format("memory") + CONSUMER.format("memory"), "disrupted", "Evicted", "ran short of memory: "),
    (
        LOW.format("ephemeral-storage") + CONSUMER.format("ephemeral-storage"),
        "disrupted",
        "Evicted",
        "ran short of disk space: ",
    ),
    (LOW.format("inodes"), "disrupted", "Evicted", "ran short of inodes"),
    (LOW.format("pids"), "disrupted", "Evicted", "ran short of process ids: "),
    ("The node was low on resource: [PIDPressure]. ", "disrupted", "Evicted", "[PIDPressure]"),
    ("The node was low on resource: example.com/gpu-memory. ", "disrupted", "Evicted", "of example.com/gpu-memory: "),
    ("The node had condition: [DiskPressure]. ", "disrupted", "Evicted", "ran short of disk space: "),
    ("The node had condition: [PIDPressure]. ", "disrupted", "Evicted", "ran short of process ids: "),
    ("The node had condition: [MemoryPressure, DiskPressure]. ", "disrupted", "Evicted", "ran short of memory: "),
    # of no kind that is known
    ("Pod swap usage exceeds the limit of 1Gi. ", "failed", "Evicted", 'the node says: "Pod swap usage exceeds the'),
    ("The operator of this node wanted it. ", "disrupted", "Evicted", 'the node says: "The operator of this node'),
    ("", "disrupted", "Evicted", "does not say for what"),
]
IDS = [message[:50] or "nothing" for message, *_ in CASES]


@pytest.mark.parametrize(("message", "verdict", "reason", "words"), CASES, ids=IDS)
@pytest.mark.parametrize("announced", [False, True])
def test_an_eviction_says_what_it_was(message: str, verdict: str, reason: str, words: str, announced: bool) -> None:
    disruption = NODE_CONDITION + message if announced and verdict == "disrupted" else ""
    pod = make_pod(phase="Failed", reason="Evicted", message=message, disruption=disruption)
    end = classify(make_child(), pod, CONTEXT)
    assert (end.verdict, end.reason) == (verdict, reason)
    assert words in end.message
    assert ("disk" in end.message) == ("disk" in words)
    assert message.strip() in end.message


@given(st.text(max_size=50), st.text(max_size=2 * MOST_QUOTED))
def test_no_words_of_a_node_reach_a_terminal_as_they_are(short: str, long: str) -> None:
    for message in (
        short,
        long,
        f"The node was low on resource: {short}",
        f"x exceeded the limit {long}",
        LOW.format("a" * 9999),
    ):
        said = eviction_of(message).message
        assert len(said) < 2 * MOST_QUOTED + 100
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in said)
