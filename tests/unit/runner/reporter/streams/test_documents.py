from typing import Any

import orjson
import pytest
from hypothesis import given, strategies as st

from dspy_service_core.records import values
from dspy_service_core.records.record import document, narrow, read, resource
from dspy_service_core.records.run import MAX_MESSAGE, Progress, ProgressDocument, ResultDocument, RunStatus
from dspy_service_core.records.usage import Usage
from dspy_service_runner.redaction import MARK, Redactor
from dspy_service_runner.reporter import sanitize
from dspy_service_runner.reporter.streams.entries import reading
from dspy_service_runner.reporter.streams.optimizer_files import read_progress, read_result

NOW = "2026-02-02T00:00:00.000Z"
THEN = "2026-01-01T00:00:00.000Z"
KEY = "sk-canary-0123456789"
REDACTOR = Redactor([KEY])
READING = reading(REDACTOR, NOW)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def test_a_progress_document() -> None:
    written = {
        "stage": "Running",
        "startedAt": THEN,
        "percent": 12.5,
        "calls": 3,
        "total": None,
        "bestScore": 75.0,
        "bestScoreOn": "validation",
        "bestScoreRows": 6,
        "bestScoreAtCall": 31,
        "etaSeconds": 1e-7,
        "figures": {"tqdm_n": 3, "tqdm_total": "many", "tqdm_desc": KEY, "own": [1]},
        "usage": {"calls": 2, "promptTokens": 7, "costUsd": 0.25},
        "more": KEY,
    }
    found = read_progress(orjson.dumps(written), READING)
    assert found == ProgressDocument(
        stage="Running",
        started_at=THEN,
        percent=12.5,
        calls=3,
        best_score=75.0,
        best_score_on="validation",
        best_score_rows=6,
        best_score_at_call=31,
        eta_seconds=1e-7,
        usage=Usage(calls=2, prompt_tokens=7, cost_usd=0.25),
        figures={"tqdm_n": 3, "tqdm_desc": MARK, "own": [1]},
    )
    best = {"bestScore": "75", "bestScoreOn": "validation", "bestScoreRows": 6, "bestScoreAtCall": 31}
    figures = {"percent": "12.5", "calls": 3, "total": None, "etaSeconds": "1e-07"} | best
    assert resource(narrow(found, Progress)) == figures


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"stage": "Ended"}', b'{"stage": 5}', b"\xff", b'{"stage"'])
def test_what_is_no_progress_is_none(content: bytes) -> None:
    assert read_progress(content, READING) is None


@pytest.mark.parametrize("value", [True, "7", -1, [], float("inf"), 10**400])
def test_a_figure_of_the_wrong_kind_is_left_out(value: Any) -> None:
    text = repr(value).replace("True", "true").replace("inf", "Infinity").replace("'", '"')
    progress = read_progress(b'{"stage": "Running", "calls": %b}' % text.encode(), READING)
    assert progress is not None
    assert progress.calls is None


def make_result(**fields: Any) -> bytes:
    written = {"outcome": "Succeeded", "reason": "Done", "message": "fine", "details": {"a": 1}}
    return orjson.dumps(written | fields)


def in_the_status(result: ResultDocument) -> dict[str, Any]:
    return resource(result.summary(None, NOW))


def test_what_would_steer_a_terminal_is_shown_in_message_and_reason() -> None:
    hostile = "a\x1b]52;c;AAAA\x07\x9b2J\x7f\u202e\u2028\r"
    found = read_result(make_result(message=f"{hostile}\n\tsecond", reason=f"{hostile}\n"), REDACTOR)
    summary = in_the_status(found)
    shown = r"a\x1b]52;c;AAAA\x07\x9b2J\x7f\u202e\u2028\r"
    assert summary["message"] == f"{shown}\n\tsecond"
    assert summary["reason"] == shown + r"\n"
    assert len(in_the_status(read_result(make_result(reason="\x1b" * 64), REDACTOR))["reason"]) <= 64


def test_a_result() -> None:
    fields = {
        "splitCounts": {"train": 1, "val": 0, "test": 2},
        "baselineScore": 50,
        "optimizedScore": 75.5,
        "runtimeSeconds": 1.25,
        "stoppedEarly": True,
        "metadata": {"optimizer": "x"},
        "modelIdentifier": "openai/x",
        "usage": {"calls": 9},
    }
    result = read_result(make_result(**fields), REDACTOR)
    assert result.usage == Usage(calls=9)
    assert in_the_status(result) == {
        "outcome": "Succeeded",
        "reason": "Done",
        "message": "fine",
        "stoppedEarly": True,
        "budgetHit": None,
        "nothingTried": "",
        "verdict": None,
        "comparison": None,
        "evidence": "",
        "splitCounts": {"train": 1, "val": 0, "test": 2},
        "baselineScore": "50",
        "optimizedScore": "75.5",
        "runtimeSeconds": "1.25",
        "artifact": None,
        "endedAt": NOW,
    }
    assert document(result)["details"] == {"a": 1}
    assert document(result)["modelIdentifier"] == "openai/x"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"outcome": "Won"}', b"\xff", b'{"a":' * 9999, b'{"outcome": ["Failed"]}']
)
def test_a_result_that_cannot_be_read_is_a_failure(content: bytes) -> None:
    result = read_result(content, REDACTOR)
    assert (result.outcome, result.reason) == ("Failed", "UnreadableResult")


def test_keys_are_taken_out_of_a_result() -> None:
    result = read_result(make_result(message=f"401 for {KEY}", details={KEY: [KEY]}, modelIdentifier=KEY), REDACTOR)
    assert result.message == f"401 for {MARK}"
    assert "canary" not in orjson.dumps(document(result)).decode()


def test_a_long_message_is_whole_in_the_store_and_cut_in_the_status() -> None:
    result = read_result(make_result(message="ü" * 10_000), REDACTOR)
    assert len(result.message) == 10_000
    assert len(in_the_status(result)["message"].encode()) <= MAX_MESSAGE


@pytest.mark.parametrize("counts", [None, [], {}, {"train": 1}, {"train": 1, "val": -1, "test": 1}])
def test_split_counts_are_whole_or_absent(counts: Any) -> None:
    assert in_the_status(read_result(make_result(splitCounts=counts), REDACTOR))["splitCounts"] is None


@given(JSON, JSON, JSON)
def test_whatever_the_optimizer_says_can_be_passed_on(one: Any, two: Any, three: Any) -> None:
    names = ("reason", "message", "splitCounts", "baselineScore", "details", "metadata", "usage", "stoppedEarly")
    for name in names:
        written = {"outcome": "Failed", name: sanitize.clean(one), "metricName": sanitize.clean(two)}
        result = read_result(orjson.dumps(written), REDACTOR)
        orjson.dumps([document(result), in_the_status(result)])
    progress = {"stage": "Running", "usage": sanitize.clean(three), "startedAt": sanitize.clean(one)}
    read_progress(orjson.dumps(progress), READING)


@given(JSON)
def test_clean_values_are_json(value: Any) -> None:
    orjson.dumps(sanitize.clean(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(75.0, "75"), (0.1, "0.1"), (-1, "-1"), (1e30, "1e+30"), (10**400, None), (float("nan"), None), (True, None)],
)
def test_decimals(value: Any, expected: str | None) -> None:
    assert values.decimal_of(value) == expected


def test_usage_adds_up() -> None:
    one, two = read(Usage, {"calls": 1, "costUsd": "0.5"}), read(Usage, {"calls": 2, "cachedCalls": 3})
    assert one is not None
    assert two is not None
    assert one + two == Usage(calls=3, cached_calls=3)
    assert one + Usage(cached_calls=3) == Usage(calls=1, cached_calls=3, cost_usd=0.5)
    for written in (document, resource):
        assert read(Usage, written(Usage(1, 2, 3, 4, 5, 6, 0.5, 7.5, 8))) == Usage(1, 2, 3, 4, 5, 6, 0.5, 7.5, 8)
    without = read(RunStatus, {"usage": None})
    assert without is not None
    assert read(Usage, {"costUsd": "no"}) == without.usage == Usage()
