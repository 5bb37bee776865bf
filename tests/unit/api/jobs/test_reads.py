"""GET /jobs/{id} and what is below it, from resources and stores as runs leave them."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from api_service import Harness, entries, events, failed, put_artifact, put_result, put_segment, running, succeeded
from declared_answers import held_to
from deep_json import DEPTHS, nested
from dspy_service_api.answers import present
from dspy_service_api.jobs.cache import JobCache
from dspy_service_api.jobs.from_resource import record_of
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.nesting import deeper_than
from dspy_service_core.resource import names
from faulty_transport import fails

ID = "4f0c6b6e-8a0e-4a59-9a38-6b4c6f1d2a10"


async def answer(api: Harness, path: str, code: int = 200) -> Any:
    response = await api.client.get(path)
    assert response.status_code == code, response.text
    assert response.headers["content-type"] == "application/json"
    return response.json()


async def finished(api: Harness, logs: int = 50, count: int = 20) -> dict[str, Any]:
    job = await api.job(names.api_job(ID), succeeded(logs, count, job_id=ID))
    put_segment(api.store, job, "logs", entries(logs))
    put_segment(api.store, job, "events", events(count))
    put_result(api.store, job)
    put_artifact(api.store, job)
    return job


async def test_a_finished_job_is_answered_whole(api: Harness) -> None:
    await finished(api)
    detail = await answer(api, f"/jobs/{ID}")
    held_to("JobDetail", detail)
    assert detail["job_id"] == ID
    assert detail["status"] == "success"
    assert detail["message"] == "Optimization completed successfully."
    assert [e["message"] for e in detail["logs"]] == [f"line {n}" for n in range(1, 51)]
    assert [e["metrics"]["tqdm_n"] for e in detail["progress_events"]] == list(range(1, 21))
    assert detail["estimated_seconds_remaining"] is None
    result = detail["result"]
    assert result["run_log"] == detail["logs"] == await answer(api, f"/jobs/{ID}/logs")
    assert result["split_counts"] == {"train": 10, "val": 6, "test": 4}
    assert (result["baseline_test_metric"], result["optimized_test_metric"]) == (50.0, 75.0)
    assert result["details"]["optimizer_stats"] == {"trials": 7}
    assert result["runtime_seconds"] == 61.5
    assert result["program_artifact"]["program_state"] == {"predict": {"demos": []}}
    artifact = await answer(api, f"/jobs/{ID}/artifact")
    held_to("ArtifactAnswer", artifact)
    assert artifact["program_artifact"] == result["program_artifact"]
    digests = artifact["program_artifact"]["digests"]
    assert set(digests) == {"program.json", "program.pkl", "prompt.md", "metadata.json", "signature.py"}
    assert digests["prompt.md"] == f"sha256:{hashlib.sha256(b'# predict' + bytes([10])).hexdigest()}"
    assert artifact["program_artifact_path"].endswith(f"artifacts/{ID}")


async def test_an_artifact_says_what_was_submitted_and_what_is_sent(api: Harness) -> None:
    job = await api.job("tickets", succeeded(1))
    told = {"signature": "sha256:1", "program_files/a b/ü.txt": "sha256:2"}
    put_artifact(
        api.store,
        job,
        submitted=told,
        contents={
            "baseline.json": b'{"predict":{"demos":[1]}}',
            "messages.json": b'{"adapter":"chat","predictors":{}}',
            "knn.json": b'{"k":3}',
            "joined.json": b'{"programs":[]}',
            "program.py": "class Ü(dspy.Module): ...".encode(),
            "program_files.json": orjson.dumps({"a b/ü.txt": "x\r\n"}),
            "arguments.json": b'{"module":null,"kwargs":{"k":3},"adapter":"json"}',
        },
    )
    answered = await answer(api, "/jobs/tickets/artifact")
    held_to("ArtifactAnswer", answered)
    bundle = answered["program_artifact"]
    assert bundle["baseline_state"] == {"predict": {"demos": [1]}}
    assert bundle["messages"] == {"adapter": "chat", "predictors": {}}
    assert bundle["nearest_rows"] == {"k": 3}
    assert bundle["joined_programs"] == {"programs": []}
    assert bundle["signature_code"] == "class Ticket: ..."
    assert bundle["program_code"] == "class Ü(dspy.Module): ..."
    assert bundle["program_files"] == {"a b/ü.txt": "x\r\n"}
    assert bundle["arguments"] == {"module": None, "kwargs": {"k": 3}, "adapter": "json"}
    assert bundle["submitted_digests"] == told
    assert bundle["digests"]["program.py"] == f"sha256:{hashlib.sha256(bundle['program_code'].encode()).hexdigest()}"


@pytest.mark.parametrize("spoilt", [b"[1]", b"{", b'"x"', b"\xff", b"3"])
async def test_messages_that_a_job_spoilt_are_none(api: Harness, spoilt: bytes) -> None:
    job = await api.job("tickets", succeeded(1))
    put_artifact(api.store, job, contents={"messages.json": spoilt, "baseline.json": spoilt})
    answered = await answer(api, "/jobs/tickets/artifact")
    held_to("ArtifactAnswer", answered)
    assert answered["program_artifact"]["messages"] is None


async def test_an_artifact_of_an_earlier_release_lacks_what_is_new(api: Harness) -> None:
    put_artifact(api.store, await api.job("tickets", succeeded(1)), left_out=["signature.py"])
    bundle = (await answer(api, "/jobs/tickets/artifact"))["program_artifact"]
    new = ("baseline_state", "messages", "signature_code", "program_code", "program_files", "arguments", "nearest_rows")
    assert {bundle[name] for name in (*new, "joined_programs")} == {None}
    assert bundle["submitted_digests"] == {}


@pytest.mark.parametrize("value", ["DROP", "", "nan", "inf", "1e999", "9" * 5000])
async def test_a_status_with_a_figure_that_is_none_is_answered_without_it(value: str) -> None:
    status = running() | {"startedAt": None}
    run = status["run"] | {"startedAt": value, "progress": {"etaSeconds": value}}
    run |= {"result": {"outcome": "Succeeded", **dict.fromkeys(("baselineScore", "runtimeSeconds"), value)}}
    metadata = {"name": "a", "uid": "u", "resourceVersion": "1", "creationTimestamp": "2026-03-01T09:30:00Z"}
    spec: dict[str, Any] = {part: {"name": "x"} for part in ("module", "optimizer", "metric")}
    spec |= {"models": {"default": {"name": "m"}}, "dataset": {}}
    ended = {"phase": "Succeeded", "completedAt": value}
    record = record_of({"metadata": metadata, "spec": spec, "status": status | {"run": run} | ended})
    summary = orjson.loads(present.summary(record, 0))
    for name in ("started_at", "completed_at", "elapsed_seconds", "estimated_seconds_remaining"):
        assert summary[name] is None
    assert record.end is not None
    figures = (record.end.baseline_score, record.end.runtime_seconds, record.progress.eta_seconds)
    assert figures == (None, None, None)


async def test_a_manifest_other_than_the_status_says_is_served_to_nobody(api: Harness) -> None:
    for digest, code in ((f"sha256:{'0' * 64}", 503), ("", 200)):
        job_id = ID.replace("4", "5" if digest else "6")
        told = {"path": f"artifacts/{job_id}", "bytes": 100, "digest": digest}
        job = await api.job(names.api_job(job_id), succeeded(1, 1, job_id=job_id, artifact=told))
        put_artifact(api.store, job)
        assert (await api.client.get(f"/jobs/{job_id}/artifact")).status_code == code


async def test_the_summary_tells_what_was_asked_for(api: Harness) -> None:
    await finished(api)
    summary = await answer(api, f"/jobs/{ID}/summary")
    held_to("JobSummary", summary)
    assert summary["elapsed_seconds"] == summary["running_seconds"] == 61.5
    assert summary["dataset_rows"] == 20
    assert summary["split_fractions"] == {"train": 0.5, "val": 0.3, "test": 0.2}
    assert (summary["seed"], summary["shuffle"]) == (7, True)
    assert (summary["adapter"], summary["split_column"]) == ("chat", None)
    assert summary["optimizer_kwargs"] == {"auto": "light"}


@pytest.mark.parametrize(
    ("given", "shown"), [({"name": "Triage"}, "Triage"), ({}, "program"), ({"name": ""}, "program")]
)
async def test_a_job_with_a_program_shows_its_class_as_its_module(
    api: Harness, given: dict[str, Any], shown: str
) -> None:
    program = {"code": "class Triage(dspy.Module): ...", **given}
    gone = {"module": None, "signature": None, "columns": None}
    job = await api.job("triage", succeeded(0, 0), program=program, **gone)
    put_result(api.store, job)
    put_artifact(api.store, job)
    assert (await answer(api, "/jobs/triage/summary"))["module_name"] == shown
    assert (await answer(api, "/jobs/triage"))["result"]["module_name"] == shown


async def test_a_running_job_shows_its_last_event_and_what_remains(api: Harness) -> None:
    await api.job("tickets", running(3, 2))
    detail = await answer(api, "/jobs/tickets")
    held_to("JobDetail", detail)
    assert detail["job_id"] == "tickets"
    assert (detail["status"], detail["message"]) == ("running", "optimizer_progress")
    assert detail["estimated_seconds_remaining"] == 42.3
    assert detail["result"] is None
    assert detail["latest_metrics"] == {"baseline_test_metric": 50.0}
    assert len(detail["logs"]) == 3
    assert (await answer(api, "/jobs/tickets/summary"))["elapsed_seconds"] is None


async def test_the_budget_is_told_as_it_was_asked_for(api: Harness) -> None:
    await api.job("tickets", running(), budget={"modelCalls": 500, "costUsd": "2.5"})
    await api.job("free", running())
    for path in ("", "/summary"):
        assert (await answer(api, f"/jobs/tickets{path}"))["budget"] == {"model_calls": 500, "cost_usd": 2.5}
        assert (await answer(api, f"/jobs/free{path}"))["budget"] is None


async def test_adapter_and_split_column_are_told_as_they_were_asked_for(api: Harness) -> None:
    split = {"column": "part", "seed": 7}
    await api.job("tickets", running(), adapter="json", split=split)
    for path in ("/jobs/tickets", "/jobs/tickets/summary"):
        answered = await answer(api, path)
        assert (answered["adapter"], answered["split_column"]) == ("json", "part")


async def test_a_running_job_tells_its_best_so_far_with_its_rows(api: Harness) -> None:
    progress = {"bestScore": "66.67", "bestScoreOn": "validation", "bestScoreRows": 6, "bestScoreAtCall": 31}
    status = running(3, 2)
    await api.job("tickets", status | {"run": status["run"] | {"progress": progress}})
    told = {"best_score": 66.67, "best_score_on": "validation", "best_score_rows": 6, "best_score_at_call": 31}
    for path in ("/jobs/tickets", "/jobs/tickets/summary"):
        answered = await answer(api, path)
        assert {name: answered[name] for name in told} == told


@pytest.mark.parametrize(
    ("started", "seconds"),
    [("2026-03-01T09:30:05.000Z", 12.0), ("2026-03-01T09:30:18.000Z", 0.0), (None, None)],
    ids=["whole seconds", "a clock that is behind", "not started"],
)
async def test_the_seconds_of_a_job_that_goes_on_count(
    api: Harness, started: str | None, seconds: float | None
) -> None:
    job = await api.job("tickets", running() | {"startedAt": started})
    run = {name: value for name, value in job["status"]["run"].items() if name != "startedAt"}
    record = record_of(job | {"status": job["status"] | {"run": run}})
    now = datetime(2026, 3, 1, 9, 30, 17, 900_000, tzinfo=UTC)
    assert orjson.loads(present.summary(record, 0, lambda: now))["running_seconds"] == seconds
    detail = present.detail(record, 0, b"[]", b"[]", None, lambda: now)
    assert orjson.loads(detail)["running_seconds"] == seconds


async def test_a_running_job_says_what_is_wrong_with_its_store(api: Harness) -> None:
    trouble = "No space left on device; trying again"
    await api.job("tickets", running(3, 2, message=trouble))
    for path in ("/jobs/tickets", "/jobs/tickets/summary"):
        assert (await answer(api, path))["message"] == trouble


@pytest.mark.parametrize(
    ("stored", "count", "seen"),
    [
        pytest.param(0, 15, 15, id="only the status knows of them yet"),
        pytest.param(10, 25, 25, id="the tail goes on where the store ends"),
        pytest.param(10, 40, 10, id="a gap between them waits for the store"),
        pytest.param(30, 25, 30, id="the store is ahead of the status"),
    ],
)
async def test_segments_and_tail_are_joined_by_number(api: Harness, stored: int, count: int, seen: int) -> None:
    job = await api.job("tickets", running(count))
    if stored:
        put_segment(api.store, job, "logs", entries(stored))
    lines = await answer(api, "/jobs/tickets/logs")
    assert [line["message"] for line in lines] == [f"line {n}" for n in range(1, seen + 1)]
    page = await answer(api, "/jobs/tickets/logs?after=0&limit=5000")
    assert [line["n"] for line in page] == list(range(1, seen + 1))


async def test_pages_go_on_by_number(api: Harness) -> None:
    job = await api.job("tickets", running(45))
    put_segment(api.store, job, "logs", entries(40)[:25])
    put_segment(api.store, job, "logs", entries(40)[25:], first=26)
    numbers: list[int] = []
    while page := await answer(api, f"/jobs/tickets/logs?after={numbers[-1] if numbers else 0}&limit=7"):
        held_to("PagedLogEntry[]", page)
        assert [line["message"] for line in page] == [f"line {line['n']}" for line in page]
        numbers += [line["n"] for line in page]
    assert numbers == list(range(1, 46))


async def test_events_page_alike(api: Harness) -> None:
    await finished(api)
    page = await answer(api, f"/jobs/{ID}/events?after=18")
    held_to("PagedProgressEvent[]", page)
    assert [event["n"] for event in page] == [19, 20]
    assert len(await answer(api, f"/jobs/{ID}/events")) == 20


def tried(count: int, said: str = "Better.") -> list[dict[str, Any]]:
    changes = {"predict": {"instructions": said, "demos": None}}
    told = {"at_call": 3, "score": 50.0, "rows": 6, "accepted": False, "changes": changes}
    return [{"parents": [n] if n else [], **told} for n in range(count)]


async def test_candidates_page_while_the_job_runs(api: Harness) -> None:
    """Those that the status counts and the store has not yet come later."""
    job = await api.job("tickets", running(candidates=9))
    assert await answer(api, "/jobs/tickets/candidates") == []
    put_segment(api.store, job, "candidates", tried(5))
    put_segment(api.store, job, "candidates", tried(7)[5:], first=6)
    pages = [await answer(api, f"/jobs/tickets/candidates?after={after}&limit=3") for after in (0, 3, 6, 7)]
    for page in pages:
        held_to("Candidate[]", page)
    assert [[each["n"] for each in page] for page in pages] == [[1, 2, 3], [4, 5, 6], [7], []]
    assert pages[1][0] == {"n": 4, **tried(4)[3]}
    for path in ("/jobs/tickets", "/jobs/tickets/summary"):
        assert (await answer(api, path))["candidates_count"] == 9


async def test_a_page_of_long_prompts_ends_sooner(api: Harness) -> None:
    job = await api.job("tickets", running(candidates=60))
    for n in range(60):
        put_segment(api.store, job, "candidates", tried(1, "x" * 250_000), first=n + 1)
    numbers: list[int] = []
    pages = 0
    while page := await answer(api, f"/jobs/tickets/candidates?after={len(numbers)}&limit=5000"):
        numbers += [each["n"] for each in page]
        pages += 1
    assert (numbers, pages) == ([*range(1, 61)], 2)


async def test_in_brief_candidates_have_no_texts_and_all_fit_on_a_page(api: Harness) -> None:
    job = await api.job("tickets", running(candidates=40))
    path = "/jobs/tickets/candidates?brief=true"
    for n in range(40):
        put_segment(api.store, job, "candidates", tried(1, "x" * 250_000), first=n + 1)
    found = await answer(api, path)
    held_to("CandidateInBrief[]", found)
    assert [each["n"] for each in found] == list(range(1, 41))
    assert not [each for each in found if "changes" in each]
    assert [each["n"] for each in await answer(api, f"{path}&after=37&limit=2")] == [38, 39]
    assert await answer(api, f"{path}&after=40") == []
    put_segment(api.store, job, "candidates", tried(1), first=41)
    assert len(await answer(api, path)) == 40, "the status does not count it yet"
    await api.update("tickets", {"status": running(candidates=41)})
    assert len(await answer(api, path)) == 41
    assert (await answer(api, "/jobs/tickets/candidates?brief=perhaps", 422))["detail"][0]["field"] == "brief"


async def test_of_very_many_candidates_not_all_are_kept_and_all_are_answered(api: Harness) -> None:
    job = await api.job("tickets", running(candidates=2100))
    put_segment(api.store, job, "candidates", tried(2100))
    numbers: list[int] = []
    while page := await answer(api, f"/jobs/tickets/candidates?brief=true&after={len(numbers)}&limit=900"):
        numbers += [each["n"] for each in page]
    assert numbers == list(range(1, 2101))


def _with_candidates(status: dict[str, Any], count: int) -> dict[str, Any]:
    return status | {"run": status["run"] | {"candidates": count}}


async def test_candidates_that_the_store_has_lost_are_an_error(api: Harness) -> None:
    job = await api.job(names.api_job(ID), _with_candidates(succeeded(job_id=ID), 4))
    put_segment(api.store, job, "candidates", tried(3))
    assert (await answer(api, f"/jobs/{ID}/candidates", 503))["code"] == "store_unavailable"
    put_segment(api.store, job, "candidates", tried(4))
    assert len(await answer(api, f"/jobs/{ID}/candidates")) == 4


@pytest.mark.parametrize("query", ["after=-1", "after=x", "limit=0", "limit=5001"])
async def test_a_page_of_candidates_that_cannot_be_is_refused(api: Harness, query: str) -> None:
    await api.job("tickets", running())
    problem = await answer(api, f"/jobs/tickets/candidates?{query}", 422)
    assert problem["detail"][0]["field"] == query.partition("=")[0]


async def test_a_job_answers_its_newest_5000_entries(api: Harness) -> None:
    job = await api.job(names.api_job(ID), succeeded(6000, job_id=ID))
    put_result(api.store, job)
    put_artifact(api.store, job)
    for first in range(1, 6001, 1500):
        put_segment(api.store, job, "logs", entries(6000)[first - 1 : first + 1499], first)
    lines = await answer(api, f"/jobs/{ID}/logs")
    assert (len(lines), lines[0]["message"], lines[-1]["message"]) == (5000, "line 1001", "line 6000")
    assert (await answer(api, f"/jobs/{ID}"))["result"]["run_log"] == lines


async def test_a_failure_has_its_message_and_the_same_shape(api: Harness) -> None:
    job = await api.job("tickets", failed("SyntaxError: invalid syntax", run=running(2)["run"]))
    put_segment(api.store, job, "logs", entries(2))
    detail = await answer(api, "/jobs/tickets")
    held_to("JobDetail", detail)
    assert (detail["status"], detail["message"]) == ("failed", "SyntaxError: invalid syntax")
    result = detail["result"]
    assert result["run_log"] == detail["logs"]
    assert len(result["run_log"]) == 2
    assert result["program_artifact"] is result["program_artifact_path"] is None
    assert result["baseline_test_metric"] is result["optimized_test_metric"] is None
    assert result["metric_name"] == "metric"
    assert result["split_counts"] == {"train": 10, "val": 6, "test": 4}
    assert await answer(api, "/jobs/tickets/artifact", 404) == {
        "detail": "Job did not produce an artifact.",
        "code": "no_artifact",
    }


async def test_a_job_that_never_ran_has_an_answer(api: Harness) -> None:
    await api.job("tickets", {"phase": "Cancelled", "completedAt": "2026-03-01T09:31:06Z"})
    detail = await answer(api, "/jobs/tickets")
    held_to("JobDetail", detail)
    assert (detail["status"], detail["logs"], detail["result"]["run_log"]) == ("cancelled", [], [])


async def test_stopped_early_says_so(api: Harness) -> None:
    job = await api.job("tickets", succeeded(stoppedEarly=True))
    put_result(api.store, job)
    put_artifact(api.store, job)
    detail = await answer(api, "/jobs/tickets")
    assert "early" in detail["message"]
    assert detail["result"]["details"]["stopped_early"] is True


async def test_waiting_jobs_know_their_place(api: Harness) -> None:
    for name, priority in (("low", 0), ("high", 5), ("lower", 0)):
        await api.job(name, run={"priority": priority})
    messages = [(await answer(api, f"/jobs/{name}/summary"))["message"] for name in ("high", "low", "lower")]
    assert messages == [f"Waiting to start, at position {n} of the queue." for n in (1, 2, 3)]
    await api.update("high", {"status": {"phase": "Running"}})
    assert (await answer(api, "/jobs/low/summary"))["message"] == "Waiting to start, at position 1 of the queue."


async def test_unfinished_jobs_have_no_artifact_yet(api: Harness) -> None:
    await api.job("tickets", running())
    assert await answer(api, "/jobs/tickets/artifact", 409) == {
        "detail": "Job has not finished yet.",
        "code": "not_finished",
    }


async def test_an_artifact_is_there_once_any_replica_has_told_of_the_end(api: Harness) -> None:
    earlier = await api.job("tickets", running())
    behind = replace(api.service.jobs, cache=JobCache())
    behind.cache.upsert(earlier)
    put_artifact(api.store, await api.update("tickets", {"status": succeeded(1)}))
    assert orjson.loads((await behind.artifact("tickets")).body) == await answer(api, "/jobs/tickets/artifact")


@pytest.mark.parametrize("job_id", [ID, "nobody", "No_Name", "%2e%2e%2fetc", "a" * 300, "ä", "-a"])
@pytest.mark.parametrize("path", ["", "/summary", "/logs", "/events", "/candidates", "/artifact"])
async def test_unknown_jobs_are_named(api: Harness, job_id: str, path: str) -> None:
    if "%2f" in job_id:
        assert "detail" in await answer(api, f"/jobs/{job_id}{path}", 404)
    else:
        assert await answer(api, f"/jobs/{job_id}{path}", 404) == {
            "detail": f"Unknown job '{job_id}'.",
            "code": "unknown_job",
        }


async def test_a_job_that_the_watch_has_not_told_of_is_asked_for(api: Harness) -> None:
    job = await api.job("tickets")
    api.service.cache.retain(frozenset())
    assert (await answer(api, "/jobs/tickets"))["job_id"] == job["metadata"]["name"]


async def test_a_miss_with_the_cluster_away_is_no_404(api: Harness) -> None:
    api.cluster.transport.before = fails("get", OPTIMIZATION_JOBS, kube.Unavailable("connection refused"))
    response = await api.client.get("/jobs/tickets")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0


@pytest.mark.parametrize("depth", DEPTHS)
async def test_an_artifact_of_any_depth_is_answered_in_json_that_everybody_reads(api: Harness, depth: int) -> None:
    job = await api.job("tickets", succeeded(1))
    put_artifact(api.store, job, contents={"program.json": nested(depth), "metadata.json": nested(depth)})
    answer = await api.client.get("/jobs/tickets/artifact")
    assert answer.status_code == 200
    assert deeper_than(json.loads(answer.content), 100)


FIGURES = {"calls": 7, "promptTokens": 300, "completionTokens": 20, "costUsd": "0.0125", "seconds": "1.5"}
TOLD = {
    "calls": 7,
    "cached_calls": 0,
    "prompt_tokens": 300,
    "completion_tokens": 20,
    "cached_prompt_tokens": 0,
    "reasoning_tokens": 0,
    "cost_usd": 0.0125,
    "seconds": 1.5,
}


async def test_usage_is_in_the_job_its_summary_the_list_and_the_result(api: Harness) -> None:
    status = failed("boom")
    status["run"] = status.get("run", {}) | {"usage": FIGURES | {"callsUnknown": 2}}
    await api.job(names.api_job(ID), status)

    detail, summary = await answer(api, f"/jobs/{ID}"), await answer(api, f"/jobs/{ID}/summary")
    (listed,) = (await answer(api, "/jobs"))["jobs"]

    assert detail["usage"] == summary["usage"] == listed["usage"] == TOLD
    assert detail["result"]["details"]["usage"] == {
        "total": TOLD,
        "by_model": {},
        "by_stage": {},
        "by_predictor": {},
        "calls_unknown": 2,
    }


async def test_the_run_s_own_breakdown_is_in_its_result(api: Harness) -> None:
    found = {
        "total": TOLD,
        "by_model": {"default": TOLD},
        "by_stage": {"final": TOLD},
        "by_predictor": {"self": TOLD},
        "calls_unknown": 0,
    }
    job = await api.job(names.api_job(ID), succeeded(job_id=ID))
    put_result(api.store, job, details={"usage": found})
    put_artifact(api.store, job)
    detail = await answer(api, f"/jobs/{ID}")
    held_to("JobDetail", detail)
    assert detail["result"]["details"]["usage"] == found


async def test_a_job_that_asked_nothing_has_no_usage(api: Harness) -> None:
    await api.job(names.api_job(ID), {})
    usage = (await answer(api, f"/jobs/{ID}"))["usage"]
    assert usage.pop("cost_usd") is None
    assert set(usage.values()) == {0}


async def test_a_query_that_nobody_knows_is_ignored(api: Harness) -> None:
    assert await answer(api, "/jobs?names=nightly") == {"jobs": [], "next_cursor": None, "total": 0}
