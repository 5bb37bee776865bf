"""Pods and Events as kubelets, schedulers and controllers really write them, and what is read from them."""

from typing import Any

import pytest

from dspy_service_core.kube.resources import EVENTS
from dspy_service_operator.decide.observed import AttemptPod, read_pod
from dspy_service_operator.reconcile.observe import Observer
from dspy_service_operator.watch.view import ClusterView
from operator_objects import make_child, make_pod
from simulated_cluster import Clock, SimulatedApi

UID = "pod-1"
CRASHES = {
    "name": "reporter",
    "started": False,
    "restartCount": 3,
    "state": {
        "waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container=reporter"}
    },
    "lastState": {"terminated": {"reason": "Error", "exitCode": 1, "message": "StoreError: no bucket 'dspy'\n"}},
}


def pod(**status: Any) -> AttemptPod:
    labels = {"dspy-service.io/job": "tickets", "dspy-service.io/attempt": "1"}
    metadata = {"name": "tickets-1-x", "namespace": "default", "uid": UID, "labels": labels}
    found = read_pod({"metadata": metadata, "status": status})
    assert found is not None
    return found


def test_a_container_that_crashes_again_and_again_says_its_own_last_words() -> None:
    reporter = pod(phase="Pending", initContainerStatuses=[CRASHES]).reporter
    assert reporter is not None
    assert (reporter.phase, reporter.reason) == ("waiting", "CrashLoopBackOff")
    assert reporter.message == "back-off 40s restarting failed container=reporter: StoreError: no bucket 'dspy'"


def test_an_eviction_is_announced_before_the_pod_has_ended() -> None:
    announced = {
        "type": "DisruptionTarget",
        "status": "True",
        "reason": "EvictionByEvictionAPI",
        "message": "Eviction API: evicting",
    }
    assert pod(phase="Running", conditions=[announced]).disruption == "EvictionByEvictionAPI: Eviction API: evicting"


@pytest.mark.parametrize(
    ("condition", "unschedulable", "scheduled"),
    [
        ({"status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}, "0/1 nodes", False),
        ({"status": "False", "reason": "SchedulingGated", "message": "gated"}, "", False),
        ({"status": "True"}, "", True),
    ],
)
def test_where_a_pod_stands_with_the_scheduler(condition: dict[str, str], unschedulable: str, scheduled: bool) -> None:
    told = {"type": "PodScheduled", "lastTransitionTime": "2026-01-02T12:00:00Z", **condition}
    found = pod(phase="Pending", conditions=[told])
    assert (found.unschedulable, found.scheduled_at is not None) == (unschedulable, scheduled)


def event(message: str, kind: str, uid: str = UID, **times: Any) -> dict[str, Any]:
    name = f"tickets.{abs(hash((message, str(times)))):x}"
    return {"metadata": {"name": name}, "involvedObject": {"uid": uid}, "type": kind, "message": message, **times}


NO_NODE = event("0/1 nodes are available", "Warning", eventTime="2026-01-02T12:00:00.123456Z")
NO_NODE_AGAIN = NO_NODE | {"series": {"count": 5, "lastObservedTime": "2026-01-02T12:03:00.654321Z"}}
NO_VOLUME = event('configmap "rows" not found', "Warning", lastTimestamp="2026-01-02T12:02:00Z", count=4)
PULLING = event('Pulling image "x"', "Normal", lastTimestamp="2026-01-02T12:02:30Z")
SCHEDULED = event("Successfully assigned", "Normal", eventTime="2026-01-02T12:02:00.900000Z")
NO_QUOTA = event("forbidden: exceeded quota: q", "Warning", uid="child-1", lastTimestamp="2026-01-02T12:00:00Z")


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([], ""),
        ([NO_VOLUME], 'configmap "rows" not found'),
        ([NO_VOLUME, SCHEDULED], 'configmap "rows" not found'),
        ([NO_NODE, SCHEDULED], ""),
        ([NO_VOLUME, PULLING], ""),
        ([NO_VOLUME, NO_NODE_AGAIN], "0/1 nodes are available"),
    ],
)
async def test_a_warning_counts_until_something_else_follows(events: list[dict[str, Any]], words: str) -> None:
    assert await said(events, make_pod()) == words


async def test_without_a_pod_the_jobs_own_events_speak() -> None:
    assert await said([NO_QUOTA], None) == "forbidden: exceeded quota: q"


async def said(events: list[dict[str, Any]], found: AttemptPod | None) -> str:
    api = SimulatedApi(Clock())
    for each in events:
        api.add(EVENTS, each)
    return await Observer(api.client, ClusterView()).words("default", make_child(), found)
