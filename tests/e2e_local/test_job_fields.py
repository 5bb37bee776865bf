"""Fields that say how a program is scored, asked and begun, on a whole service: over HTTP and as resources."""

import base64
import json
import subprocess
import sys
from typing import Any

import pytest

from dspy_service_core.kube.resources import CONFIG_MAPS, OPTIMIZATION_JOBS, SECRETS
from kube_http import KubeHttp, ok
from payloads import payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, job, submit
from whole_service import Service

pytestmark = pytest.mark.e2e

ROWS = 24
TOKEN = "c4n4ry-of-a-tool-0123"
USING = f"""
import os
def metric(gold, pred, trace=None):
    print("the token is", os.environ["SEARCH_TOKEN"])
    assert len(os.environ["SEARCH_TOKEN"]) == {len(TOKEN)}
    return gold.team == pred.team
"""


def done(running: Service, body: bytes) -> Any:
    answer = ended(running.http, submit(running.http, body))
    assert answer["status"] == "success", answer["message"]
    return answer


def as_resource(running: Service, name: str, body: bytes, spec: dict[str, Any], *objects: Any) -> Any:
    """The same job as the request's, made with kubectl: its rows and code inline, and what the spec adds."""
    given = json.loads(body)
    whole = {
        "module": {"name": given["module_name"]},
        "optimizer": {"name": given["optimizer_name"], "kwargs": given["optimizer_kwargs"]},
        "signature": {"code": given["signature_code"]},
        "metric": {"code": given["metric_code"]},
        "dataset": {"rows": given["dataset"]},
        "columns": given["column_mapping"],
        "split": {"train": "0.5", "val": "0", "test": "0.5", "seed": 7},
        "models": {"default": {"name": "openai/scripted", "baseUrl": given["model_config"]["base_url"]}},
    }
    head = {"apiVersion": "dspy-service.io/v1alpha1", "kind": "OptimizationJob", "metadata": {"name": name}}
    with KubeHttp(running.kubeconfig) as kube:
        for resource, made in objects:
            ok(kube.post(resource.path("default"), made))
        ok(kube.post(OPTIMIZATION_JOBS.path("default"), head | {"spec": whole | spec}))

        def end() -> Any:
            status = ok(kube.get(OPTIMIZATION_JOBS.path("default", name))).get("status") or {}
            return status if status.get("phase") in ("Succeeded", "Failed", "Cancelled") else None

        return wait_for(end, timeout=120, what=f"the end of {name}")


def test_evaluate_scores_and_optimizes_nothing(running: Service, model: ScriptedServer) -> None:
    body = payload(ROWS, model.url, optimizer_name="evaluate", optimizer_kwargs={})
    answer = done(running, body)
    result = answer["result"]
    told = f"{result['baseline_test_metric']:.1f} on {ROWS} rows"
    assert answer["message"] == f"Scored {told}: nothing was optimized, so there is nothing to compare."
    assert (result["optimized_test_metric"], result["details"]["verdict"]) == (None, "unknown")
    assert result["split_counts"] == {"train": 0, "val": 0, "test": ROWS}
    rows = job(running.http, answer["job_id"], "/rows")
    assert [row["n"] for row in rows] == list(range(ROWS))
    assert {row["optimized"] for row in rows} == {None}
    assert "signature" in job(running.http, answer["job_id"], "/artifact")["program_artifact"]["program_state"]
    command = [sys.executable, "-m", "dspy_service", "--url", running.url, "watch", answer["job_id"]]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (said.returncode, f"scored {told}" in said.stdout) == (0, True), said.stdout + said.stderr
    assert "no evidence" not in said.stdout

    status = as_resource(running, "scored", body, {"optimizer": {"name": "evaluate"}})
    assert status["message"].startswith(f"Scored {told}")
    assert (status["run"]["result"]["evidence"], status["run"]["result"]["verdict"]) == (told, "unknown")


@pytest.mark.parametrize(("adapter", "mark"), [("json", "JSON object"), ("xml", "<team>")])
def test_an_adapter_writes_the_prompts(running: Service, model: ScriptedServer, adapter: str, mark: str) -> None:
    answer = done(running, payload(ROWS, model.url, adapter=adapter))
    artifact = job(running.http, answer["job_id"], "/artifact")["program_artifact"]
    assert artifact["metadata"]["adapter"] == adapter
    assert mark in artifact["optimized_prompt"]
    status = as_resource(running, f"by-{adapter}", payload(ROWS, model.url), {"adapter": adapter})
    assert status["phase"] == "Succeeded", status["message"]


def test_rows_say_where_they_belong(running: Service, model: ScriptedServer) -> None:
    given = json.loads(payload(ROWS, model.url))["dataset"]
    said = [row | {"part": word} for row, word in zip(given, ["train", "dev", "test"] * (ROWS // 3), strict=True)]
    body = payload(ROWS, model.url, dataset=said, split_column="part")
    answer = done(running, body)
    third = ROWS // 3
    assert answer["result"]["split_counts"] == {"train": third, "val": third, "test": third}
    assert [row["n"] for row in job(running.http, answer["job_id"], "/rows")] == list(range(2, ROWS, 3))

    status = as_resource(running, "by-part", body, {"split": {"column": "part"}})
    assert status["run"]["result"]["splitCounts"] == {"train": third, "val": third, "test": third}
    odd = as_resource(running, "odd-part", body, {"split": {"column": "part"}, "dataset": {"rows": [*said, given[0]]}})
    assert (odd["phase"], f"[{ROWS}] lacks column 'part'" in odd["message"]) == ("Failed", True)


def test_a_job_begins_with_what_another_made(running: Service, model: ScriptedServer) -> None:
    made = done(running, payload(ROWS, model.url))
    score = payload(ROWS, model.url, optimizer_name="evaluate", optimizer_kwargs={})
    cold = done(running, score)["result"]["baseline_test_metric"]
    from_job = {"initial": {"job_id": made["job_id"]}}
    warm = done(running, payload(ROWS, model.url, optimizer_name="evaluate", optimizer_kwargs={}, **from_job))
    assert warm["result"]["baseline_test_metric"] > cold
    state = job(running.http, made["job_id"], "/artifact")["program_artifact"]["program_state"]
    again = job(running.http, warm["job_id"], "/artifact")["program_artifact"]["program_state"]
    assert again["demos"] == state["demos"]

    kept = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "begun"},
        "data": {"p.json": json.dumps(state)},
    }
    spec = {"optimizer": {"name": "evaluate"}, "initial": {"configMapKeyRef": {"name": "begun", "key": "p.json"}}}
    status = as_resource(running, "begun", score, spec, (CONFIG_MAPS, kept))
    assert float(status["run"]["result"]["baselineScore"]) == warm["result"]["baseline_test_metric"]


def test_a_jobs_code_has_its_secrets(running: Service, model: ScriptedServer) -> None:
    body = payload(ROWS, model.url, metric_code=USING)
    answer = done(running, payload(ROWS, model.url, metric_code=USING, secrets={"SEARCH_TOKEN": TOKEN}))
    lines = [entry["message"] for entry in answer["logs"]]
    assert "the token is [redacted]" in lines
    assert TOKEN not in json.dumps(answer)

    data = {"token": base64.b64encode(TOKEN.encode()).decode()}
    labels = {"dspy-service.io/model-key": "true"}
    kept = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tools", "labels": labels}, "data": data}
    spec = {"secrets": {"SEARCH_TOKEN": {"name": "tools", "key": "token"}}}
    status = as_resource(running, "with-a-secret", body, spec, (SECRETS, kept))
    assert status["phase"] == "Succeeded", status["message"]
    assert TOKEN not in json.dumps(status)
