"""Canary keys in every place that the contract's rule names: only its job's Secret ever holds them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pytest

from canaries import kept_files, telling_files, tells
from dspy_service_core.kube.resources import CONFIG_MAPS, EVENTS, JOBS, OPTIMIZATION_JOBS, PODS, SECRETS
from kube_http import KubeHttp
from payloads import payload, rows
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, submit
from whole_service import Service, service

pytestmark = pytest.mark.faults

CANARY = "c4n4ry-0123456789-"
SERVICE_KEY = f"{CANARY}service"
EXTRA: dict[str, Any] = {
    "api_key": f"{CANARY}api",
    "extra_headers": {"X-Anything": f"{CANARY}header"},
    "extra_body": {"deep": [{"sessionToken": f"{CANARY}token", "n": 1}], "azure": {"clientSecret": f"{CANARY}secret"}},
    "vertex_credentials": f"{CANARY}vertex",
    "userPassword": f"{CANARY}password",
}
OF_THE_CODE = {
    "SEARCH_TOKEN": f"{CANARY}search",
    "ACCOUNT": f'{{"client": "x", "private_key": "{CANARY}account"}}',
    "DATABASE": f"postgres://reader:{CANARY}database@db/x",
}
SHOWN = "str(dspy.settings.lm.kwargs) + str(dict(os.environ))"
TELLING = f"""
import base64, os, sys, dspy
def metric(gold, pred, trace=None):
    shown = {SHOWN}
    print(shown, file=sys.stderr)
    print(base64.b64encode(shown.encode()).decode())
    return gold.team == pred.team
"""
"""Prints every key that it can reach, plainly and in base64."""
ASKING = """
import os
import dspy

class Route(dspy.Signature):
    __doc__ = "Route the message. " + os.environ["SEARCH_TOKEN"]

    text: str = dspy.InputField()
    team: str = dspy.OutputField()
"""
"""Says a secret in every prompt, so that it is in the program's state and in the journal of model calls."""
RAISING = f"import os, dspy\ndef metric(gold, pred, trace=None):\n    raise ValueError({SHOWN})\n"


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with ScriptedServer(rows(60), label="team", latency=0.02) as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service(data_dir=tmp_path_factory.mktemp("canaries"), env={"OPENAI_API_KEY": SERVICE_KEY}) as started:
        yield started


def config(url: str) -> dict[str, Any]:
    with_secrets = url.replace("http://", f"http://user:{CANARY}user@") + f"?key={CANARY}query"
    return {"name": "openai/scripted", "base_url": with_secrets, "extra": EXTRA}


def bodies(model: ScriptedServer) -> dict[str, bytes]:
    plain = {"name": "openai/scripted", "base_url": model.url}
    own = config(model.url)
    return {
        "succeeds": payload(30, model.url, model_config=own, metric_code=TELLING),
        "metric raises": payload(30, model.url, model_config=own, metric_code=RAISING),
        "model refuses": payload(30, model.url, model_config=config(model.url_of("401")), metric_code=TELLING),
        "too large for a resource": payload(200, model.url, model_config=own, task_model_config=own),
        "the service's key": payload(30, model.url, model_config=plain, metric_code=TELLING),
        "the code's own": payload(30, model.url, model_config=plain, metric_code=TELLING, secrets=OF_THE_CODE),
        "the code raises its own": payload(30, model.url, model_config=plain, metric_code=RAISING, secrets=OF_THE_CODE),
        "the model is told": payload(30, model.url, model_config=plain, signature_code=ASKING, secrets=OF_THE_CODE),
    }


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("succeeds", "success"),
        ("metric raises", "failed"),
        ("model refuses", "failed"),
        ("too large for a resource", "success"),
        ("the service's key", "success"),
        ("the code's own", "success"),
        ("the code raises its own", "failed"),
        ("the model is told", "success"),
    ],
)
def test_no_key_is_anywhere(running: Service, model: ScriptedServer, case: str, status: str) -> None:
    job_id = submit(running.http, bodies(model)[case])
    wait_for(lambda: _watch_processes_until_ended(running, job_id), timeout=120, interval=0.2)
    answer = ended(running.http, job_id)
    assert answer["status"] == status, answer["message"]
    if case not in ("model refuses", "too large for a resource", "the model is told"):
        assert "[redacted]" in orjson.dumps(answer["logs"]).decode(), "the code told no key: this shows nothing"
    for place, text in _answers(running, job_id) | _resources(running):
        assert not tells(text, [CANARY]), place
    _wait_for_pods_to_lose_their_volumes(running.data_dir)
    assert any(path.name == "result.json" for path in kept_files(running.data_dir))
    assert telling_files(running.data_dir, [CANARY]) == []


def test_the_models_got_them(running: Service, model: ScriptedServer) -> None:
    model.reset()
    assert ended(running.http, submit(running.http, bodies(model)["the service's key"]))["status"] == "success"
    assert set(model.stats.by_auth) == {SERVICE_KEY}


def test_children_of_the_service_do_not_inherit_its_keys(running: Service) -> None:
    for process in running.process.children(recursive=True):
        try:
            command, environment = process.cmdline(), process.environ()
        except psutil.Error:
            continue
        if any(word.endswith(("dspy-service-api", "dspy-service-operator")) for word in command):
            assert SERVICE_KEY not in str(environment), command


def _watch_processes_until_ended(running: Service, job_id: str) -> bool:
    for process in psutil.process_iter(["cmdline"]):
        assert CANARY not in " ".join(process.info["cmdline"] or []), process
    answer = running.http.get(f"/jobs/{job_id}")
    assert CANARY not in answer.text
    return answer.json()["status"] in ("success", "failed")


def _answers(running: Service, job_id: str) -> set[tuple[str, bytes]]:
    paths = ["", "/summary", "/logs", "/logs?after=0", "/events", "/events?after=0", "/artifact"]
    found = {(path, running.http.get(f"/jobs/{job_id}{path}").content) for path in paths}
    return found | {("/jobs", running.http.get("/jobs").content)}


def _resources(running: Service) -> set[tuple[str, bytes]]:
    """Everything that the cluster answers, but Secrets; that those hold the canaries shows that this can find any."""
    with KubeHttp(running.kubeconfig) as cluster:
        assert cluster.get(SECRETS.path("default")).json()["items"]
        kinds = (OPTIMIZATION_JOBS, JOBS, PODS, EVENTS, CONFIG_MAPS)
        found = {(kind.plural, cluster.get(kind.path("default")).content) for kind in kinds}
        pods = [pod["metadata"]["name"] for pod in cluster.get(PODS.path("default")).json()["items"]]
        for name in pods:
            for container in ("optimizer", "reporter"):
                log = cluster.get(PODS.path("default", name, "log"), container=container)
                found.add((f"log of {container} in {name}", log.content))
    return found


def _wait_for_pods_to_lose_their_volumes(folder: Path) -> None:
    wait_for(
        lambda: not any({"pods", "volumes"} <= set(path.relative_to(folder).parts) for path in kept_files(folder)),
        timeout=60,
        what="ended pods to lose their volumes",
    )
