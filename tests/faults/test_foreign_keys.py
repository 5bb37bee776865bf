"""One job's key is never another's: neither what the API keeps for a job, nor the service's own, under any label."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from canaries import telling_files, tells
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, PODS, SECRETS
from dspy_service_core.resource import names
from kube_http import KubeHttp, ok
from operator_objects import make_raw
from payloads import payload, rows
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, reached, submit
from whole_service import Service, service

pytestmark = pytest.mark.faults

VICTIMS, SERVICES, OWN = "v1ct1m-0123456789", "s3rv1ce-0123456789", "0wn-0123456789"
TELLING = """
import os, sys, dspy
def metric(gold, pred, trace=None):
    print((str(dspy.settings.lm.kwargs) + str(dict(os.environ)))[::-1], file=sys.stderr)
    return gold.team == pred.team
"""
"""Backwards, which no redaction knows."""
KEYS = [told for key in (VICTIMS, SERVICES) for told in (key, key[::-1])]


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with ScriptedServer(rows(60), label="team", latency=0.05) as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(data_dir=tmp_path_factory.mktemp("keys"), env={"OPENAI_API_KEY": SERVICES}) as started:
        yield started


@pytest.fixture(scope="module")
def cluster(running: Service) -> Iterator[KubeHttp]:
    with KubeHttp(running.kubeconfig) as opened:
        yield opened


@pytest.fixture(scope="module")
def victim(running: Service, model: ScriptedServer) -> str:
    """A job with a key of its own, whose Secret is there for as long as its record."""
    settings = {"name": "openai/scripted", "base_url": model.url, "extra": {"api_key": VICTIMS}}
    job_id = submit(running.http, payload(30, model.url, model_config=settings))
    reached(running.http, job_id, {"running"})
    return job_id


@pytest.mark.parametrize(
    ("field", "secret", "key"),
    [
        ("keyFrom", "job-{victim}-keys", "default"),
        ("credentialsFrom", "job-{victim}-keys", "default"),
        ("keyFrom", names.SERVICE_KEYS_SECRET, "OPENAI_API_KEY"),
        ("credentialsFrom", names.SERVICE_KEYS_SECRET, "OPENAI_API_KEY"),
    ],
)
def test_another_s_key_starts_no_pod(
    running: Service, cluster: KubeHttp, model: ScriptedServer, victim: str, field: str, secret: str, key: str
) -> None:
    secret = secret.format(victim=victim)
    ok(cluster.patch(SECRETS.path("default", secret), {"metadata": {"labels": {names.LABEL_MODEL_KEY: "true"}}}))
    name = f"thief-{field.lower()}-{'a' if victim in secret else 'b'}"
    status = made(cluster, name, model.url, {field: {"name": secret, "key": key}})
    (valid,) = [condition for condition in status["conditions"] if condition["type"] == "Valid"]
    assert (status["phase"], valid["status"]) == ("Failed", "False")
    assert f"spec.models.default.{field}" in valid["message"]
    started = ok(cluster.get(PODS.path("default"), labelSelector=f"{names.LABEL_JOB}={name}"))["items"]
    assert started == []


def test_a_key_of_ones_own_is_used_and_told_by_code_that_would_tell_any(
    running: Service, cluster: KubeHttp, model: ScriptedServer, victim: str
) -> None:
    labels = {names.LABEL_MODEL_KEY: "true"}
    own = {"metadata": {"name": "own", "labels": labels}, "data": {"key": b64encode(OWN.encode()).decode()}}
    ok(cluster.post(SECRETS.path("default"), own))
    status = made(cluster, "honest", model.url, {"keyFrom": {"name": "own", "key": "key"}})
    assert status["phase"] == "Succeeded", status["message"]
    assert model.stats.by_auth[OWN] > 0
    assert OWN[::-1] in running.http.get("/jobs/honest/logs").text
    assert ended(running.http, victim)["status"] == "success"


def test_nobody_s_key_is_told_anywhere(running: Service, victim: str) -> None:
    ended(running.http, victim)
    assert telling_files(running.data_dir, KEYS) == []
    for job in running.http.get("/jobs").json()["jobs"]:
        assert not tells(running.http.get(f"/jobs/{job['job_id']}/logs").content, KEYS), job["job_id"]


def made(cluster: KubeHttp, name: str, url: str, model: dict[str, Any]) -> dict[str, Any]:
    """The status of such a resource, once it has ended."""
    spec = make_raw(
        name,
        models={"default": {"name": "openai/scripted", "baseUrl": url, **model}},
        metric={"code": TELLING},
        signature={"code": SIGNATURE},
        dataset={"rows": rows(20)},
        columns={"inputs": {"text": "text"}, "outputs": {"team": "team"}},
        optimizer={"name": "dspy.BootstrapFewShot"},
        split={"train": "0.5", "val": "0", "test": "0.5"},
    )["spec"]
    path = OPTIMIZATION_JOBS.path("default")
    kind = {"apiVersion": names.API_VERSION, "kind": names.KIND}
    ok(cluster.post(path, {**kind, "metadata": {"name": name}, "spec": spec}))

    def end() -> Any:
        status = ok(cluster.get(f"{path}/{name}")).get("status") or {}
        return status if status.get("phase") in ("Failed", "Succeeded") else None

    found: dict[str, Any] = wait_for(end, timeout=60, what=f"job {name} to end")
    return found


SIGNATURE = """
import dspy

class Ticket(dspy.Signature):
    text: str = dspy.InputField()
    team: str = dspy.OutputField()
"""
