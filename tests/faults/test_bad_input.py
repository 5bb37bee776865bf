"""What goes wrong in such services: refused at submit with the thing named, or `failed` with the cause first."""

import re
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from payloads import payload, rows
from scripted_lm import ScriptedServer
from whole_jobs import ended, submit
from whole_service import Service, service

pytestmark = pytest.mark.faults

UNREACHED = "http://127.0.0.1:9/v1"
SPLITS = {"train": 0.4, "val": 0.3, "test": 0.3}
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "gepa": {
        "optimizer_name": "gepa",
        "optimizer_kwargs": {"max_metric_calls": 30},
        "reflection_model_config": True,
    },
    "simba": {"optimizer_name": "simba", "optimizer_kwargs": {"bsize": 4, "num_candidates": 2, "max_steps": 1}},
    "miprov2": {
        "optimizer_name": "miprov2",
        "optimizer_kwargs": {"auto": None, "num_candidates": 2},
        "compile_kwargs": {"num_trials": 2, "minibatch": False},
    },
}
DICT = "def metric(gold, pred, trace=None):\n    return {'score': gold.team == pred.team, 'feedback': 'look again'}\n"
RAISES = "def metric(gold, pred, trace=None):\n    return gold.no_such_column\n"
NONE = "def metric(gold, pred, trace=None):\n    gold.team == pred.team\n"


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedServer]:
    with ScriptedServer(rows(60), label="team") as server:
        yield server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with service("--concurrency", "2", data_dir=tmp_path_factory.mktemp("bad-input")) as started:
        yield started


def body(url: str, optimizer: str, **changes: Any) -> bytes:
    config = {"name": "openai/scripted", "base_url": url, "extra": {"api_key": "k"}}
    chosen = dict(OPTIMIZERS[optimizer])
    if "reflection_model_config" in chosen:
        chosen["reflection_model_config"] = config
    return payload(20, url, split_fractions=SPLITS, **(chosen | {"model_config": config} | changes))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_it_fails_with_the_cause_first(running: Service, model: ScriptedServer, optimizer: str) -> None:
    cases = {
        "MetricFailed|metric raised .*no_such_column": body(model.url, optimizer, metric_code=RAISES),
        "metric returned None": body(model.url, optimizer, metric_code=NONE),
        "401|[Aa]uth": body(model.url_of("401"), optimizer),
        "The default model .* could not be reached": body(UNREACHED, optimizer),
    }
    jobs = {submit(running.http, content): said for said, content in cases.items()}
    for job_id, said in jobs.items():
        answer = ended(running.http, job_id)
        assert answer["status"] == "failed"
        assert re.search(said, answer["message"].splitlines()[0]), answer["message"]
        assert any("Traceback" in entry["message"] for entry in answer["logs"])
        assert answer["result"]["program_artifact"] is None


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_metric_may_return_a_dict(running: Service, model: ScriptedServer, optimizer: str) -> None:
    answer = ended(running.http, submit(running.http, body(model.url, optimizer, metric_code=DICT)))
    assert answer["status"] == "success", answer["message"]
    assert answer["result"]["optimized_test_metric"] is not None


def test_a_model_that_dies_half_way_ends_the_run(running: Service, model: ScriptedServer) -> None:
    model.fail_from(12, "401")
    try:
        answer = ended(running.http, submit(running.http, body(model.url, "simba")))
    finally:
        model.reset()
    assert answer["status"] == "failed"
    assert re.search("401|[Aa]uth", answer["message"].splitlines()[0]), answer["message"]


@pytest.mark.parametrize(
    ("code", "changes", "named"),
    [
        (400, {"signature_code": "class A(dspy.Signature):\n  x = = 1"}, ["signature_code", "line 2"]),
        (400, {"metric_code": "def metric(gold, pred)\n    return 1"}, ["metric_code", "line 1"]),
        (422, {"metric_code": ""}, ["metric_code"]),
        (400, {"signature_code": "x = 1"}, ["dspy.Signature"]),
        (400, {"column_mapping": {"inputs": {"text": "text"}, "outputs": {}}}, ["team"]),
        (400, {"column_mapping": {"inputs": {"text": "absent"}, "outputs": {"team": "team"}}}, ["absent", "[0]"]),
        (400, {"column_mapping": {"inputs": {"text": "text", "z": "z"}, "outputs": {"team": "team"}}}, ["z"]),
        (400, {"optimizer_name": "simba", "optimizer_kwargs": {}}, ["bsize", "32"]),
        (400, {"optimizer_name": "gepa", "optimizer_kwargs": {"max_metric_calls": 9}}, ["reflection_model_config"]),
        (422, {"dataset": [{}, 3]}, ["dataset[1]"]),
        (422, {"split_fractions": {"train": "a"}}, ["split_fractions.train"]),
        (422, {"model_config": {}}, ["model_config.name"]),
        (422, {"run_options": {"deadline_seconds": -1}}, ["run_options.deadline_seconds"]),
        (422, {"run_options": {"no_such": 1}}, ["run_options.no_such"]),
        (422, {"optimizer_kwargs": []}, ["optimizer_kwargs"]),
    ],
)
def test_it_is_refused_by_name(running: Service, code: int, changes: dict[str, Any], named: list[str]) -> None:
    answer = running.http.post("/run", json=orjson.loads(payload(30, UNREACHED)) | changes)
    assert answer.status_code == code, answer.text
    for word in named:
        assert word in answer.text
    assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "field required|JSON"),
        (b"[]", "object"),
        (b'{"module_name": NaN}', "JSON"),
        (b"\xff\xfe{}", "JSON|UTF-8"),
        (b"[" * 100_000, "JSON|object|nest|recurs"),
        (b'{"seed": 1' + b"0" * 5000 + b"}", "."),
    ],
    ids=["nothing", "a list", "NaN", "not UTF-8", "deep", "a long number"],
)
def test_no_json_is_no_server_error(running: Service, content: bytes, said: str) -> None:
    answer = running.http.post("/run", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert re.search(said, answer.text, re.IGNORECASE), answer.text
    assert running.http.get("/health").status_code == 200
