"""Pods that cannot be made or started: the resource says why in the cluster's own words, and in the end gives up.

Nothing of it uses up a retry: the kubelet, the scheduler and the Job controller try again by themselves.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from cluster_jobs import ClusterJobs, awaited, spread
from dspy_service_core.resource import names
from installed_service import InstalledService
from kubectl import Kubectl
from under_test import Model
from unique import unique
from waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


LINES = "\n".join(f'{{"text": "t{n}", "team": "app"}}' for n in range(20))


@contextmanager
def there(kubectl: Kubectl, kind: str, name: str, **fields: Any) -> Iterator[None]:
    kubectl.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields})
    try:
        yield
    finally:
        kubectl.run("delete", kind.lower(), name, "--ignore-not-found")


@contextmanager
def quota(kubectl: Kubectl, **hard: str) -> Iterator[None]:
    """Admission goes by the quota's status, which its controller fills."""
    limits = {name.replace("__", "/").replace("_", "."): value for name, value in hard.items()}

    def in_force() -> bool:
        return (kubectl.json("resourcequota", "tests").get("status") or {}).get("hard") == limits

    with there(kubectl, "ResourceQuota", "tests", spec={"hard": limits}):
        wait_for(in_force, timeout=60, interval=0.2, what="the quota to be in force")
        yield


def key_secret(name: str) -> dict[str, Any]:
    labels = {names.LABEL_MODEL_KEY: "true"}
    metadata = {"name": name, "labels": labels}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": "k"}}


def with_key(model: Model, secret: str) -> dict[str, Any]:
    key = {"name": secret, "key": "key"}
    return {"default": {"name": "openai/scripted", "baseUrl": model.url, "keyFrom": key}}


WITHOUT_A_CHANCE: dict[str, dict[str, Any]] = {
    "an image of no registry": {"image": "registry.invalid/nowhere:1"},
    "no name of an image": {"image": "no such image"},
    "an image without a runner": {"image": "registry.k8s.io/pause:3.10"},
    "no node has room": {"resources": {"requests": {"cpu": "1000"}}},
}


@pytest.fixture(scope="module")
def hopeless(jobs: ClusterJobs, model: Model) -> Iterator[dict[str, str]]:
    """Submitted at once, so that the operator loses its patience with all of them in the same half minute."""
    made = {what: jobs.create(spread(model, 40, run=run)) for what, run in WITHOUT_A_CHANCE.items()}
    yield made
    for name in made.values():
        jobs.remove(name)


def test_no_node_has_room(jobs: ClusterJobs, hopeless: dict[str, str]) -> None:
    name = hopeless["no node has room"]
    assert "Insufficient cpu" in jobs.says(name, "Unschedulable")
    ended = jobs.ended(name)
    assert ended["phase"] == "Failed"
    assert "Insufficient cpu" in ended["message"]
    awaited(lambda: told(jobs, name, "Unschedulable"), timeout=30, what="the Event of it")  # they follow the status


def told(jobs: ClusterJobs, name: str, reason: str) -> bool:
    return any(event["reason"] == reason for event in jobs.events(name))


@pytest.mark.parametrize(
    ("what", "reason", "words"),
    [
        ("an image of no registry", "ImagePullBackOff", "registry.invalid/nowhere:1"),
        ("no name of an image", "InvalidImageName", "no such image"),
        ("an image without a runner", "CannotStart", "dspy-service-optimizer"),
    ],
)
def test_an_image_that_does_not_do(
    jobs: ClusterJobs, hopeless: dict[str, str], what: str, reason: str, words: str
) -> None:
    ended = jobs.ended(name := hopeless[what])
    assert (ended["phase"], jobs.conditions(name)["Failed"]["reason"]) == ("Failed", reason), ended["message"]
    assert words in ended["message"]
    assert (ended.get("retriesUsed", 0), ended["attempt"]["number"]) == (0, 1)


def test_a_quota_of_jobs_is_waited_for(jobs: ClusterJobs, model: Model, kubectl: Kubectl, submitted: Any) -> None:
    with quota(kubectl, count__jobs_batch="0"):
        name = submitted(spread(model, 40))
        assert "exceeded quota: tests" in jobs.says(name, "WaitingForQuota")
    ended = jobs.ended(name)
    assert (ended["phase"], ended.get("retriesUsed", 0)) == ("Succeeded", 0), ended["message"]


def test_a_claim_that_is_not_bound(
    service: InstalledService, jobs: ClusterJobs, model: Model, kubectl: Kubectl, submitted: Any
) -> None:
    variables = kubectl.json(service.part("operator"))["spec"]["template"]["spec"]["containers"][0]["env"]
    url = next(entry["value"] for entry in variables if entry["name"] == "DSPY_SERVICE_STORE_URL")
    if not url.startswith("file:"):
        pytest.skip(f"the store of this installation is no claim: {url}")
    wanted = {
        "storageClassName": "none-such",
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}},
    }
    with (
        there(kubectl, "PersistentVolumeClaim", "unbound", spec=wanted),
        service.settings("operator", DSPY_SERVICE_STORE_CLAIM="unbound"),
    ):
        name = submitted(spread(model, 40))
        jobs.says(name, "Unschedulable", timeout=150)
        ended = jobs.ended(name)
    assert ended["phase"] == "Failed"
    assert "unbound" in ended["message"]
    assert "PersistentVolumeClaim" in ended["message"]


def test_a_secret_that_is_deleted_before_the_first_attempt(
    jobs: ClusterJobs, model: Model, kubectl: Kubectl, submitted: Any
) -> None:
    secret = unique("key")
    name = submitted(spread(model, 40, models=with_key(model, secret)))
    assert f"there is no Secret '{secret}'" in jobs.says(name, "SecretNotFound")
    kubectl.apply(key_secret(secret))
    try:
        assert jobs.ended(name)["phase"] == "Succeeded"
    finally:
        kubectl.run("delete", "secret", secret)


def test_a_quota_of_pods_is_waited_for_and_what_is_deleted_meanwhile_is_missed(
    jobs: ClusterJobs, model: Model, kubectl: Kubectl, submitted: Any
) -> None:
    """Three jobs under one quota. A Secret that comes back is enough; a ConfigMap that does not ends its job."""
    secret, rows = unique("key"), unique("rows")
    kubectl.apply(key_secret(secret))
    with there(kubectl, "ConfigMap", rows, data={"rows.jsonl": LINES}), quota(kubectl, pods="0"):
        plain = submitted(spread(model, 40))
        keyed = submitted(spread(model, 40, models=with_key(model, secret)))
        mapped = submitted(spread(model, 40, dataset={"configMapKeyRef": {"name": rows, "key": "rows.jsonl"}}))
        for name in (plain, keyed, mapped):
            assert "exceeded quota: tests" in jobs.says(name, "WaitingForQuota")
        kubectl.run("delete", "secret", secret)
        kubectl.run("delete", "configmap", rows)
    assert f'secret "{secret}" not found' in jobs.says(keyed, "CreateContainerConfigError", timeout=120)
    kubectl.apply(key_secret(secret))
    assert rows in jobs.says(mapped, "PodNotStarted")
    try:
        for name in (plain, keyed):
            ended = jobs.ended(name)
            assert (ended["phase"], ended.get("retriesUsed", 0)) == ("Succeeded", 0), ended["message"]
    finally:
        kubectl.run("delete", "secret", secret)
    ended = jobs.ended(mapped)
    assert ended["phase"] == "Failed"
    assert f'configmap "{rows}" not found' in ended["message"]
