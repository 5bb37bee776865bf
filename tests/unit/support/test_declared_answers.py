"""What the API may not answer is noticed, whichever test asks."""

from typing import Any

import httpx
import orjson
import pytest

from declared_answers import HELD, Undeclared, hold
from dspy_service_api.http.routes import examples

SUMMARY = orjson.loads(examples.SUMMARY)
GONE = {"detail": "Unknown job 'x'.", "code": "unknown_job"}


def answered(status: int, body: Any, **headers: str) -> httpx.Response:
    return httpx.Response(status, json=body, headers=headers)


@pytest.mark.parametrize(
    ("method", "path", "answer"),
    [
        ("GET", "/jobs/x/summary", answered(200, SUMMARY)),
        ("GET", "/jobs/x/summary", answered(404, GONE)),
        ("GET", "/jobs/x", answered(200, orjson.loads(examples.SUCCEEDED))),
        ("GET", "/jobs/x/logs", answered(200, [])),
        ("GET", "/nowhere", answered(404, {"detail": "Not Found", "code": "unknown_path"})),
        ("POST", "/jobs/x", answered(405, {"detail": "Method Not Allowed", "code": "wrong_method"})),
        ("GET", "/docs", httpx.Response(200, html="<html>")),
        ("DELETE", "/jobs/x", httpx.Response(204)),
    ],
)
def test_what_is_declared_passes(method: str, path: str, answer: httpx.Response) -> None:
    hold(method, path, answer)


@pytest.mark.parametrize(
    ("method", "path", "answer", "says"),
    [
        ("GET", "/jobs/x/summary", answered(200, SUMMARY | {"more": 1}), "more"),
        ("GET", "/jobs/x/summary", answered(200, SUMMARY | {"seed": None}), "seed"),
        ("GET", "/jobs/x/summary", answered(200, {k: v for k, v in SUMMARY.items() if k != "seed"}), "seed"),
        ("GET", "/jobs/x/summary", answered(418, GONE), "418"),
        ("GET", "/jobs/x/summary", answered(404, {"detail": "Unknown job 'x'."}), "code"),
        ("GET", "/jobs/x/summary", answered(404, GONE | {"code": "no_artifact"}), "no_artifact"),
        ("GET", "/jobs/x/summary", answered(404, GONE | {"hint": "look elsewhere"}), "hint"),
        ("GET", "/jobs/x/summary", httpx.Response(200, html="<html>"), "text/html"),
        ("GET", "/jobs", answered(200, {"jobs": [SUMMARY | {"more": 1}], "next_cursor": None, "total": 1}), "more"),
        ("GET", "/nowhere", answered(404, {"detail": "Not Found"}), "code"),
        ("GET", "/nowhere", answered(404, {"detail": "Not Found", "code": "unknown_job_"}), "unknown_job_"),
        ("GET", "/nowhere", answered(404, {"detail": "Not Found", "code": "busy"}), "503"),
        ("DELETE", "/jobs/x", answered(204, {"detail": "gone"}), "body"),
    ],
)
def test_what_is_not_declared_is_told(method: str, path: str, answer: httpx.Response, says: str) -> None:
    with pytest.raises(Undeclared, match=says):
        hold(method, path, answer)


def test_a_client_that_is_held_gets_no_undeclared_answer() -> None:
    transport = httpx.MockTransport(lambda _: answered(200, SUMMARY | {"more": 1}))
    with (
        httpx.Client(base_url="http://service", transport=transport, event_hooks=HELD) as client,
        pytest.raises(Undeclared, match="more"),
    ):
        client.get("/jobs/x/summary")
