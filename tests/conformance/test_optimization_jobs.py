"""The project's own resource on a cluster: what its schema lets users, operator and runner do."""

import copy
from typing import Any

import orjson
import pytest

from dspy_service_core.resource.job import MAX_SPEC_BYTES
from dspy_service_core.resource.status import MAX_STATUS_BYTES
from kube_http import TABLE, KubeHttp, ok, refused
from kubectl import Kubectl

pytestmark = pytest.mark.usefixtures("optimization_jobs")

_API_VERSION = "dspy-service.io/v1alpha1"
_SPEC: dict[str, Any] = {
    "module": {"name": "cot"},
    "optimizer": {"name": "miprov2", "kwargs": {"auto": "light"}},
    "signature": {"code": "class Ticket(dspy.Signature): ..."},
    "metric": {"code": "def metric(gold, pred, trace=None): return True"},
    "dataset": {"rows": [{"text": "a", "label": "b"}] * 3},
    "columns": {"inputs": {"text": "text"}, "outputs": {"label": "label"}},
    "models": {"default": {"name": "openai/gpt-4o-mini"}},
}


def _job(name: str = "tickets", **changed: Any) -> dict[str, Any]:
    spec = copy.deepcopy(_SPEC) | changed
    return {"apiVersion": _API_VERSION, "kind": "OptimizationJob", "metadata": {"name": name}, "spec": spec}


def _path(namespace: str) -> str:
    return f"/apis/{_API_VERSION}/namespaces/{namespace}/optimizationjobs"


def test_kwargs_and_rows_are_kept_as_they_are(http: KubeHttp, namespace: str) -> None:
    kwargs = {"auto": "light", "deep": {"list": [1, 2.5, None, {"x": True}]}}
    rows = [{"text": "a", "label": None, "n": 1.0}, {"text": {"deep": [1]}, "label": "b"}, {}]
    spec = ok(
        http.post(_path(namespace), _job(optimizer={"name": "miprov2", "kwargs": kwargs}, dataset={"rows": rows}))
    )["spec"]
    assert spec["optimizer"]["kwargs"] == kwargs
    assert spec["dataset"]["rows"] == rows


@pytest.mark.parametrize("seed", [0, 7, -(2**63), 2**63 - 1])
def test_every_seed_of_64_bits_is_taken(http: KubeHttp, namespace: str, seed: int) -> None:
    split = {"train": "0.7", "val": "0.15", "test": "0.15", "seed": seed}
    assert ok(http.post(_path(namespace), _job(split=split)))["spec"]["split"]["seed"] == seed


@pytest.mark.parametrize("field", ["module", "optimizer", "signature", "metric", "dataset", "columns", "models"])
def test_the_spec_stays(http: KubeHttp, namespace: str, field: str) -> None:
    job = ok(http.post(_path(namespace), _job()))
    changed = {
        "module": {"name": "predict"},
        "optimizer": {"name": "gepa"},
        "signature": {"code": "class Other(dspy.Signature): ..."},
        "metric": {"code": "def metric(gold, pred): return False"},
        "dataset": {"rows": [{"text": "other", "label": "c"}]},
        "columns": {"inputs": {"text": "other"}, "outputs": {"label": "label"}},
        "models": {"default": {"name": "openai/gpt-5"}},
    }
    refused(http.patch(f"{_path(namespace)}/tickets", {"spec": {field: changed[field]}}), 422, "Invalid")
    assert ok(http.get(f"{_path(namespace)}/tickets"))["spec"] == job["spec"]


def test_the_control_fields_change(http: KubeHttp, namespace: str) -> None:
    path = f"{_path(namespace)}/tickets"
    ok(http.post(_path(namespace), _job()))
    assert ok(http.patch(path, {"spec": {"suspend": True}}))["spec"]["suspend"] is True
    assert ok(http.patch(path, {"spec": {"stop": "KeepBest"}}))["spec"]["stop"] == "KeepBest"
    refused(http.patch(path, {"spec": {"stop": "Sometime"}}), 422, "Invalid")
    ok(http.patch(path, {"spec": {"stop": "Cancel"}}))
    refused(http.patch(path, {"spec": {"stop": ""}}), 422, "Invalid")


@pytest.mark.parametrize(
    "changed",
    [
        {"dataset": {}},
        {"dataset": {"rows": [{"a": 1}], "configMapKeyRef": {"name": "x", "key": "y"}}},
        {"signature": {}},
        {"models": {}},
        {"split": {"train": "0.7", "val": "0.7", "test": "0.7"}},
        {"models": {"default": {"name": "x", "baseUrl": "https://user:secret@host/v1"}}},
        {"models": {"default": {"name": "x", "temperature": "2.5"}}},
        {"optimizer": {"name": "gepa", "kwargs": {"auto": "light"}}},
        {"optimizer": {"name": "dspy.MIPROv2", "kwargs": {"auto": "light", "num_candidates": 4}}},
        {"optimizer": {"name": "miprov2", "kwargs": {"auto": "light"}, "compileKwargs": {"num_trials": 4}}},
        {"optimizer": {"name": "miprov2", "kwargs": {"auto": True}}},
        {"columns": {"inputs": {"text": "text"}, "outputs": {"label": "text"}}},
        {"dataset": {"rows": [{"text": "a", "label": "b"}]}},
        {"split": {"train": "0.0", "val": "0.5", "test": "0.5"}},
    ],
)
def test_specs_that_the_api_would_refuse_are_refused(http: KubeHttp, namespace: str, changed: dict[str, Any]) -> None:
    refused(http.post(_path(namespace), _job(**changed), dryRun="All"), 422, "Invalid")
    refused(http.post(_path(namespace), _job(**changed)), 422, "Invalid")


@pytest.mark.parametrize(
    "optimizer",
    [
        {"name": "miprov2", "kwargs": {"auto": None, "num_candidates": 4}, "compileKwargs": {"num_trials": 4}},
        {"name": "dspy.MIPROv2", "kwargs": {"auto": "light", "num_candidates": None}},
        {"name": "acme.Own", "kwargs": {"auto": "light", "num_candidates": 4, "deep": {"x": [None]}}},
    ],
)
def test_a_null_is_kept_and_counts_as_not_given(http: KubeHttp, namespace: str, optimizer: dict[str, Any]) -> None:
    assert ok(http.post(_path(namespace), _job(optimizer=optimizer)))["spec"]["optimizer"] == optimizer


_PROGRAM = {"code": "class Answer(dspy.Module): ..."}
_NO_MODULE = {"module": None, "signature": None, "columns": None}


def _program_job(its: dict[str, Any], **changed: Any) -> dict[str, Any]:
    job = _job(**_NO_MODULE | {"program": _PROGRAM | its} | changed)
    job["spec"] = {name: value for name, value in job["spec"].items() if value is not None}
    return job


def _file(path: str, **content: Any) -> dict[str, Any]:
    return {"path": path, **(content or {"code": "x"})}


_KEY = {"configMapKeyRef": {"name": "tickets", "key": "answer.py"}}
_64_FILES = [_file(f"{'ä' * 100}/{n}.py") for n in range(64)]


@pytest.mark.parametrize(
    ("program", "changed"),
    [
        ({}, {}),
        ({"code": None, **_KEY}, {}),
        ({"name": "Answer", "kwargs": {"hops": 2, "deep": [{"x": None}]}}, {}),
        ({"files": [_file("helpers/__init__.py", code=""), _file("données/my terms.csv", **_KEY)]}, {}),
        ({"files": _64_FILES}, {}),
        ({}, {"signature": {"code": "class S(dspy.Signature): ..."}}),
        ({}, {"columns": {"inputs": {"question": "text"}}}),
        ({}, {"initial": _KEY, "adapter": "json", "secrets": {"A_TOKEN": {"name": "tools", "key": "token"}}}),
        ({}, {"secrets": {f"SECRET_{n}": {"name": "tools", "key": f"k{n}"} for n in range(32)}}),
    ],
)
def test_programs_are_kept_as_they_are(
    http: KubeHttp, namespace: str, program: dict[str, Any], changed: dict[str, Any]
) -> None:
    job = _program_job(program, **changed)
    job["spec"]["program"] = {name: value for name, value in job["spec"]["program"].items() if value is not None}
    spec = ok(http.post(_path(namespace), job))["spec"]
    assert {name: spec[name] for name in job["spec"]} == job["spec"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"module": {"name": "cot"}}, "exactly one of program, module is needed"),
        ({"program": None}, "exactly one of program, module is needed"),
        ({"program": None, "module": {"name": "cot"}}, "signature and columns are needed with module"),
        ({"program": {}}, "exactly one of code"),
        ({"program": _PROGRAM | _KEY}, "exactly one of code"),
        ({"program": _PROGRAM | {"files": [_file("a.py", **_KEY, code="x")]}}, "exactly one of code"),
        ({"program": _PROGRAM | {"files": [{"path": "a.py"}]}}, "exactly one of code"),
        *(
            ({"program": _PROGRAM | {"files": [_file("a.py"), _file(path)]}}, "spec.program.files[1].path")
            for path in ("", "../a.py", "/a.py", "a/../b", "a\\b", "a//b", ".env", "a\n", "x" * 129)
        ),
        ({"program": _PROGRAM | {"files": [_file("a.py")] * 2}}, "two files have the same path"),
        ({"program": _PROGRAM | {"files": [*_64_FILES, _file("a.py")]}}, "must have at most 64 items"),
        ({"secrets": {"NOT-A-NAME": {"name": "a", "key": "b"}}}, "names of secrets"),
        ({"secrets": {f"S{n}": {"name": "a", "key": "b"} for n in range(33)}}, "spec.secrets"),
        ({"adapter": "yaml"}, "spec.adapter"),
        ({"initial": {}}, "exactly one of configMapKeyRef, payload is needed"),
    ],
)
def test_programs_that_cannot_be_are_refused(
    http: KubeHttp, namespace: str, changed: dict[str, Any], words: str
) -> None:
    refusal = refused(http.post(_path(namespace), _program_job({}, **changed)), 422, "Invalid")
    assert words in refusal["message"]


def test_a_program_stays(http: KubeHttp, namespace: str) -> None:
    ok(http.post(_path(namespace), _program_job({"files": [_file("a.py")]})))
    for change in ({"files": [_file("a.py", code="y")]}, {"kwargs": {"x": 1}}, {"name": "Other"}):
        refused(http.patch(f"{_path(namespace)}/tickets", {"spec": {"program": change}}), 422, "Invalid")


def test_the_largest_spec_and_status_fit(http: KubeHttp, namespace: str) -> None:
    """16 KiB each, as the API and the reporter fill them, under every rule."""
    columns = {f"field_{number}": f"column {number} {'x' * 40}" for number in range(60)}
    row = {"text": "a", "label": "b"}
    spec = _job(
        columns={"inputs": columns, "outputs": {"label": "label"}}, dataset={"rows": [row] * 100}, metric={"code": "#"}
    )
    room = MAX_SPEC_BYTES - len(orjson.dumps(spec["spec"]))
    spec["spec"]["metric"]["code"] += "x" * room
    assert len(orjson.dumps(spec["spec"])) == MAX_SPEC_BYTES
    ok(http.post(_path(namespace), spec))
    logs = [{"n": n, "timestamp": "t", "level": "INFO", "logger": "l", "message": "x" * 500} for n in range(20)]
    run = {"attempt": 1, "podUID": "u", "logs": {"count": 20, "tail": logs}, "metrics": {"note": ""}}
    run["metrics"]["note"] = "x" * (MAX_STATUS_BYTES - len(orjson.dumps({"phase": "Running", "run": run})))
    status = {"phase": "Running", "run": run}
    assert len(orjson.dumps(status)) == MAX_STATUS_BYTES
    assert ok(http.patch(f"{_path(namespace)}/tickets/status", {"status": status}))["status"] == status


def test_a_bare_uuid_is_no_name(http: KubeHttp, namespace: str) -> None:
    refused(http.post(_path(namespace), _job("6b1d5c0e-6f0f-4f5e-9a86-0b0f6f3a6a55")), 422, "Invalid")


def test_runner_and_operator_write_their_own_parts(http: KubeHttp, namespace: str) -> None:
    path = f"{_path(namespace)}/tickets/status"
    ok(http.post(_path(namespace), _job()))
    attempt = {"number": 1, "jobName": "tickets-1", "podName": "tickets-1-abcde", "podUID": "uid"}
    ok(http.patch(path, {"status": {"phase": "Validating", "attempt": attempt}}))
    run = {"attempt": 1, "podUID": "uid", "stage": "Running", "progress": {"percent": "12.5", "calls": 3}}
    status = ok(http.patch(path, {"status": {"run": run}}))["status"]
    assert status["phase"] == "Validating"
    assert status["attempt"] == attempt
    assert status["run"]["progress"] == {"percent": "12.5", "calls": 3}


def test_finished_jobs_leave_a_watch(http: KubeHttp, namespace: str) -> None:
    selector = "dspy-service.io/finished!=true"
    version = ok(http.get(_path(namespace), labelSelector=selector))["metadata"]["resourceVersion"]
    ok(http.post(_path(namespace), _job()))
    ok(http.patch(f"{_path(namespace)}/tickets", {"metadata": {"labels": {"dspy-service.io/finished": "true"}}}))
    with http.watch(_path(namespace), resourceVersion=version, labelSelector=selector) as events:
        seen = [next(events)["type"] for _ in range(2)]
    assert seen == ["ADDED", "DELETED"]


def test_columns_and_short_name(http: KubeHttp, kubectl: Kubectl, namespace: str) -> None:
    ok(http.post(_path(namespace), _job()))
    ok(http.patch(f"{_path(namespace)}/tickets/status", {"status": {"phase": "Running"}}))
    table = ok(http.get(_path(namespace), accept=TABLE))
    assert table["columnDefinitions"][0]["name"] == "Name"
    assert "Running" in table["rows"][0]["cells"]
    assert "Running" in kubectl.run("get", "oj")
    assert "tickets" in kubectl.run("describe", "optimizationjob", "tickets")
    assert "kwargs" in kubectl.run("explain", "optimizationjob.spec.optimizer")
