"""The HTTP contract, word by word, on a whole service: shapes of real answers, and what is refused before it runs."""

import copy
from datetime import datetime
from typing import Any

import orjson
import pytest

from declared_answers import held_to
from payloads import payload
from under_test import Model, Service
from unique import unique
from waiting import wait_for
from whole_jobs import ended, job, reached, submit

pytestmark = pytest.mark.e2e

SUITE = unique("contract")

UNREACHED = "http://127.0.0.1:9/v1"
TWO_SIGNATURES = (
    "class A(dspy.Signature):\n    x = dspy.InputField()\nclass B(dspy.Signature):\n    y = dspy.InputField()"
)


@pytest.fixture(scope="module")
def body() -> dict[str, Any]:
    return dict(orjson.loads(payload(30, UNREACHED)))


@pytest.fixture(scope="module")
def finished(running: Service, model: Model) -> dict[str, Any]:
    options = {"labels": {"suite": SUITE}, "priority": 1}
    return dict(ended(running.http, submit(running.http, payload(30, model.url, run_options=options))))


def refused(running: Service, body: dict[str, Any], code: int) -> Any:
    response = running.http.post("/run", json=body)
    assert response.status_code == code, response.text
    return response.json()


def test_a_submit_answers_its_own_spelling(running: Service, model: Model) -> None:
    response = running.http.post("/run", content=payload(30, model.url))
    held_to("Accepted", response.json())
    job_id = response.json()["job_id"]
    summary = job(running.http, job_id, "/summary")
    held_to("JobSummary", summary)
    assert summary["elapsed_seconds"] is None or summary["completed_at"]
    ended(running.http, job_id)


def test_a_finished_job_has_every_field(running: Service, finished: dict[str, Any]) -> None:
    answer = held_to("JobDetail", finished)
    job_id, result = answer["job_id"], answer["result"]
    assert result["program_artifact"]
    assert result["details"]["stopped_early"] is False
    assert answer["completed_at"]
    assert answer["started_at"]
    moments = [answer["created_at"], answer["started_at"], answer["completed_at"]]
    assert sorted(moments, key=datetime.fromisoformat) == moments
    summary = held_to("JobSummary", job(running.http, job_id, "/summary"))
    assert summary["elapsed_seconds"] is not None
    assert (summary["dataset_rows"], summary["seed"], summary["shuffle"]) == (30, 7, True)
    assert summary["optimizer_name"] == "dspy.BootstrapFewShot"
    assert summary["latest_metrics"] == answer["latest_metrics"]
    assert summary["latest_metrics"].keys() >= {"train", "baseline_test_metric", "optimized_test_metric"}
    assert job(running.http, job_id, "/events") == finished["progress_events"]
    held_to("PagedLogEntry[]", job(running.http, job_id, "/logs?after=0"))
    held_to("PagedProgressEvent[]", job(running.http, job_id, "/events?limit=2"))
    artifact = held_to("ArtifactAnswer", job(running.http, job_id, "/artifact"))
    assert artifact["program_artifact"] == result["program_artifact"]
    assert artifact["program_artifact_path"].endswith(f"artifacts/{job_id}")


def test_scores_are_on_dspys_scale(finished: dict[str, Any]) -> None:
    result = finished["result"]
    rows = result["split_counts"]["test"]
    for name in ("baseline_test_metric", "optimized_test_metric"):
        right = result[name] * rows / 100
        assert right == pytest.approx(round(right), abs=0.01 * rows)
        assert result["details"][name] == result[name] == finished["latest_metrics"][name]


def test_a_finished_job_is_listed_by_its_label(running: Service, finished: dict[str, Any]) -> None:
    answer = running.http.get("/jobs", params={"label": f"suite={SUITE}", "status": "success"}).json()
    assert [summary["job_id"] for summary in held_to("JobList", answer)["jobs"]] == [finished["job_id"]]


def test_a_running_job_says_what_it_does(running: Service, model: Model) -> None:
    model.latency = 2.0  # some 20 s of it, while it is looked at
    try:
        job_id = submit(running.http, payload(60, model.url))
        assert reached(running.http, job_id, {"running"})["status"] == "running"
        answer = wait_for(lambda: consistent(job(running.http, job_id)), timeout=30, what="a message of the last event")
        held_to("JobDetail", answer)
        assert answer["result"] is answer["completed_at"] is None
        artifact = running.http.get(f"/jobs/{job_id}/artifact")
        assert (artifact.status_code, artifact.json()) == (
            409,
            {"detail": "Job has not finished yet.", "code": "not_finished"},
        )
        assert running.http.delete(f"/jobs/{job_id}", timeout=30).status_code == 204
    finally:
        model.latency = 0.0


def consistent(answer: dict[str, Any]) -> dict[str, Any] | None:
    """Events are in the store before the status names the newest of them."""
    events = answer["progress_events"]
    return answer if events and answer["message"] == events[-1]["event"] else None


def test_a_failure_has_the_same_shape(running: Service, model: Model) -> None:
    raises = "def metric(gold, pred, trace=None):\n    raise KeyError('no_such_column')\n"
    answer = ended(running.http, submit(running.http, payload(30, model.url, metric_code=raises)))
    held_to("JobDetail", answer)
    assert answer["status"] == "failed"
    assert "no_such_column" in answer["message"].splitlines()[0]
    assert any("Traceback" in entry["message"] for entry in answer["logs"])
    result = answer["result"]
    assert result["run_log"] == answer["logs"]
    assert result["metric_name"] == "metric"
    nothing = ("baseline_test_metric", "optimized_test_metric", "program_artifact", "program_artifact_path")
    assert [result[name] for name in nothing] == [None] * 4
    artifact = running.http.get(f"/jobs/{answer['job_id']}/artifact")
    assert (artifact.status_code, artifact.json()) == (
        404,
        {"detail": "Job did not produce an artifact.", "code": "no_artifact"},
    )


def test_health_names_what_is_registered(running: Service) -> None:
    assets = held_to("Health", running.http.get("/health").json())["registered_assets"]
    assert {"cot", "predict"} <= set(assets["modules"])
    assert {"gepa", "miprov2"} <= set(assets["optimizers"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"dataset": []}, "dataset"),
        ({"dataset": [1]}, "dataset[0]"),
        ({"dataset": {}}, "dataset"),
        ({"module_name": None}, "module_name"),
        ({"column_mapping": {"inputs": {}, "outputs": {"team": "team"}}}, "column_mapping.inputs"),
        ({"column_mapping": {"inputs": {"message": "a"}, "outputs": {"team": "a"}}}, "column_mapping"),
        ({"column_mapping": {"inputs": {"message": "a"}, "further": {}}}, "column_mapping.further"),
        ({"split_fractions": {"train": 0.5, "val": 0.5, "test": 0.5}}, "split_fractions"),
        ({"split_fractions": {"train": -0.5, "val": 0.5, "test": 1}}, "split_fractions.train"),
        ({"model_config": {"name": "x", "temperature": 2.5}}, "model_config.temperature"),
        ({"model_config": {"name": "x", "top_p": 1.5}}, "model_config.top_p"),
        ({"model_config": {"name": "x", "max_tokens": 0}}, "model_config.max_tokens"),
        ({"model_config": {"name": "x", "api_key": "k"}}, "model_config.api_key"),
        ({"seed": "7"}, "seed"),
    ],
)
def test_malformed_requests_name_their_field(
    running: Service, body: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    answer = refused(running, body | changes, 422)
    held_to("InvalidRequest", answer)
    assert field in [problem["field"] for problem in answer["detail"]], answer
    for problem in answer["detail"]:
        assert not problem["message"].startswith(("Value error", "body."))


@pytest.mark.parametrize("missing", ["module_name", "signature_code", "metric_code", "dataset", "model_config"])
def test_missing_fields_are_named(running: Service, body: dict[str, Any], missing: str) -> None:
    answer = refused(running, {key: value for key, value in body.items() if key != missing}, 422)
    assert [problem["field"] for problem in answer["detail"]] == [missing]


def test_an_empty_dataset_has_its_own_sentence(running: Service, body: dict[str, Any]) -> None:
    (problem,) = refused(running, body | {"dataset": []}, 422)["detail"]
    assert problem["message"] == "Dataset must contain at least one row."


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"module_name": "react"}, ["react", "cot", "predict"]),
        ({"module_name": "os.system"}, ["os.system"]),
        ({"optimizer_name": "mipro"}, ["mipro", "gepa", "miprov2"]),
        ({"optimizer_kwargs": {"max_demos": 2}}, ["max_demos", "max_bootstrapped_demos"]),
        ({"optimizer_kwargs": {"metric": "x"}}, ["metric", "metric_code"]),
        ({"compile_kwargs": {"trainset": []}}, ["trainset", "dataset"]),
        ({"signature_code": "class A:\n    pass"}, ["dspy.Signature"]),
        ({"signature_code": TWO_SIGNATURES}, ["A", "B"]),
        ({"signature_code": "class A(dspy.Signature:\n    x"}, ["signature_code", "line 1"]),
        ({"metric_code": "def a(x, y): ...\ndef b(x, y): ..."}, ["a", "b"]),
        ({"metric_code": "def metric(x): ..."}, ["metric"]),
        ({"optimizer_name": "gepa", "optimizer_kwargs": {"auto": "light"}}, ["reflection_model_config"]),
        ({"optimizer_name": "dspy.GEPA", "optimizer_kwargs": {"auto": "light"}}, ["reflection_model_config"]),
        (
            {
                "optimizer_name": "gepa",
                "optimizer_kwargs": {},
                "reflection_model_config": {"name": "openai/x"},
                "split_fractions": {"train": 0.5, "val": 0.25, "test": 0.25},
            },
            ["auto", "max_metric_calls"],
        ),
        ({"optimizer_name": "miprov2", "optimizer_kwargs": {"auto": "light", "num_candidates": 3}}, ["num_candidates"]),
        ({"optimizer_name": "simba", "optimizer_kwargs": {"bsize": 32}}, ["bsize", "32"]),
        ({"split_fractions": {"train": 1.0, "val": 0.0, "test": 0.0}}, ["test"]),
        ({"split_fractions": {"train": 0.01, "val": 0.0, "test": 0.99}}, ["train", "100"]),
        ({"model_config": {"name": "openai/o3", "temperature": 0.5}}, ["temperature", "1"]),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_allowed(
    running: Service, body: dict[str, Any], changes: dict[str, Any], named: list[str]
) -> None:
    base = body if "optimizer_name" not in changes else body | {"optimizer_kwargs": {}, "compile_kwargs": {}}
    answer = refused(running, base | changes, 400)
    assert (list(answer), answer["code"]) == (["detail", "code"], "unusable_request")
    for word in named:
        assert word in answer["detail"], answer


def test_the_first_row_that_lacks_a_column_is_named(running: Service, body: dict[str, Any]) -> None:
    rows = copy.deepcopy(body["dataset"])
    column = next(iter(body["column_mapping"]["inputs"].values()))
    del rows[4][column], rows[9][column]
    detail = refused(running, body | {"dataset": rows}, 400)["detail"]
    assert "dataset[4]" in detail
    assert column in detail


def test_a_refused_request_leaves_nothing(running: Service, body: dict[str, Any]) -> None:
    def newest() -> list[str]:
        return [found["job_id"] for found in running.http.get("/jobs?limit=500").json()["jobs"][:1]]

    before = newest()
    refused(running, body | {"optimizer_name": "mipro"}, 400)
    refused(running, body | {"dataset": []}, 422)
    assert newest() == before


def test_unknown_keys_at_the_top_are_accepted_and_reported(running: Service, model: Model) -> None:
    response = running.http.post("/run", content=payload(30, model.url, experiment="a"))
    assert response.status_code == 200
    assert "experiment" in response.headers["warning"]
    ended(running.http, response.json()["job_id"])


def test_malformed_json_is_told_of(running: Service) -> None:
    response = running.http.post("/run", content=b'{"module_name": ')
    assert response.status_code == 422
    held_to("InvalidRequest", response.json())


def test_too_much_is_refused_with_the_limit(running: Service) -> None:
    response = running.http.post("/run", content=b" " * 30_000_001, timeout=60)
    assert response.status_code == 413
    assert "30000000" in response.json()["detail"]


def test_no_page_of_another_site_may_read_an_answer(running: Service) -> None:
    response = running.http.get("/jobs", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in response.headers
