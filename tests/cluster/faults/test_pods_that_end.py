"""Pods that are taken away while they run: another attempt goes on, and what was answered is not asked again.

An announced disruption (eviction, drain, preemption, a lost node) uses up no retry; what nobody announced does; what
the user's own code does to itself is final.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cluster_jobs import ENDS, ClusterJobs, Object, awaited, metric, spread
from dspy_service_core.kube.resources import PODS
from kube_http import KubeHttp, ok
from kubectl import Kubectl
from nodes import Node
from under_test import Model
from waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

LATENCY = 0.25
CALLS = 224
"""A quarter of the some 130 that come of it takes longer than a flush, and the rest half a minute: time to break it."""
FLUSH_SECONDS = 5
"""`flush_interval_seconds` of the operator: how old what the store lacks may be."""
LOST_AT_MOST = int(FLUSH_SECONDS / LATENCY) + 2
"""Answered calls of one thread that the last flush was before, the one in flight, and one that came meanwhile."""


@pytest.fixture
def slow(model: Model) -> Iterator[Model]:
    model.reset()
    model.latency = LATENCY
    yield model
    model.latency = 0.0


@pytest.fixture(scope="module")
def undisturbed(jobs: ClusterJobs, model: Model) -> int:
    return jobs.undisturbed_calls(model, CALLS)


def under_way(jobs: ClusterJobs, model: Model, name: str, undisturbed: int) -> Object:
    """The pod, when a quarter of the calls is answered: some eight seconds, more than one flush."""
    pod = jobs.runs(name)
    wait_for(lambda: model.stats.calls >= undisturbed // 4, timeout=180, interval=0.2, what="a quarter of the calls")
    return pod


def given_up(jobs: ClusterJobs, name: str, timeout: float = 240) -> Object:
    """The entry of the first attempt that does not make it."""

    def entry() -> Object | None:
        status = jobs.status(name)
        entries: list[Object] = status.get("attempts", [])
        assert entries or status.get("phase") not in ENDS, status
        return entries[0] if entries else None

    return awaited(entry, timeout, f"an attempt of {name} to be given up")


def ends_well(
    jobs: ClusterJobs, model: Model, name: str, undisturbed: int, *, lost: int, counted: bool, timeout: float = 300
) -> Object:
    """The entry of the one attempt that did not make it. What the next one still has to ask is answered at once."""
    given_up(jobs, name, timeout)
    model.latency = 0.0
    ended = jobs.ended(name, timeout=timeout)
    assert ended["phase"] == "Succeeded", ended["message"]
    (entry,) = ended["attempts"]
    assert (entry["counted"], ended.get("retriesUsed", 0)) == (counted, int(counted)), entry
    assert model.stats.calls <= undisturbed + lost, entry
    return dict(entry)


OWN_FAULTS: dict[str, tuple[str, Object]] = {
    "memory": (
        "import os\nheld = bytearray(os.urandom(1 << 20)) * 4000",
        {"resources": {"limits": {"memory": "700Mi"}}, "retries": 2},
    ),
    "disk": (  # the kubelet adds a volume up once a minute, which the metric waits for
        "import time\nfor n in range(1500):\n    open(f'/tmp/{n}', 'wb').write(bytes(1 << 20))\ntime.sleep(180)",
        {"retries": 2},
    ),
    "its own end": ("import os\nos._exit(7)", {}),
    "the deadline": ("import time\ntime.sleep(3600)", {"deadlineSeconds": 25}),
}
"""What the job's metric does, and the fields of `spec.run`."""


@pytest.fixture(scope="module")
def own_faults(jobs: ClusterJobs, model: Model) -> Iterator[dict[str, str]]:
    """Submitted at once, so that they are waited for together. Once three have ended, the fourth only waits for the
    kubelet, while other tests count model calls."""
    made = {
        what: jobs.create(spread(model, 40, metric=metric(code), run=run)) for what, (code, run) in OWN_FAULTS.items()
    }
    yield made
    for name in made.values():
        jobs.remove(name)


def test_too_much_memory_is_the_jobs_own_fault(jobs: ClusterJobs, own_faults: dict[str, str]) -> None:
    ended = jobs.ended(name := own_faults["memory"])
    assert (ended["phase"], jobs.conditions(name)["Failed"]["reason"]) == ("Failed", "OutOfMemory"), ended
    assert "700Mi" in ended["message"]
    assert (ended.get("retriesUsed", 0), ended["attempt"]["number"]) == (0, 1)


def test_a_process_that_ends_itself_is_not_tried_again(jobs: ClusterJobs, own_faults: dict[str, str]) -> None:
    ended = jobs.ended(name := own_faults["its own end"])
    assert (ended["phase"], jobs.conditions(name)["Failed"]["reason"]) == ("Failed", "ProcessEnded")
    assert "exit code 7" in ended["message"]
    assert ended["attempt"]["number"] == 1


def test_the_deadline_counts_on_a_real_cluster_too(jobs: ClusterJobs, own_faults: dict[str, str]) -> None:
    ended = jobs.ended(own_faults["the deadline"])
    assert (ended["phase"], ended["message"]) == ("Failed", "deadline of 25 s exceeded")


def test_an_evicted_pod(
    jobs: ClusterJobs, api: KubeHttp, slow: Model, undisturbed: int, submitted: Callable[..., str]
) -> None:
    name = submitted(spread(slow, CALLS))
    pod = under_way(jobs, slow, name, undisturbed)["metadata"]["name"]
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": jobs.namespace}}
    ok(api.post(PODS.path(jobs.namespace, pod, "eviction"), eviction))
    entry = ends_well(jobs, slow, name, undisturbed, lost=2, counted=False)
    assert "EvictionByEvictionAPI" in entry["message"]


def test_a_drained_node(
    jobs: ClusterJobs, kubectl: Kubectl, slow: Model, undisturbed: int, submitted: Callable[..., str]
) -> None:
    name = submitted(spread(slow, CALLS))
    node = under_way(jobs, slow, name, undisturbed)["spec"]["nodeName"]
    only = f"--pod-selector=dspy-service.io/job={name}"
    try:
        kubectl.run("drain", node, only, "--delete-emptydir-data", "--ignore-daemonsets", "--timeout=90s", timeout=100)
    finally:
        kubectl.run("uncordon", node)
    entry = ends_well(jobs, slow, name, undisturbed, lost=2, counted=False)
    assert "Eviction" in entry["message"]


def test_a_deleted_pod(
    jobs: ClusterJobs, kubectl: Kubectl, slow: Model, undisturbed: int, submitted: Callable[..., str]
) -> None:
    name = submitted(spread(slow, CALLS))
    kubectl.run("delete", "pod", under_way(jobs, slow, name, undisturbed)["metadata"]["name"])
    entry = ends_well(jobs, slow, name, undisturbed, lost=2, counted=True)
    assert "deleted" in entry["message"] or "is gone" in entry["message"]


def test_a_deleted_job(
    jobs: ClusterJobs, kubectl: Kubectl, slow: Model, undisturbed: int, submitted: Callable[..., str]
) -> None:
    name = submitted(spread(slow, CALLS))
    under_way(jobs, slow, name, undisturbed)
    kubectl.run("delete", "job", jobs.attempts(name)[0]["metadata"]["name"])
    ends_well(jobs, slow, name, undisturbed, lost=2, counted=True)


@pytest.mark.parametrize("part", ["optimizer", "reporter"])
def test_a_process_that_is_killed_from_outside(
    jobs: ClusterJobs,
    node_of: Callable[[Object], Node],
    slow: Model,
    undisturbed: int,
    submitted: Callable[..., str],
    part: str,
) -> None:
    name = submitted(spread(slow, CALLS))
    pod = under_way(jobs, slow, name, undisturbed)
    node_of(pod).kill(pod["metadata"]["uid"], f"dspy-service-{part}")
    if part == "reporter":  # the kubelet starts a sidecar again in its pod, where all that it needs still lies
        ended = jobs.ended(name)
        assert (ended["phase"], ended.get("attempts", [])) == ("Succeeded", []), ended
        assert slow.stats.calls <= undisturbed
    else:
        entry = ends_well(jobs, slow, name, undisturbed, lost=2, counted=True)
        assert "SIGKILL" in entry["message"]


def test_too_much_disk_is_the_jobs_own_fault(jobs: ClusterJobs, own_faults: dict[str, str]) -> None:
    ended = jobs.ended(own_faults["disk"], timeout=420)
    assert ended["phase"] == "Failed", ended
    assert ended.get("retriesUsed", 0) == 0
    assert "tmp" in ended["message"] or "File too large" in ended["message"], ended["message"]
    assert ended["attempt"]["number"] == 1


def test_a_preempted_pod(
    jobs: ClusterJobs, kubectl: Kubectl, slow: Model, undisturbed: int, submitted: Callable[..., str]
) -> None:
    name = submitted(spread(slow, CALLS))
    node = under_way(jobs, slow, name, undisturbed)["spec"]["nodeName"]
    with preemptor(kubectl, node):
        said = jobs.says(name, "Unschedulable", timeout=120)
        assert "Insufficient cpu" in said
    entry = ends_well(jobs, slow, name, undisturbed, lost=2, counted=False)
    assert "Preemption" in entry["message"]


@contextmanager
def preemptor(kubectl: Kubectl, node: str) -> Iterator[None]:
    """A pod that fits on the node only when a job's pod has left it."""
    high = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "value": 1000}
    kubectl.apply(high | {"metadata": {"name": "dspy-service-tests-high"}})
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "main",
        "image": "registry.k8s.io/pause:3.10",
        "resources": {"requests": {"cpu": f"{free_millicores(kubectl, node) + 50}m"}},
        "securityContext": security,
    }
    spec = {
        "nodeName": "",
        "nodeSelector": {"kubernetes.io/hostname": node},
        "priorityClassName": "dspy-service-tests-high",
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    kubectl.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "preemptor"}, "spec": spec})
    try:
        kubectl.run("wait", "--for=condition=Ready", "pod/preemptor", "--timeout=90s", timeout=100)
        yield
    finally:
        kubectl.run("delete", "pod", "preemptor", "--grace-period=1")


def free_millicores(kubectl: Kubectl, node: str) -> int:
    allocatable = millicores(kubectl.json("node", node)["status"]["allocatable"]["cpu"])
    pods = kubectl.json("pods", "--all-namespaces", "--field-selector", f"spec.nodeName={node}")["items"]
    live = [pod for pod in pods if pod["status"]["phase"] in ("Running", "Pending")]
    return allocatable - sum(requested(pod["spec"]) for pod in live)


def requested(spec: Object) -> int:
    """As the scheduler adds it up: sidecars stay."""
    sidecars = [c for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"]
    return sum(
        millicores(container.get("resources", {}).get("requests", {}).get("cpu", "0"))
        for container in (*spec["containers"], *sidecars)
    )


def millicores(quantity: str) -> int:
    return int(quantity[:-1]) if quantity.endswith("m") else int(float(quantity) * 1000)


@contextmanager
def one_of_many(kubectl: Kubectl, node: Node) -> Iterator[None]:
    """Not counted among the nodes: where every node is silent, the node controller blames itself and gives up none.

    `handleDisruption` of Kubernetes' node lifecycle controller; which of its loops comes first is chance.
    """
    label = "node.kubernetes.io/exclude-disruption"
    kubectl.run("label", "node", node.name, f"{label}=")
    try:
        yield
    finally:
        kubectl.run("label", "node", node.name, f"{label}-")


def test_a_lost_node_costs_at_most_the_last_flush(
    jobs: ClusterJobs,
    kubectl: Kubectl,
    node_of: Callable[[Object], Node],
    slow: Model,
    undisturbed: int,
    submitted: Callable[..., str],
) -> None:
    """Its kubelet is silent and its processes die at once, so that nothing is drained."""
    name = submitted(spread(slow, CALLS))
    pod = under_way(jobs, slow, name, undisturbed)
    node = node_of(pod)
    with one_of_many(kubectl, node), node.without_kubelet():
        node.kill(pod["metadata"]["uid"], "dspy-service-reporter", "dspy-service-optimizer")
        assert "TaintManager" in given_up(jobs, name)["message"]
    ends_well(jobs, slow, name, undisturbed, lost=LOST_AT_MOST, counted=False)
