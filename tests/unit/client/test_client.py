import httpx
import pytest

import dspy_service
from dspy_service import Client, Retries
from fake_service import FakeService

BUSY = httpx.Response(503, json={"detail": "no cluster"}, headers={"Retry-After": "3"})


def client_of(service: FakeService, **options: object) -> Client:
    return Client("http://service", transport=service.transport, sleep=service.sleep, **options)  # type: ignore[arg-type]  # any of Client's own


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (
            httpx.Response(422, json={"error": "invalid_request", "detail": [{"field": "dataset", "message": "m"}]}),
            "InvalidPayload",
        ),
        (httpx.Response(400, json={"detail": "Unknown optimizer"}), "UnusablePayload"),
        (httpx.Response(401, json={"detail": "token"}), "NotAllowed"),
        (httpx.Response(403, json={"detail": "Host"}), "NotAllowed"),
        (httpx.Response(404, json={"detail": "Unknown job 'x'."}), "UnknownJob"),
        (httpx.Response(404, json={"detail": "Job did not produce an artifact."}), "UnknownJob"),  # words say nothing
        (httpx.Response(409, json={"detail": "Job has not finished yet."}), "NotFinished"),
        (httpx.Response(413, json={"detail": "too large"}), "PayloadTooLarge"),
        (httpx.Response(500, json={"detail": "wrong"}), "UnexpectedAnswer"),
        (httpx.Response(418, text="not even JSON"), "UnexpectedAnswer"),
    ],
)
def test_an_answer_means_one_error_and_is_not_asked_for_again(answer: httpx.Response, error: str) -> None:
    service = FakeService()
    service.faults = [answer]
    with pytest.raises(getattr(dspy_service, error)):
        client_of(service).summary("x")
    assert len(service.requests) == 1


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "unusable_request", "UnusablePayload"),
        (400, "resource_refused", "UnusablePayload"),
        (400, "malformed_http", "UnexpectedAnswer"),
        (401, "not_authenticated", "NotAllowed"),
        (403, "forbidden", "NotAllowed"),
        (404, "unknown_job", "UnknownJob"),
        (404, "no_artifact", "NoArtifact"),
        (404, "unknown_path", "UnexpectedAnswer"),
        (409, "not_finished", "NotFinished"),
        (409, "idempotency_conflict", "IdempotencyConflict"),
        (413, "body_too_large", "PayloadTooLarge"),
        (500, "internal_error", "UnexpectedAnswer"),
        (404, "a_code_of_a_newer_service", "UnknownJob"),
        (409, "a_code_of_a_newer_service", "NotFinished"),
    ],
)
def test_the_code_says_which_error_it_is(status: int, code: str, error: str) -> None:
    """Whatever the words are: they are of another error here, and the job is named like a third."""
    service = FakeService()
    service.faults = [httpx.Response(status, json={"detail": "Job 'artifact' is not finished", "code": code})]
    with pytest.raises(dspy_service.DspyServiceError) as raised:
        client_of(service).summary("artifact")
    assert (type(raised.value).__name__, raised.value.code) == (error, code)


@pytest.mark.parametrize("said", [{}, {"code": "idempotency_conflict"}, {"code": 5}])
def test_a_conflict_at_submit_is_the_keys(said: dict[str, object]) -> None:
    service = FakeService()
    service.faults = [httpx.Response(409, json={"detail": "Idempotency-Key 'k' was used with another body", **said})]
    with pytest.raises(dspy_service.IdempotencyConflict):
        client_of(service).submit({}, idempotency_key="k")


def test_an_invalid_payload_names_its_fields() -> None:
    service = FakeService()
    problem = {"field": "dataset[0].x", "message": "Input should be a string", "type": "string_type"}
    service.faults = [httpx.Response(422, json={"error": "invalid_request", "detail": [problem]})]
    with pytest.raises(dspy_service.InvalidPayload) as raised:
        client_of(service).submit({})
    assert raised.value.problems[0].field == "dataset[0].x"


@pytest.mark.parametrize(
    "faults",
    [
        [BUSY],
        [httpx.ConnectError("refused"), httpx.ReadError("reset"), BUSY],
        [httpx.ReadTimeout("slow")],
        [httpx.RemoteProtocolError("closed")],
        [httpx.Response(502), httpx.Response(504)],
    ],
)
def test_submitting_again_after_a_fault_makes_no_second_job(faults: list[httpx.Response | Exception]) -> None:
    service = FakeService()
    service.faults = list(faults)
    assert client_of(service).submit({"dataset": []}).job_id == "job1"
    keys = {request.headers["idempotency-key"] for request in service.requests}
    assert len(keys) == 1
    assert len(service.requests) == len(faults) + 1
    assert len(service.jobs) == 1


def test_two_submits_are_two_jobs_unless_they_share_a_key() -> None:
    client = client_of(FakeService())
    assert client.submit({}).job_id != client.submit({}).job_id
    assert client.submit({}, idempotency_key="k").job_id == client.submit({}, idempotency_key="k").job_id


def test_it_gives_up_after_all_attempts_with_the_last_cause() -> None:
    service = FakeService()
    service.faults = [httpx.ConnectError("Connection refused")] * 9
    with pytest.raises(dspy_service.ServiceUnreachable, match=r"http://service.*Connection refused"):
        client_of(service, retries=Retries(attempts=3)).health()
    assert len(service.requests) == 3
    service.faults = [BUSY] * 9
    with pytest.raises(dspy_service.ServiceUnavailable) as raised:
        client_of(service, retries=Retries(attempts=2)).health()
    assert raised.value.retry_after == 3


def test_it_waits_as_long_as_asked() -> None:
    service = FakeService()
    service.faults = [BUSY]
    client_of(service).health()
    assert service.slept == [3.0]


def test_the_token_is_sent() -> None:
    service = FakeService()
    client_of(service, token="t0ken").health()
    assert service.requests[0].headers["authorization"] == "Bearer t0ken"


def test_url_and_token_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSPY_SERVICE_URL", "http://elsewhere:81/")
    monkeypatch.setenv("DSPY_SERVICE_TOKEN", "secret")
    service = FakeService()
    client = Client(transport=service.transport)
    client.health()
    assert str(service.requests[0].url) == "http://elsewhere:81/health"
    assert service.requests[0].headers["authorization"] == "Bearer secret"


def test_a_warning_about_unknown_keys_is_handed_on() -> None:
    service = FakeService()
    accepted = {"job_id": "j", "status": "pending", "estimated_remaining_seconds": None}
    service.faults = [httpx.Response(200, json=accepted, headers={"Warning": '299 - "unknown: x"'})]
    assert "unknown: x" in (client_of(service).submit({}).warning or "")


def test_a_job_id_cannot_leave_its_place_in_the_path() -> None:
    service = FakeService()
    with pytest.raises(dspy_service.UnknownJob):
        client_of(service).summary("../health?x=")
    assert service.requests[0].url.raw_path.startswith(b"/jobs/..%2Fhealth")


def test_watching_yields_every_entry_once_and_ends() -> None:
    service = FakeService()
    service.add("pending", "pending", "running", "running", "success", logs=[str(n) for n in range(10)])
    updates = list(client_of(service).watch("job1"))
    assert [entry.message for update in updates for entry in update.logs] == [str(n) for n in range(10)]
    assert updates[-1].summary.finished
    assert service.slept, "it looks again only after a while"


def test_watching_slows_down_while_nothing_happens() -> None:
    service = FakeService()
    service.add(*["running"] * 12, "success")
    updates = list(client_of(service).watch("job1"))
    assert [update.summary.status for update in updates] == ["running", "success"]
    assert service.slept == sorted(service.slept)
    assert service.slept[-1] > service.slept[0]


def test_long_logs_come_page_by_page() -> None:
    service = FakeService()
    job = service.add("success", logs=[str(n) for n in range(2500)])
    job.looks = 1
    assert [entry.n for entry in client_of(service).logs("job1")] == list(range(1, 2501))
    assert len(service.requests) == 3


def test_waiting_ends_with_the_job_however_it_ended() -> None:
    service = FakeService()
    service.add("running", "failed", message="the metric raised")
    job = client_of(service).wait("job1")
    with pytest.raises(dspy_service.JobFailed, match="the metric raised"):
        job.raise_unless_success()


def test_listing_follows_the_cursor() -> None:
    service = FakeService()
    for _ in range(5):
        service.add("success")
    assert [job.job_id for job in client_of(service).list()] == ["job1", "job2", "job3", "job4", "job5"]


@pytest.mark.parametrize("verb", ["stop", "pause", "resume"])
def test_a_job_is_controlled_until_it_has_ended(verb: str) -> None:
    service = FakeService()
    service.add("running")
    client = client_of(service)

    asked = getattr(client, verb)("job1")
    assert (asked.job_id, asked.status) == ("job1", "running")
    assert (service.requests[-1].method, service.requests[-1].url.path) == ("POST", f"/jobs/job1/{verb}")

    assert client.cancel("job1").status == "cancelled"
    assert client.cancel("job1").status == "cancelled"
    with pytest.raises(dspy_service.JobEnded, match="ended already: cancelled") as raised:
        getattr(client, verb)("job1")
    assert raised.value.code == "job_ended"


def test_deleting_tells_what_keeps_a_record() -> None:
    service = FakeService()
    service.add("running")
    answer = {"detail": "It stays.", "code": "record_kept", "finalizers": ["example.org/a", "b.org/c"]}
    service.faults = [httpx.Response(202, json=answer)]
    client = client_of(service)
    kept = client.delete("job1")
    assert kept == dspy_service.RecordKept("It stays.", ("example.org/a", "b.org/c"))
    assert client.delete("job1") is None


def test_an_answer_without_a_required_field_is_unexpected() -> None:
    service = FakeService()
    service.faults = [httpx.Response(200, json={"job_id": "j"}), httpx.Response(200, text="<html>")]
    client = client_of(service)
    for _ in range(2):
        with pytest.raises(dspy_service.UnexpectedAnswer, match="Summary"):
            client.summary("j")


def test_the_catalogue() -> None:
    found = client_of(FakeService()).catalogue()

    assert (found.python, found.packages, found.modules[0].predictors) == ("3.12", {"dspy": "3.4.1"}, 1)
    auto, metric = found.optimizers[0].arguments
    assert (auto.choices, auto.default, metric.set_by_service) == (("light", "heavy"), "light", "from metric_code")
    assert (auto.least, auto.description) == (None, "The budget's size.")


def test_an_estimate_makes_no_job() -> None:
    service = FakeService()
    found = client_of(service).estimate({"module_name": "cot", "dataset": [{"a": 1}]})
    assert service.jobs == {}
    assert service.requests[0].url.params["dry_run"] == "true"
    assert service.body(0) == {"module_name": "cot", "dataset": [{"a": 1}]}
    assert found.split_counts == dspy_service.SplitCounts(20, 0, 10)
    assert (found.estimate.metric_calls.least, found.estimate.metric_calls.most) == (24, 40)
    assert (found.estimate.model_calls.most, found.estimate.cost_usd.least) == (None, None)
    assert found.estimate.by_stage["final"].model_calls == dspy_service.CallRange(1, 2)
    assert found.warnings == ("Unknown keys were ignored: a",)


def test_an_estimate_takes_what_optimize_takes() -> None:
    service = FakeService()
    rows = [{"question": str(n), "answer": str(n)} for n in range(4)]
    metric = "def metric(gold, pred):\n    return gold.answer == pred.answer\n"
    client_of(service).estimate("question -> answer", metric=metric, rows=rows, lm="openai/gpt-4o-mini")
    assert service.body()["dataset"] == rows
    with pytest.raises(TypeError, match="metric cannot stand beside it"):
        client_of(service).estimate({"dataset": rows}, metric=metric)


def test_what_was_submitted_comes_back_for_another_submit() -> None:
    service = FakeService()
    job = service.add("success", payload={"module_name": "cot", "secrets": {"KEY": ""}})
    client = client_of(service)
    payload = client.payload(job.job_id)
    client.submit(payload | {"secrets": {"KEY": "value"}})
    assert service.body() == {"module_name": "cot", "secrets": {"KEY": "value"}}
    service.faults = [httpx.Response(404, json={"detail": "spec.metric lies elsewhere", "code": "no_payload"})]
    with pytest.raises(dspy_service.NoPayload, match="elsewhere"):
        client.payload(job.job_id)
