"""One attempt from its turn to its end, the reporter in a thread beside a test that plays the optimizer."""

import hashlib
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from attempt_api import POD_UID, Answer, AttemptApi, refusal
from dspy_service_core.records.call_lines import CallKey, begun, ended
from dspy_service_core.records.usage import Usage
from dspy_service_runner.optimizer.inputs import read_job
from reporter_pod import JOB_ID, ROWS, ReporterPod, make_resource
from waiting import wait_for


@pytest.fixture
def api() -> AttemptApi:
    return AttemptApi(make_resource())


@pytest.fixture
def pod(tmp_path: Path, api: AttemptApi) -> ReporterPod:
    return ReporterPod(tmp_path / "pod", api)


RARE_PATCHES = ["--progress-interval", "3600", "--heartbeat-interval", "3600", "--ask-interval", "0.05"]


def follow_to_running(pod: ReporterPod) -> None:
    pod.wait_ready()
    pod.progress()
    wait_for(lambda: pod.api.run.get("stage") == "Running", what="stage Running")


def test_a_whole_attempt(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running() as reporter:
        pod.wait_ready()
        assert pod.job()["spec"]["signature"] == {"code": "class S: ..."}
        assert "dataset" not in pod.job()["spec"]
        assert [orjson.loads(line) for line in (pod.inputs / "rows.jsonl").read_bytes().splitlines()] == ROWS
        assert (pod.inputs / "calls.jsonl").read_bytes() == b""
        pod.log("one", "two")
        pod.event("dataset_splits_ready", train=2)
        pod.call("k")
        pod.progress(percent=50.0, calls=3, usage={"calls": 7})
        wait_for(lambda: api.run.get("stage") == "Running", what="Running")
        assert api.run["progress"] == {"percent": "50", "calls": 3}
        pod.event("baseline_evaluated", baseline_test_metric=50.0)
        wait_for(lambda: api.run["events"]["count"] == 2, what="a second event")
        pod.program()
        pod.log("last words")
        pod.result(optimizedScore=75.5, details={"a": [1]}, usage={"calls": 9})
        result = pod.wait_result()
        assert reporter.end() == "done"
    assert result["outcome"] == "Succeeded"
    assert result["optimizedScore"] == "75.5"
    assert result["artifact"]["path"] == f"ns/artifacts/{JOB_ID}"
    run = api.run
    assert (run["stage"], run["attempt"], run["podUID"]) == ("Ended", 1, POD_UID)
    assert run["metrics"] == {"train": 2, "baseline_test_metric": 50}
    assert run["usage"]["calls"] == 9
    assert run["logs"]["count"] == 3
    assert pod.messages() == ["one", "two", "last words"]
    assert [entry["event"] for entry in pod.entries("events")] == ["dataset_splits_ready", "baseline_evaluated"]
    assert [entry["key"] for entry in pod.entries("calls")] == ["k"]
    record = orjson.loads(pod.store.get("result.json"))
    assert (record["details"], record["usage"]["calls"]) == ({"a": [1]}, 9)
    assert pod.artifact.get("program.pkl") == b"\x80\x04pickle"
    assert pod.artifact.get("signature.py") == b"class S: ..."
    assert orjson.loads(pod.artifact.get("arguments.json"))["module"] == "dspy.ChainOfThought"


def test_the_result_is_told_after_everything_is_stored(pod: ReporterPod, api: AttemptApi) -> None:
    stored: list[tuple[bool, bool, list[str]]] = []

    def look(method: str) -> Answer | None:
        if method == "PATCH" and pod.store.exists("result.json"):
            stored.append((pod.artifact.exists("manifest.json"), pod.store.exists("result.json"), pod.messages()))
        return None

    api.fault = look
    with pod.running():
        follow_to_running(pod)
        pod.program()
        pod.log("last words")
        pod.result()
        pod.wait_result()
    assert stored[0] == (True, True, ["last words"])


def test_nothing_begins_before_the_turn(pod: ReporterPod, api: AttemptApi) -> None:
    api.record("another pod")
    with pod.running():
        wait_for(lambda: api.gets > 5, what="some asking")
        assert not pod.ready()
        assert not (pod.inputs / "job.json").exists()
        api.record(POD_UID)
        pod.wait_ready()


FAULTS: list[Answer] = [refusal(404), refusal(403), refusal(401), refusal(500), refusal(503), refusal(429)]


@pytest.mark.parametrize("answer", FAULTS, ids=lambda answer: str(answer[0]))
def test_a_server_that_is_not_ready_is_waited_for(pod: ReporterPod, api: AttemptApi, answer: Answer) -> None:
    asked: list[str] = []

    def fault(method: str) -> Answer | None:
        asked.append(method)
        return answer if len(asked) < 6 else None

    api.fault = fault
    with pod.running():
        pod.wait_ready()


def test_a_token_is_read_anew(pod: ReporterPod, api: AttemptApi) -> None:
    api.token = "the next one"
    with pod.running():
        wait_for(lambda: pod.token.exists() and not pod.ready())
        (pod.token / "token").write_text("the next one\n")
        pod.wait_ready()


def test_a_later_attempt_ends_it(pod: ReporterPod, api: AttemptApi) -> None:
    api.record("pod-2", attempt=2)
    with pod.running() as reporter:
        wait_for(reporter.ended, what="the reporter to end")
    assert reporter.ending == "fenced"
    assert not pod.ready()


@pytest.mark.parametrize("fenced", [True, False], ids=["refused by policy", "told by the answer"])
def test_a_superseded_attempt_stops_writing(pod: ReporterPod, api: AttemptApi, fenced: bool) -> None:
    api.fenced = fenced
    with pod.running() as reporter:
        follow_to_running(pod)
        pod.log("before")
        wait_for(lambda: api.run["logs"]["count"] == 1, what="the line")
        api.record("pod-2", attempt=2)
        pod.result()
        wait_for(reporter.ended, what="the reporter to end")
    assert reporter.ending == "fenced"
    assert api.result is None or not fenced


def test_a_deleted_job_gets_no_folder_back(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running() as reporter:
        follow_to_running(pod)
        api.gone = True
        pod.store.delete_folder("logs")
        reporter.termination.ask()
        pod.log("late")
        wait_for(reporter.ended, what="the reporter to end")
    assert reporter.ending == "fenced"


def test_stop_is_passed_on(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running():
        follow_to_running(pod)
        assert not (pod.inputs / "stop").exists()
        api.change({"spec": {"stop": "KeepBest"}})
        pod.log("something to tell")
        wait_for(lambda: (pod.inputs / "stop").exists(), what="the stop file")
    assert (pod.inputs / "stop").read_text() == "KeepBest"


def test_a_stop_is_heard_of_while_there_is_nothing_to_report(pod: ReporterPod, api: AttemptApi) -> None:
    """A slow model call changes nothing for minutes, and the next heartbeat is far away."""
    pod.options = RARE_PATCHES
    with pod.running():
        follow_to_running(pod)
        patches = len(api.patches)
        api.change({"spec": {"stop": "KeepBest"}})
        wait_for(lambda: (pod.inputs / "stop").exists(), what="the stop file")
        assert len(api.patches) == patches


def test_a_later_attempt_is_heard_of_while_there_is_nothing_to_report(pod: ReporterPod, api: AttemptApi) -> None:
    pod.options = RARE_PATCHES
    with pod.running() as reporter:
        follow_to_running(pod)
        api.record("another pod")
        wait_for(reporter.ended, what="the reporter to end")
    assert reporter.ending == "fenced"


def test_a_stop_from_before_the_start(pod: ReporterPod, api: AttemptApi) -> None:
    api.change({"spec": {"stop": "KeepBest"}})
    with pod.running():
        pod.wait_ready()
        assert (pod.inputs / "stop").exists()


def test_cancel_is_not_the_optimizers_business(pod: ReporterPod, api: AttemptApi) -> None:
    api.change({"spec": {"stop": "Cancel"}})
    with pod.running():
        follow_to_running(pod)
    assert not (pod.inputs / "stop").exists()


def test_heartbeats(pod: ReporterPod, api: AttemptApi) -> None:
    pod.options = ["--heartbeat-interval", "0.05"]
    with pod.running():
        pod.wait_ready()
        wait_for(lambda: len(api.patches) > 3, what="heartbeats")


def test_sigterm_without_a_result_drains_all(pod: ReporterPod, api: AttemptApi) -> None:
    pod.options = ["--progress-interval", "60", "--flush-interval", "60"]
    with pod.running() as reporter:
        pod.wait_ready()
        pod.log(*(f"line {n}" for n in range(5000)))
        pod.event("e", a=1)
        pod.call("k")
        (pod.out / "checkpoint").mkdir()
        (pod.out / "checkpoint" / "state").write_bytes(b"s")
        assert reporter.end() == "done"
    assert pod.messages() == [f"line {n}" for n in range(5000)]
    assert pod.store.get("checkpoint/state") == b"s"
    assert api.run["logs"]["count"] == 5000
    assert api.result is None


def test_a_result_in_the_last_moment_is_handed_over(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running() as reporter:
        pod.wait_ready()
        reporter.termination.ask()
        pod.program()
        pod.result()
        wait_for(reporter.ended, what="the end")
    # The result came before or after the last look, but never half.
    assert api.result is None or pod.artifact.exists("manifest.json")


def test_a_program_that_did_not_improve_as_demanded_is_kept(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running() as reporter:
        follow_to_running(pod)
        pod.program(rows__jsonl=b'{"n":0}\n')
        pod.result("Failed", reason="NoImprovement", message="no evidence", verdict="no_evidence", programKept=True)
        pod.wait_result()
        assert reporter.end() == "done"
    assert api.result is not None
    assert (api.result["outcome"], api.result["verdict"]) == ("Failed", "no_evidence")
    assert api.result["artifact"]["bytes"] > 0
    assert pod.artifact.get("rows.jsonl") == b'{"n":0}\n'


def test_what_a_failed_run_did_not_finish_is_no_program(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running() as reporter:
        follow_to_running(pod)
        pod.program()
        pod.result("Failed", message="boom")
        pod.wait_result()
        assert reporter.end() == "done"
    assert api.result is not None
    assert api.result.get("artifact") is None
    assert not pod.artifact.exists("manifest.json")


def test_words_after_the_result_are_kept(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running() as reporter:
        follow_to_running(pod)
        pod.result("Failed", message="boom")
        pod.wait_result()
        pod.log("atexit")
        assert reporter.end() == "done"
    assert pod.messages() == ["atexit"]
    assert api.run["logs"]["count"] == 1
    assert api.run["result"]["message"] == "boom"


# -- the next attempt


def test_the_next_attempt_goes_on(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running() as reporter:
        follow_to_running(pod)
        pod.log("first 1", "first 2")
        pod.event("e", a=1)
        pod.call("k1")
        pod.candidate(score=40.0)
        pod.progress(usage={"calls": 5})
        (pod.out / "checkpoint").mkdir()
        (pod.out / "checkpoint" / "state").write_bytes(b"s1")
        reporter.end()
    api.change({"status": {"attempts": [{"number": 1, "reason": "NodeLost", "message": "gone"}]}})
    api.record("pod-2", attempt=2)
    second = pod.next_attempt("pod-2")
    with second.running():
        second.wait_ready()
        assert [orjson.loads(line)["key"] for line in (second.inputs / "calls.jsonl").read_bytes().splitlines()] == [
            "k1"
        ]
        assert (second.inputs / "checkpoint" / "state").read_bytes() == b"s1"
        earlier = (second.inputs / "candidates.jsonl").read_bytes().splitlines()
        assert [orjson.loads(line)["score"] for line in earlier] == [40.0]
        second.candidate(score=60.0)
        second.log("second 1")
        second.event("e", b=2)
        second.progress(usage={"calls": 7, "cachedCalls": 5})
        wait_for(lambda: api.run["attempt"] == 2 and api.run["stage"] == "Running", what="the second attempt")
        second.program()
        second.result()
        second.wait_result()
    begins = "Attempt 2 begins, after attempt 1 ended: NodeLost: gone"
    assert second.messages() == ["first 1", "first 2", begins, "second 1"]
    assert [entry["metrics"] for entry in second.entries("events")] == [{"a": 1}, {"b": 2}]
    assert api.run["metrics"] == {"a": 1, "b": 2}
    assert [entry["score"] for entry in second.entries("candidates")] == [40.0, 60.0]
    assert api.run["candidates"] == 2
    assert (api.run["usage"]["calls"], api.run["usage"]["cachedCalls"]) == (7, 5)
    assert not second.store.exists("checkpoint/state")


def test_an_attempt_that_is_killed_has_counted_the_calls_of_its_journal(pod: ReporterPod, api: AttemptApi) -> None:
    key = CallKey("default", "optimize", "")
    with pod.running() as reporter:
        pod.wait_ready()
        pod.progress(usage={"calls": 1})
        for n in range(5):
            pod.append("calls.jsonl", begun(str(n), key).strip())
        for n in range(3):
            pod.append("calls.jsonl", ended(str(n), Usage(calls=1, prompt_tokens=10)).strip())
        reporter.end()
    told = api.run["usage"]
    assert (told["calls"], told["promptTokens"], told["callsUnknown"]) == (3, 30, 2)


def test_a_reporter_that_starts_again_in_its_pod(pod: ReporterPod, api: AttemptApi) -> None:
    api.change({"status": {"run": {"attempt": 0, "usage": {"calls": 100}}}})
    for n in range(3):
        with pod.running():
            pod.wait_ready()
            pod.log(f"line {n}")
            pod.progress(usage={"calls": 100 + n})
            wait_for(lambda n=n: api.run.get("logs", {}).get("count") == n + 1, what="the line")
    with pod.running():
        pod.result()
        pod.wait_result()
    assert pod.messages() == ["line 0", "line 1", "line 2"]
    assert api.run["usage"]["calls"] == 102
    patches = len(api.patches)
    with pod.running() as reporter:
        assert reporter.end() == "done"
    assert len(api.patches) == patches
    with pod.running() as reporter:
        pod.log("late")
        assert reporter.end() == "done"
    assert pod.messages()[-1] == "late"
    assert (api.run["logs"]["count"], api.run["stage"], api.run["result"]["outcome"]) == (4, "Ended", "Succeeded")


# -- what is the user's to mend


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


PAYLOAD = orjson.dumps({"rows": ROWS, "signature": "class P: ...", "metric": "def p(): ..."})


def test_a_payload(pod: ReporterPod, api: AttemptApi) -> None:
    pod.store.put("payload.json", PAYLOAD)
    source = {"payload": {"digest": digest(PAYLOAD)}}
    api.change(
        {"spec": {"signature": {"code": None, **source}, "metric": {"code": None, **source}}}
        | {"spec": {"dataset": {"rows": None, "payload": {"digest": digest(PAYLOAD), "rows": 4, "bytes": 1}}}}
    )
    api.resource["spec"]["signature"] = source
    with pod.running():
        pod.wait_ready()
    assert pod.job()["spec"]["signature"] == {"code": "class P: ..."}
    assert len((pod.inputs / "rows.jsonl").read_bytes().splitlines()) == 4


def test_config_maps(pod: ReporterPod, api: AttemptApi) -> None:
    for part, content in {"signature": b"class C", "metric": b"def m", "dataset": b"text,label\nx,y\n"}.items():
        (pod.refs / part).mkdir()
        (pod.refs / part / "value").write_bytes(content)
    reference = {"configMapKeyRef": {"name": "tickets", "key": "rows.csv"}}
    api.resource["spec"] |= {"signature": reference, "metric": reference, "dataset": reference}
    with pod.running():
        pod.wait_ready()
    assert pod.job()["spec"]["metric"] == {"code": "def m"}
    assert orjson.loads((pod.inputs / "rows.jsonl").read_bytes()) == {"text": "x", "label": "y"}


REFERENCE = {"configMapKeyRef": {"name": "tickets", "key": "rows.csv"}}
STATE = {"predict": {"demos": [], "signature": {"instructions": "Answer."}}}
FILES = {"helpers/__init__.py": "", "helpers/text.py": "def clean(text):\r\n    ...", "data/terms.csv": "a,ß\n" * 9}
JOINED = [{"program_state": STATE, "program_code": "class Ü: ..."}, {"program_state": STATE}]
PROGRAM_PAYLOAD = orjson.dumps(
    {"program": "class P: ...", "program_files": FILES, "initial": STATE, "joined": JOINED, "rows": ROWS}
)


def program(**content: Any) -> dict[str, Any]:
    """The fields of a spec with a program and no columns."""
    return {"module": None, "signature": None, "columns": None, "program": {"name": "P", **content}}


def test_a_program_and_its_files_in_the_spec(pod: ReporterPod, api: AttemptApi) -> None:
    files = [{"path": path, "code": text} for path, text in FILES.items()]
    api.resource["spec"] |= program(code="class P: ...", files=files, kwargs={"hops": 2})
    with pod.running():
        pod.wait_ready()
    job = read_job(pod.inputs)
    assert (job.code["program"], job.files, job.initial, job.joined) == ("class P: ...", FILES, None, None)
    assert (job.spec.module_name, job.spec.module_kwargs, job.spec.columns) == ("P", {"hops": 2}, None)
    assert "clean" not in (pod.inputs / "job.json").read_text()


@pytest.mark.parametrize("large", [False, True], ids=["read at once", "read value by value"])
def test_a_program_and_its_files_from_the_store(pod: ReporterPod, api: AttemptApi, large: bool) -> None:
    content = PROGRAM_PAYLOAD
    if large:
        content = orjson.dumps(orjson.loads(content) | {"rows": [{"text": "x" * 1000, "label": "a"}] * 5000})
    pod.store.put("payload.json", content)
    source = {"payload": {"digest": digest(content)}}
    api.resource["spec"] |= program(**source, files=[{"path": path, **source} for path in FILES])
    api.resource["spec"] |= {"initial": source, "joined": source, "dataset": source}
    with pod.running():
        pod.wait_ready()
    job = read_job(pod.inputs)
    assert (job.code["program"], job.files, job.initial, job.joined) == ("class P: ...", FILES, STATE, JOINED)
    assert (pod.inputs / "rows.jsonl").read_bytes().count(b"\n") == (5000 if large else 4)


def mount(pod: ReporterPod, **content: bytes) -> None:
    """As the node does with keys of ConfigMaps; `/` in a source's place is `__` here."""
    for name, value in content.items():
        folder = pod.refs / name.replace("__", "/")
        folder.mkdir(parents=True)
        (folder / "value").write_bytes(value)


def test_a_program_and_its_files_from_config_maps(pod: ReporterPod, api: AttemptApi) -> None:
    contents = {f"program_files__{place}": text.encode() for place, text in enumerate(FILES.values())}
    mount(pod, program=b"class P: ...", initial=orjson.dumps(STATE), joined=orjson.dumps(JOINED), **contents)
    api.resource["spec"] |= program(**REFERENCE, files=[{"path": path, **REFERENCE} for path in FILES])
    api.resource["spec"] |= {"initial": REFERENCE, "joined": REFERENCE}
    with pod.running():
        pod.wait_ready()
    job = read_job(pod.inputs)
    assert (job.code["program"], job.files, job.initial, job.joined) == ("class P: ...", FILES, STATE, JOINED)


def test_a_dataset_behind_a_uri(pod: ReporterPod, api: AttemptApi, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "x.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in ROWS))
    pod.environ = {"DSPY_SERVICE_URI_PREFIXES": f"s3://bucket, file://{tmp_path}/data"}
    api.resource["spec"]["dataset"] = {"uri": f"file://{tmp_path}/data/x.jsonl"}
    with pod.running():
        pod.wait_ready()
    assert len((pod.inputs / "rows.jsonl").read_bytes().splitlines()) == 4
    assert not (pod.inputs / ".dataset").exists()


USERS_FAULTS: list[tuple[dict[str, Any], str, str]] = [
    ({"dataset": {"rows": [*ROWS, {"text": "x"}]}}, "InvalidDataset", "Row 5 of the dataset has no column 'label'"),
    ({"dataset": REFERENCE}, "ConfigMapKeyNotFound", "The ConfigMap 'tickets' has no key 'rows.csv'."),
    ({"metric": REFERENCE}, "ConfigMapKeyNotFound", "The ConfigMap 'tickets' has no key 'rows.csv'."),
    ({"dataset": {"uri": "file:///etc/passwd"}}, "UriNotAllowed", "not below an allowed prefix"),
    ({"signature": {"payload": {"digest": digest(b"other")}}}, "DigestMismatch", "digest sha256:"),
    (program(**REFERENCE), "ConfigMapKeyNotFound", "The ConfigMap 'tickets' has no key 'rows.csv'."),
    (program(code="x", files=[{"path": "a.py", **REFERENCE}]), "ConfigMapKeyNotFound", "has no key 'rows.csv'."),
    (
        program(code="x", files=[{"path": "a.py", "payload": {"digest": digest(PAYLOAD)}}]),
        "InvalidProgram",
        "The job's payload in the store lacks the file 'a.py'.",
    ),
    (
        program(code="x", files=[{"path": f"f{n}", "code": "é" * 16384} for n in range(64)] * 3),
        "InvalidProgram",
        "The program's files have more than 4194304 bytes together",
    ),
]


@pytest.mark.parametrize(("spec", "reason", "message"), USERS_FAULTS, ids=lambda value: str(value)[:20])
def test_what_is_the_users_to_mend_ends_the_job(
    pod: ReporterPod, api: AttemptApi, spec: dict[str, Any], reason: str, message: str
) -> None:
    pod.store.put("payload.json", PAYLOAD)
    api.resource["spec"] |= spec
    with pod.running() as reporter:
        result = pod.wait_result()
        assert reporter.end() == "done"
    assert (result["outcome"], result["reason"]) == ("Failed", reason)
    assert message in result["message"]
    assert message in pod.messages()[0]
    assert orjson.loads(pod.store.get("result.json"))["reason"] == reason
    assert not pod.ready()
    assert (pod.inputs / "refused").exists(), "the optimizer would wait for its time-out"


@pytest.mark.parametrize(
    ("state", "message"),
    [(b"{", "spec.initial is not JSON"), (b"[]", "is not a JSON object"), (b"", "spec.initial is not JSON")],
)
def test_a_state_that_is_none_ends_the_job(pod: ReporterPod, api: AttemptApi, state: bytes, message: str) -> None:
    mount(pod, initial=state)
    api.resource["spec"]["initial"] = REFERENCE
    with pod.running() as reporter:
        result = pod.wait_result()
        assert reporter.end() == "done"
    assert result["reason"] == "InvalidInitialState"
    assert message in result["message"]


@pytest.mark.parametrize("programs", [b"{", b"{}", b"[1]", b""])
def test_programs_that_are_none_end_the_job(pod: ReporterPod, api: AttemptApi, programs: bytes) -> None:
    mount(pod, joined=programs)
    api.resource["spec"]["joined"] = REFERENCE
    with pod.running() as reporter:
        result = pod.wait_result()
        assert reporter.end() == "done"
    assert result["reason"] == "InvalidProgram"
    assert "spec.joined is not" in result["message"]


def test_files_of_config_maps_are_counted_as_they_are_mounted(pod: ReporterPod, api: AttemptApi) -> None:
    mount(pod, **{f"program_files__{place}": b"x" * 1_000_000 for place in range(5)})
    api.resource["spec"] |= program(code="x", files=[{"path": f"f{n}", **REFERENCE} for n in range(5)])
    with pod.running() as reporter:
        result = pod.wait_result()
        assert reporter.end() == "done"
    assert (result["reason"], "4194304 bytes" in result["message"]) == ("InvalidProgram", True)


# -- what passes


def test_a_payload_that_is_not_there_yet_is_waited_for(pod: ReporterPod, api: AttemptApi) -> None:
    api.resource["spec"]["signature"] = {"payload": {"digest": digest(PAYLOAD)}}
    with pod.running():
        wait_for(lambda: "payload.json" in api.run.get("message", ""), what="the trouble in the status")
        assert api.run["stage"] == "Restoring"
        pod.store.put("payload.json", PAYLOAD)
        pod.wait_ready()
        wait_for(lambda: api.run["message"] == "", what="the trouble to go")


def block(pod: ReporterPod, name: str) -> Path:
    """Makes puts below a folder of the store fail: where it should be, a file is."""
    path = pod.stores / "ns" / "jobs" / JOB_ID / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def test_a_store_that_is_away_is_said_and_nothing_is_lost(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running():
        follow_to_running(pod)
        blocked = block(pod, "logs")
        pod.log("one", "two")
        wait_for(lambda: "trying again" in api.run.get("message", ""), what="the trouble in the status")
        assert api.run["logs"]["count"] == 0
        blocked.unlink()
        wait_for(lambda: api.run["logs"]["count"] == 2, what="the lines")
        wait_for(lambda: api.run["message"] == "", what="the trouble to go")
    assert pod.messages() == ["one", "two"]


def test_a_store_that_is_away_at_the_end_is_waited_for(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running():
        follow_to_running(pod)
        blocked = block(pod, "logs")
        pod.log("one")
        pod.program()
        pod.result()
        wait_for(lambda: "trying again" in api.run.get("message", ""), what="the trouble in the status")
        assert api.result is None
        blocked.unlink()
        assert pod.wait_result()["outcome"] == "Succeeded"
    assert pod.messages() == ["one"]
    assert api.run["message"] == ""


def test_a_store_that_never_comes_back(pod: ReporterPod, api: AttemptApi) -> None:
    pod.options = ["--grace-period", "0.3"]
    with pod.running() as reporter:
        follow_to_running(pod)
        block(pod, "logs")
        pod.log("one")
        pod.result()
        wait_for(lambda: "trying again" in api.run.get("message", ""), what="the trouble in the status")
        assert reporter.end() == "gave up"
    assert api.result is None


def test_an_api_server_that_is_away_delays_the_status_alone(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running():
        follow_to_running(pod)
        api.down = True
        pod.log("one")
        wait_for(lambda: pod.messages() == ["one"], what="the line in the store")
        pod.program()
        pod.result()
        wait_for(lambda: pod.store.exists("result.json"), what="the result in the store")
        api.down = False
        assert pod.wait_result()["outcome"] == "Succeeded"


def test_a_pod_that_is_cut_off_writes_no_more_until_it_is_heard(pod: ReporterPod, api: AttemptApi) -> None:
    """Another attempt may have begun, and write the very same files."""
    tries: list[str] = []

    def cut_off(method: str) -> Answer:
        tries.append(method)
        return refusal(503)

    pod.options += ["--unheard-limit", "0.4"]
    with pod.running():
        follow_to_running(pod)
        pod.log("one")
        wait_for(lambda: pod.messages() == ["one"], what="the line in the store")
        api.fault = cut_off
        wait_for(lambda: len(tries) >= 4, what="tries, whose pauses add up to more than the limit")
        pod.log("two")
        before = len(tries)
        wait_for(lambda: len(tries) >= before + 2, what="further tries")
        assert pod.messages() == ["one"]
        api.fault = lambda method: None
        wait_for(lambda: pod.messages() == ["one", "two"], what="the rest in the store")


def test_a_patch_whose_answer_is_lost_is_made_again(pod: ReporterPod, api: AttemptApi) -> None:
    lost: list[int] = []

    def lose(method: str) -> Answer | None:
        if method == "PATCH" and pod.store.exists("result.json") and len(lost) < 3:
            lost.append(1)
            return refusal(504)
        return None

    api.fault = lose
    with pod.running():
        follow_to_running(pod)
        pod.result()
        pod.wait_result()
    assert len(lost) == 3


@pytest.mark.parametrize("code", [403, 422])
def test_a_server_that_refuses_what_user_code_chose_gets_our_own_words(
    pod: ReporterPod, api: AttemptApi, code: int
) -> None:
    handled = api._patch
    refused: list[int] = []

    def picky(body: dict[str, Any]) -> Answer:
        if body["status"]["run"]["metrics"].get("odd"):
            refused.append(1)
            return refusal(code, "odd metrics")
        return handled(body)

    api._patch = picky  # type: ignore[method-assign]  # a server of another schema
    with pod.running():
        follow_to_running(pod)
        pod.event("e", odd=1)
        wait_for(lambda: api.run["events"]["count"] == 1, what="the count")
        pod.result()
        pod.wait_result()
    assert len(refused) == 1
    assert api.run["metrics"] == {}


def test_a_server_that_refuses_everything_for_a_while(pod: ReporterPod, api: AttemptApi) -> None:
    refused: list[int] = []

    def refuse(method: str) -> Answer | None:
        if method == "PATCH" and len(refused) < 5:
            refused.append(1)
            return refusal(403, "no role binding")
        return None

    with pod.running():
        pod.wait_ready()
        api.fault = refuse
        pod.result("Failed", message="boom")
        assert pod.wait_result()["message"] == "boom"
    assert len(refused) == 5


# -- what user code may do

KEY = "sk-canary-0123456789"


def test_keys_are_nowhere(pod: ReporterPod, api: AttemptApi, tmp_path: Path) -> None:
    pod.environ = {"DSPY_SERVICE_KEY_DEFAULT": KEY}
    with pod.running():
        follow_to_running(pod)
        pod.log(f"key {KEY}")
        pod.event(KEY, **{KEY: KEY})
        pod.call(KEY)
        (pod.out / "checkpoint").mkdir()
        (pod.out / "checkpoint" / "state").write_bytes(KEY.encode())
        pod.append("logs.jsonl", KEY.encode())
        pod.program(prompt__md=KEY.encode(), program__json=orjson.dumps({KEY: KEY}))
        pod.result(message=KEY, details={KEY: KEY}, modelIdentifier=KEY)
        pod.wait_result()
    stored = [path.read_bytes() for path in pod.stores.rglob("*") if path.is_file()]
    assert len(stored) > 8
    assert not any(KEY.encode() in content for content in stored)
    assert KEY not in str(api.patches)
    assert pod.messages() == ["key [redacted]", "[redacted]"]


def test_a_program_that_holds_a_key_is_withheld(pod: ReporterPod, api: AttemptApi) -> None:
    pod.environ = {"DSPY_SERVICE_KEY_DEFAULT": KEY}
    with pod.running():
        follow_to_running(pod)
        pod.program(program__pkl=b"\x80\x04" + KEY.encode())
        pod.result(optimizedScore=80)
        result = pod.wait_result()
    assert (result["outcome"], result["reason"]) == ("Failed", "ArtifactHoldsKey")
    assert result["optimizedScore"] == "80"
    assert "artifact" not in result
    assert not pod.artifact.exists("manifest.json")


@pytest.mark.parametrize("spoilt", [b"{", b"[]", b'{"spec": 1, "targets": {}}', b'{"spec": {}, "targets": []}', None])
def test_a_job_whose_own_record_was_changed_ends_without_a_program(pod: ReporterPod, spoilt: bytes | None) -> None:
    """Where the node has no sandbox, its code can do that."""
    with pod.running():
        follow_to_running(pod)
        (pod.inputs / "job.json").unlink()
        if spoilt:
            (pod.inputs / "job.json").write_bytes(spoilt)
        pod.program()
        pod.result()
        result = pod.wait_result()
    assert (result["outcome"], result["reason"]) == ("Failed", "ArtifactUnusable")
    assert not pod.artifact.exists("manifest.json")


def test_a_hostile_folder_gains_nothing(pod: ReporterPod, api: AttemptApi, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(orjson.dumps({"outcome": "Succeeded", "message": "stolen"}))
    with pod.running() as reporter:
        follow_to_running(pod)
        (pod.out / "result.json").symlink_to(tmp_path / "secret")
        os.mkfifo(pod.out / "logs.jsonl")
        (pod.out / "events.jsonl").mkdir()
        (pod.out / "calls.jsonl").symlink_to("/dev/zero")
        (pod.out / "artifact").symlink_to(tmp_path)
        (pod.out / "checkpoint").symlink_to("/")
        pod.progress(stage="Finishing")
        wait_for(lambda: api.run["stage"] == "Finishing", what="progress beside it all")
        (pod.out / "result.json").unlink()
        pod.result(message="honest")
        assert pod.wait_result()["message"] == "honest"
        assert reporter.end() == "done"
    assert [entry.key for entry in pod.store.files()] == ["result.json"]
    assert pod.artifact.files() == []


def test_a_huge_result_is_a_failure(pod: ReporterPod) -> None:
    with pod.running():
        follow_to_running(pod)
        with (pod.out / ".x").open("wb") as file:
            file.truncate(1 << 40)
        (pod.out / ".x").rename(pod.out / "result.json")
        assert pod.wait_result()["reason"] == "UnreadableResult"


def test_a_flood_of_lines_is_kept_to_the_quota(pod: ReporterPod, api: AttemptApi) -> None:
    with pod.running():
        follow_to_running(pod)
        for _ in range(20):
            pod.log(*("x" * 200 for _ in range(500)))
        pod.log("the stack trace")
        pod.result("Failed", message="boom")
        pod.wait_result()
    assert sum(entry.size for entry in pod.store.files("logs")) < 1_200_000
    assert pod.messages()[-1] == "the stack trace"
    assert sum("quota" in message for message in pod.messages()) == 2
