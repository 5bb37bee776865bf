"""Where a job's model is asked: with the user part of a URL as a header, and only at hosts that the service allows."""

from base64 import b64encode
from typing import Any

import orjson
import pytest

from dspy_service_core.kube.config import from_kubeconfig
from kube_http import KubeHttp, ok
from operator_objects import make_raw
from payloads import payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, submit
from whole_service import Service, service

pytestmark = pytest.mark.e2e

JOBS = "/apis/dspy-service.io/v1alpha1/namespaces/default/optimizationjobs"
ELSEWHERE = "http://models.elsewhere.example/v1"


def test_a_user_part_reaches_the_model_as_basic_authorization(running: Service, model: ScriptedServer) -> None:
    url = model.url.replace("http://", "http://team:pass%20word-4711@")
    settings = {"name": "openai/scripted", "base_url": url}

    answer = ended(running.http, job_id := submit(running.http, payload(12, model.url, model_config=settings)))

    assert answer["status"] == "success", answer["message"]
    assert model.stats.by_auth[f"Basic {b64encode(b'team:pass word-4711').decode()}"] > 0
    with KubeHttp(running.kubeconfig) as kube:
        resource = ok(kube.get(f"{JOBS}/job-{job_id}"))
    assert resource["spec"]["models"]["default"]["baseUrl"] == model.url
    assert "4711" not in orjson.dumps([resource, answer]).decode()


def test_other_hosts_are_refused_to_clients_and_to_kubectl_alike(model: ScriptedServer) -> None:
    with service(env={"DSPY_SERVICE_ALLOWED_BASE_URL_HOSTS": "127.0.0.1, *.example.org"}) as running:
        foreign = payload(12, model.url, model_config={"name": "openai/scripted", "base_url": ELSEWHERE})
        refused = running.http.post("/run", content=foreign)
        assert (refused.status_code, refused.json()["detail"]) == (
            400,
            f"model_config.base_url: this service asks no models at '{ELSEWHERE}'. "
            "Allowed hosts: 127.0.0.1, *.example.org.",
        )
        assert running.http.get("/jobs").json()["jobs"] == []
        status = _made_with_kubectl(running, {"default": {"name": "openai/scripted", "baseUrl": ELSEWHERE}})
        assert status["phase"] == "Failed"
        assert "spec.models.default.baseUrl: this service asks no models at" in status["message"]
        (valid,) = [entry for entry in status["conditions"] if entry["type"] == "Valid"]
        assert (valid["status"], valid["message"]) == ("False", status["message"])
        assert ended(running.http, submit(running.http, payload(12, model.url)))["status"] == "success"


def test_the_service_itself_is_nobodys_model(model: ScriptedServer) -> None:
    with service() as running:
        ports = {running.http.base_url.port, _cluster_port(running)}
        for port in ports:
            itself = f"http://127.0.0.1:{port}/v1"
            body = payload(12, model.url, model_config={"name": "openai/scripted", "base_url": itself})
            refused = running.http.post("/run", content=body)
            said = f"model_config.base_url: 127.0.0.1:{port} is this service itself, which no job may reach."
            assert (refused.status_code, refused.json()["detail"]) == (400, said)
        status = _made_with_kubectl(running, {"default": {"name": "openai/scripted", "baseUrl": itself}})
        assert status["phase"] == "Failed"
        assert "is this service itself" in status["message"]


def _cluster_port(running: Service) -> int:
    return int(from_kubeconfig(running.kubeconfig).server.rpartition(":")[2])


def _made_with_kubectl(running: Service, models: dict[str, Any]) -> dict[str, Any]:
    made = make_raw("elsewhere", models=models)
    body = {part: made[part] for part in ("apiVersion", "kind", "spec")} | {"metadata": {"name": "elsewhere"}}
    with KubeHttp(running.kubeconfig) as kube:
        ok(kube.post(JOBS, body))

        def status() -> Any:
            found = ok(kube.get(f"{JOBS}/elsewhere")).get("status") or {}
            return found if found.get("phase") == "Failed" else None

        found: dict[str, Any] = wait_for(status, what="the operator to refuse it")
    return found
