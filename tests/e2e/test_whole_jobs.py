"""A job from the POST to the optimized program on disk, as a client sees it."""

import base64
import subprocess
import sys
from pathlib import Path

import pytest

from payloads import payload, rows
from under_test import Model, Service
from waiting import wait_for
from whole_jobs import ended, job, numbered, reached, submit

pytestmark = pytest.mark.e2e


def test_a_job_ends_with_a_program_its_scores_and_its_whole_story(running: Service, model: Model) -> None:
    answer = ended(running.http, job_id := submit(running.http, payload(30, model.url)))
    assert (answer["status"], answer["message"]) == ("success", "Optimization completed successfully."), answer
    result = answer["result"]
    assert result["split_counts"] == {"train": 15, "val": 0, "test": 15}
    assert 0 <= result["baseline_test_metric"] <= 100
    assert 0 <= result["optimized_test_metric"] <= 100
    assert next(event["event"] for event in answer["progress_events"]) == "dataset_splits_ready"
    assert {"baseline_evaluated", "optimized_evaluated"} <= {event["event"] for event in answer["progress_events"]}
    assert result["run_log"] == answer["logs"] == job(running.http, job_id, "/logs")
    assert [entry["n"] for entry in numbered(running.http, job_id, "logs")] == list(range(1, len(answer["logs"]) + 1))
    assert result["program_artifact_path"].endswith(f"artifacts/{job_id}")
    assert job(running.http, job_id, "/artifact")["program_artifact"]["program_pickle_base64"]


def test_a_clean_process_unpickles_and_calls_the_program(running: Service, model: Model, tmp_path: Path) -> None:
    ended(running.http, job_id := submit(running.http, payload(30, model.url)))
    bundle = job(running.http, job_id, "/artifact")["program_artifact"]
    content = base64.b64decode(bundle["program_pickle_base64"])
    assert b"bench" not in content, "the model's key is in the artifact"
    (tmp_path / "program.pkl").write_bytes(content)
    source, *_ = rows(1)[0]
    script = (
        "import pickle, dspy\n"
        f"program = pickle.load(open({str(tmp_path / 'program.pkl')!r}, 'rb'))\n"
        f"dspy.configure(lm=dspy.LM('openai/x', api_base={model.local_url!r}, api_key='k'))\n"
        f"print(program({source}='my bike has a flat tyre').team)\n"
    )
    answer = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip()


@pytest.mark.parametrize(
    "optimizer",
    [
        {"optimizer_name": "miprov2", "optimizer_kwargs": {"auto": None, "num_candidates": 2},
         "compile_kwargs": {"num_trials": 2, "minibatch": False}},
        {"optimizer_name": "gepa", "optimizer_kwargs": {"max_metric_calls": 40}},
        {"optimizer_name": "dspy.COPRO", "optimizer_kwargs": {"breadth": 2, "depth": 1}},
        {"optimizer_name": "dspy.LabeledFewShot", "optimizer_kwargs": {"k": 3}},
    ],
    ids=lambda changes: str(changes["optimizer_name"]),
)  # fmt: skip
def test_optimizers_run_whole(running: Service, model: Model, optimizer: dict[str, object]) -> None:
    config = {"name": "openai/scripted", "base_url": model.url, "extra": {"api_key": "bench"}}
    changes = {"optimizer_kwargs": {}, "split_fractions": {"train": 0.4, "val": 0.3, "test": 0.3}}
    reflection = {"reflection_model_config": config} if optimizer["optimizer_name"] == "gepa" else {}
    body = payload(30, model.url, **(changes | reflection | optimizer))
    answer = ended(running.http, submit(running.http, body))
    assert answer["status"] == "success", answer["message"]
    assert any(event["event"] == "optimizer_progress" for event in answer["progress_events"])


def test_a_dead_model_fails_with_its_own_words(running: Service, model: Model) -> None:
    answer = ended(running.http, submit(running.http, payload(30, model.url_of("401"))))
    assert answer["status"] == "failed"
    assert "401" in answer["message"].splitlines()[0] or "auth" in answer["message"].lower(), answer["message"]
    assert any("Traceback" in entry["message"] for entry in answer["logs"])
    assert answer["result"]["optimized_test_metric"] is None


def test_an_equal_idempotency_key_is_one_job(running: Service, model: Model) -> None:
    body = payload(30, model.url)
    first = submit(running.http, body, **{"Idempotency-Key": "e2e-1"})
    assert submit(running.http, body, **{"Idempotency-Key": "e2e-1"}) == first
    other = running.http.post("/run", content=payload(31, model.url), headers={"Idempotency-Key": "e2e-1"})
    assert other.status_code == 409


def test_a_deleted_job_is_gone(running: Service, model: Model) -> None:
    model.latency = 0.2
    job_id = submit(running.http, payload(60, model.url))
    reached(running.http, job_id, {"running"})
    assert running.http.delete(f"/jobs/{job_id}", timeout=30).status_code == 204
    model.latency = 0.0
    gone = running.http.get(f"/jobs/{job_id}")
    assert (gone.status_code, gone.json()) == (
        404,
        {"detail": f"Unknown job '{job_id}'.", "code": "unknown_job"},
    )
    wait_for(lambda: not running.stored(job_id), timeout=60, interval=0.5, what="its folders in the store to go")


def test_what_a_job_leaves_is_in_the_store(running: Service, model: Model) -> None:
    answer = ended(running.http, job_id := submit(running.http, payload(30, model.url)))
    assert answer["status"] == "success", answer["message"]
    parts = {key.split("/")[1] for key in running.stored(job_id)}
    assert parts == {"jobs", "artifacts"}
    assert any(key.endswith("program.pkl") for key in running.stored(job_id))


def test_user_code_that_ends_the_process_fails_its_own_job_alone(running: Service, model: Model) -> None:
    beside = submit(running.http, payload(30, model.url))
    exits = "import os\ndef metric(gold, pred, trace=None):\n    os._exit(3)\n"
    answer = ended(running.http, submit(running.http, payload(30, model.url, metric_code=exits)))
    assert answer["status"] == "failed"
    assert "3" in answer["message"].splitlines()[0]
    assert ended(running.http, beside)["status"] == "success"
