"""Credentials of the store that are wrong: the job says so while it waits, and when its time is over."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from cluster_jobs import ClusterJobs, spread
from installed_service import InstalledService
from kubectl import Kubectl
from under_test import Model
from waiting import wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def secret(service: InstalledService, kubectl: Kubectl) -> str:
    variables = kubectl.json(service.part("operator"))["spec"]["template"]["spec"]["containers"][0]["env"]
    named = [entry["value"] for entry in variables if entry["name"] == "DSPY_SERVICE_STORE_SECRET"]
    if not named:
        pytest.skip("the store of this installation takes no credentials")
    return str(named[0])


@contextmanager
def wrong(kubectl: Kubectl, secret: str) -> Iterator[None]:
    """For pods that start meanwhile; API and operator hold the right ones already."""
    right = kubectl.json("secret", secret)["data"]
    patch = '{"stringData": {"AWS_SECRET_ACCESS_KEY": "not-the-key"}}'
    kubectl.run("patch", "secret", secret, "--type=merge", "-p", patch)
    try:
        yield
    finally:
        kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "data": right})


def test_a_wrong_key_is_said(
    jobs: ClusterJobs, model: Model, kubectl: Kubectl, secret: str, submitted: Callable[..., str]
) -> None:
    with wrong(kubectl, secret):
        name = submitted(spread(model, 40, run={"deadlineSeconds": 45}))
        said = wait_for(lambda: refused(jobs, name), timeout=60, interval=0.5, what="the reporter to tell of it")
        ended = jobs.ended(name)
    assert ended["phase"] == "Failed"
    assert ended["message"].startswith("deadline of 45 s exceeded: "), (said, ended["message"])
    assert "403" in ended["message"] or "denied" in ended["message"].lower()
    assert jobs.ended(submitted(spread(model, 40)))["phase"] == "Succeeded"


def refused(jobs: ClusterJobs, name: str) -> str:
    message = str((jobs.status(name).get("run") or {}).get("message") or "")
    return message if "trying again" in message else ""
