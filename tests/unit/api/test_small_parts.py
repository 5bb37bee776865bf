"""Settings, digests, log lines, names of metrics, and the table of errors."""

import io
import json
import logging
from pathlib import Path
from typing import Any

import orjson
import pytest

from api_service import Harness, entries, failed, put_artifact, put_result, put_segment, succeeded
from dspy_service_api.answers import error_codes
from dspy_service_api.http.problems import RULES, problem_of
from dspy_service_api.monitoring import log_lines
from dspy_service_api.settings import Settings
from dspy_service_api.submit import idempotency
from dspy_service_core import errors
from dspy_service_core.kube import errors as kube
from dspy_service_core.resource import names


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ('{"a":1,"b":2}', '{ "b": 2, "a": 1 }', True),
        ('{"a":1}', '{"a":1.0}', True),
        ('{"a":[{"b":1e2}]}', '{"a":[{"b":100}]}', True),
        ('{"a":"\\u00e4"}', '{"a":"ä"}', True),
        ('{"a":-0.0}', '{"a":0}', True),
        ('{"a":1}', '{"a":true}', False),
        ('{"a":1}', '{"a":"1"}', False),
        ('{"a":[1,2]}', '{"a":[2,1]}', False),
        ('{"a":null}', "{}", False),
        ('{"a":1e300}', '{"a":1e301}', False),
    ],
)
def test_bodies_are_equal_as_parsed_json(one: str, other: str, equal: bool) -> None:
    assert (idempotency.canonical_json(one.encode()) == idempotency.canonical_json(other.encode())) == equal


def test_a_digest_with_credentials_is_the_jobs_own() -> None:
    digests = {idempotency.digest(b"{}", job_id, holds_credentials=True) for job_id in ("a", "b")}
    assert len(digests) == 2
    assert idempotency.digest(b"{}", "a", holds_credentials=False) == idempotency.digest(
        b"{ }", "b", holds_credentials=False
    )


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DSPY_SERVICE_TRUSTED_HOSTS", "a, b.example.org")
    monkeypatch.setenv("DSPY_SERVICE_BODY_LIMIT_BYTES", "2048")
    monkeypatch.setenv("DSPY_SERVICE_TOKEN", "s3cret")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    settings = Settings()
    assert settings.trusted_hosts == ["a", "b.example.org"]
    assert settings.body_limit_bytes == 2048
    assert settings.kubeconfig == tmp_path / "kubeconfig"
    assert "s3cret" not in repr(settings)


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())


def test_log_lines_are_json_on_one_line() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(log_lines.JsonLines())
    record = logging.LogRecord("a", logging.INFO, "", 0, "two\nlines %s", ("and a value",), None)
    record.request_id = "abc"
    handler.emit(record)
    (line,) = stream.getvalue().splitlines()
    assert orjson.loads(line)["message"] == "two\nlines and a value"
    assert orjson.loads(line)["request_id"] == "abc"


def test_log_lines_steer_no_terminal() -> None:
    hostile = "/jobs/\x9b2J\u202e\u2028\x7f\x1b]52;c;A\x07\ud800"
    line = log_lines.JsonLines().format(logging.LogRecord("a", logging.INFO, "", 0, "GET %s", (hostile,), None))
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["message"] == f"GET {hostile}"


def subclasses(root: type[Exception]) -> set[type[Exception]]:
    return {root}.union(*(subclasses(kind) for kind in root.__subclasses__()))


def made(kind: type[Exception]) -> Exception:
    arguments: dict[type[Exception], tuple[Any, ...]] = {
        errors.InvalidRequest: ([],),
        errors.JobNotFinished: (),
        errors.NoBestYet: (),
        errors.NoArtifact: (),
        errors.NoRows: (),
    }
    return kind(*arguments.get(kind, ("x",)))


@pytest.mark.parametrize(
    "kind", sorted(subclasses(errors.ServiceError) | subclasses(kube.KubeError), key=lambda kind: kind.__name__)
)
def test_every_error_of_the_domain_has_an_answer(kind: type[Exception]) -> None:
    if kind is errors.ServiceError or not kind.__module__.startswith("dspy_service_core"):
        return
    problem = problem_of(made(kind))
    assert problem.code.status != 500
    assert problem.code.again == (problem.code.status == 503)
    assert problem.body["code"] == problem.code.code
    assert "detail" in problem.body


def test_a_code_has_one_meaning_and_asks_to_try_again_with_503_alone() -> None:
    assert len({error.code for error in error_codes.ALL}) == len(error_codes.ALL)
    assert all(error.again == (error.status == 503) for error in error_codes.ALL)


def test_the_table_names_no_error_twice() -> None:
    assert len(RULES) == len(set(RULES))


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("def metric(a, b): ...\ndef other(): ...", "metric"),
        ("def exact(a, b): ...\n    def inner(): ...", "exact"),
        ("def one(): ...\ndef two(): ...", None),
        ("metric = lambda a, b: 1", None),
    ],
)
async def test_a_job_that_died_names_its_metric_where_it_can(api: Harness, code: str, name: str | None) -> None:
    await api.job("tickets", failed("gone"), metric={"code": code})
    assert (await api.client.get("/jobs/tickets")).json()["result"]["metric_name"] == name


async def test_a_job_without_a_seed_shows_the_one_it_runs_with(api: Harness) -> None:
    await api.job("tickets", split={"seed": None})
    seed = (await api.client.get("/jobs/tickets/summary")).json()["seed"]
    assert seed == names.derived_seed("default", "tickets")


async def test_a_program_that_cannot_be_pickled_is_served_without_its_pickle(api: Harness) -> None:
    job = await api.job("tickets", succeeded())
    put_result(api.store, job)
    put_artifact(api.store, job, left_out=("program.pkl", "prompt.md"))
    artifact = (await api.client.get("/jobs/tickets/artifact")).json()["program_artifact"]
    assert artifact["program_pickle_base64"] is artifact["optimized_prompt"] is None
    assert artifact["program_state"] == {"predict": {"demos": []}}


async def test_a_failed_run_keeps_what_it_reported(api: Harness) -> None:
    status = succeeded(3, outcome="Failed", message="KeyError: 'x'", optimizedScore=None, artifact=None)
    job = await api.job("tickets", status | {"phase": "Failed", "message": "KeyError: 'x'"})
    put_segment(api.store, job, "logs", entries(3))
    put_result(api.store, job, outcome="Failed", metricName="exact")
    answer = (await api.client.get("/jobs/tickets")).json()
    assert answer["message"] == "KeyError: 'x'"
    assert answer["result"]["metric_name"] == "exact"
    assert answer["result"]["baseline_test_metric"] is None
    assert answer["result"]["program_artifact"] is None
    assert len(answer["result"]["run_log"]) == 3


async def test_what_the_jobs_own_code_wrote_breaks_no_answer(api: Harness) -> None:
    job = await api.job("tickets", succeeded())
    put_result(api.store, job, details=["no", "object"], metadata="none", metricName=7, modelIdentifier=None)
    put_artifact(api.store, job, contents={"metadata.json": b'{"cut', "program.json": b"\xff", "prompt.md": b"\xff"})
    result = (await api.client.get("/jobs/tickets")).json()["result"]
    assert result["program_artifact"]["metadata"] is result["program_artifact"]["program_state"] is None
    assert result["metric_name"] is None
    assert result["details"]["stopped_early"] is False
