"""What the installed NetworkPolicies mean for a job's pod.

The meaning is computed, because the network plugin of the clusters that these tests run on (kind's stand-in) enforces
none: from inside a job everything can be reached here. Where a plugin does enforce them, jobs get what is said here.
"""

from typing import Any

import pytest

from cluster_jobs import ClusterJobs, awaited, spread
from installed_service import NAME_LABEL, InstalledService
from kubectl import Kubectl
from model_pod import NAMESPACE as MODELS
from network_policies import Endpoint, lets_in, lets_out
from under_test import Model

pytestmark = pytest.mark.cluster

INTERNET = Endpoint("93.184.216.34")
FORBIDDEN = {
    "cloud metadata": Endpoint("169.254.169.254"),
    "Azure's wire server": Endpoint("168.63.129.16"),
    "loopback": Endpoint("127.0.0.1"),
    "a private network": Endpoint("192.168.1.1"),
    "another one": Endpoint("10.20.30.40"),
    "metadata over IPv6": Endpoint("fd00:ec2::254"),
    "link-local over IPv6": Endpoint("fe80::1"),
}


def endpoint(pod: dict[str, Any]) -> Endpoint:
    metadata, spec = pod["metadata"], pod["spec"]
    ports = [port for container in spec["containers"] for port in container.get("ports") or ()]
    named = {port["name"]: port["containerPort"] for port in ports if "name" in port}
    return Endpoint(pod["status"]["podIP"], metadata["namespace"], metadata.get("labels") or {}, named)


def placed(jobs: ClusterJobs, name: str) -> dict[str, Any] | None:
    """Its pod once it has an address, of which the kubelet may tell later than the runner of the job's end."""
    return next((pod for pod in jobs.pods(name) if pod["status"].get("podIP")), None)


@pytest.fixture(scope="module")
def policies(kubectl: Kubectl) -> list[dict[str, Any]]:
    found = kubectl.json("networkpolicies")["items"]
    assert found, "the chart was installed without NetworkPolicies"
    return list(found)


@pytest.fixture(scope="module")
def job(jobs: ClusterJobs, model: Model) -> Any:
    name = jobs.create(spread(model, 40))
    jobs.ended(name)
    yield endpoint(awaited(lambda: placed(jobs, name), timeout=60, what="the kubelet to tell of the job's pod"))
    jobs.remove(name)


def pods(kubectl: Kubectl, namespace: str, selector: str) -> list[Endpoint]:
    found = Kubectl(kubectl.kubeconfig, namespace, kubectl.home).json("pods", "-l", selector)["items"]
    return [endpoint(pod) for pod in found if pod["status"].get("podIP")]


@pytest.mark.parametrize("place", FORBIDDEN)
@pytest.mark.parametrize("port", [53, 80, 443, 6443, 8080])
def test_a_job_is_kept_from(policies: list[Any], job: Endpoint, place: str, port: int) -> None:
    assert not lets_out(policies, job, FORBIDDEN[place], port)


def test_a_job_is_kept_from_all_pods_but_dns(
    policies: list[Any], job: Endpoint, service: InstalledService, kubectl: Kubectl
) -> None:
    own = pods(kubectl, service.namespace, NAME_LABEL)
    system = pods(kubectl, "kube-system", "tier=control-plane")
    assert own
    neighbour = Endpoint("10.244.0.250", service.namespace, job.labels)
    for pod in [*own, neighbour, Endpoint("10.244.3.9", "default", {"app": "anything"})]:
        for port in (80, 443, 8000, 8080, 9090, 10250, *pod.ports.values()):
            assert not lets_out(policies, job, pod, port), (pod, port)
    for pod in system:
        assert not lets_out(policies, job, pod, 2379), "etcd"
        assert not lets_out(policies, job, pod, 10250), "the kubelet"


def test_a_job_reaches_names_the_api_server_and_the_internet(
    policies: list[Any], job: Endpoint, kubectl: Kubectl
) -> None:
    dns = pods(kubectl, "kube-system", "k8s-app=kube-dns")
    assert dns
    assert all(lets_out(policies, job, pod, 53, protocol) for pod in dns for protocol in ("UDP", "TCP"))
    slices = Kubectl(kubectl.kubeconfig, "default", kubectl.home).json("endpointslices", "kubernetes")
    (port,) = slices["ports"]
    servers = [address for each in slices["endpoints"] for address in each["addresses"]]
    assert all(lets_out(policies, job, Endpoint(address), port["port"]) for address in servers)
    assert not any(lets_out(policies, job, Endpoint(address), 22) for address in servers)
    assert lets_out(policies, job, INTERNET, 443)


def test_a_model_server_in_the_cluster_is_reached_where_it_is_listed(
    policies: list[Any], job: Endpoint, kubectl: Kubectl
) -> None:
    """As the values of this installation list the tests' own."""
    (server, *_) = pods(kubectl, MODELS, "app=scripted-model")
    assert lets_out(policies, job, server, 8911)
    assert not lets_out(policies, job, Endpoint("10.244.3.9", "default", {"app": "scripted-model"}), 8911)


def test_nobody_reaches_a_job(policies: list[Any], job: Endpoint, service: InstalledService) -> None:
    for source in (INTERNET, Endpoint("10.244.0.250", service.namespace, job.labels), FORBIDDEN["a private network"]):
        for port in (80, 443, 8000, 22):
            assert not lets_in(policies, source, job, port)
