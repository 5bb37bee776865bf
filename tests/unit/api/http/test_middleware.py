"""The door: hosts, origins, tokens, sizes, request ids, and the form of what it refuses."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import uvicorn
from pydantic import ValidationError

from api_service import Harness, api_service
from declared_answers import HELD_ASYNC
from dspy_service_api.settings import Settings
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from faulty_transport import fails
from simple_acceptance import SimpleAcceptance
from waiting import until

LIMIT = 2000


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost", 200),
        ("LOCALHOST:8000", 200),
        ("127.0.0.1:8000", 200),
        ("127.0.0.1:9000", 200),
        ("[::1]:8000", 200),
        ("[::1]", 200),
        ("192.0.2.1:8000", 200),
        ("localhost.:8000", 200),
        ("192.0.2.1.example.org", 403),
        ("[fe80::1.example.org]", 403),
        ("127.1", 403),
        ("0x7f.1", 403),
        ("rebound.example.org", 403),
        ("localhost.example.org", 403),
        ("example.org:8000", 403),
        ("localhost:8000@example.org", 403),
        ("::1", 403),
        ("localhost:port", 403),
        ("", 403),
    ],
)
async def test_only_this_machines_names_are_served(api: Harness, host: str, code: int) -> None:
    response = await api.client.get("/health", headers={"Host": host})
    assert response.status_code == code
    if code == 403:
        assert "detail" in response.json()


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
async def test_names_count_wherever_no_token_is_asked_for(tmp_path: Path, host: str) -> None:
    """Behind a port-forward or in a cluster just as on loopback; a token is no browser's to send."""
    for settings, code in (({"auth_mode": "none"}, 403), ({"token": "s3cret"}, 200)):
        async with api_service(tmp_path, SimpleAcceptance(), host=host, **settings) as api:
            token = {"Authorization": "Bearer s3cret"}
            for name in ("rebound.example.org", "rebound.example.org:8000"):
                answer = await api.client.get("/jobs", headers=token | {"Host": name})
                assert answer.status_code == code
            assert (await api.client.get("/jobs", headers=token | {"Host": "10.0.0.7:8000"})).status_code == 200
            twice = [("Host", "localhost"), ("Host", "rebound.example.org"), *token.items()]
            assert (await api.client.get("/jobs", headers=twice)).status_code == code


@pytest.mark.parametrize("mode", [{"auth_mode": "none"}, {"token": "s3cret"}])
@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        ("api.svc:8000", "http://api.svc:8000", 200),
        ("API.svc:8000", "http://api.SVC:8000", 200),
        ("api.svc", "http://api.svc:80", 200),
        ("api.svc:443", "https://api.svc", 200),
        ("[::1]:8000", "http://[::1]:8000", 200),
        ("api.svc:8000", "http://api.svc", 403),
        ("api.svc:443", "http://api.svc", 403),
        ("api.svc:8000", "http://evil.example.org", 403),
        ("api.svc:8000", "http://api.svc:8000@evil.example.org", 403),
        ("api.svc:8000", "http://api.svc:8000/", 403),
        ("api.svc:8000", "http://api.svc:8000.evil.example.org", 403),
        ("api.svc:8000", "null", 403),
        ("api.svc:8000", "", 403),
        ("[::1]:8000", "http://[::2]:8000", 403),
    ],
)
async def test_pages_of_others_call_in_no_mode(
    tmp_path: Path, mode: dict[str, Any], host: str, origin: str, code: int
) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), host="0.0.0.0", trusted_hosts="api.svc", **mode) as api:
        headers = {"Authorization": "Bearer s3cret", "Host": host, "Origin": origin}
        assert (await api.client.post("/run", json={}, headers=headers)).status_code == code
        assert (await api.client.get("/jobs", headers=headers)).status_code == code
        assert len(api.service.cache) == (code == 200)
        twice = [*headers.items(), ("Origin", f"http://{host}")]
        assert (await api.client.post("/run", json={}, headers=twice)).status_code == 403


FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("types", "browser", "code"),
    [
        ((), {}, 200),
        ((), {"Origin": "http://localhost:8000"}, 415),
        ((), {"Sec-Fetch-Site": "same-origin"}, 415),
        ((), {"Sec-Fetch-Site": "none"}, 415),
        (("",), {"Sec-Fetch-Site": "cross-site"}, 415),
        (("",), {}, 200),
        (("application/json",), {"Origin": "http://localhost:8000"}, 200),
        (("Application/JSON; charset=utf-8",), {}, 200),
        (("application/vnd.api+json",), {}, 200),
        (("application/merge-patch+json ;x=y",), {}, 200),
        ((FORM,), {}, 415),
        (("text/plain",), {}, 415),
        (("text/plain; application/json",), {}, 415),
        (("multipart/form-data; boundary=json",), {}, 415),
        (("application/jsonp",), {}, 415),
        (("application/json, text/plain",), {}, 415),
        (("application/json", "text/plain"), {}, 415),
        (("text/plain", "application/json"), {}, 415),
        (("json",), {}, 415),
    ],
)
async def test_a_body_is_json_by_its_type(api: Harness, types: Any, browser: dict[str, str], code: int) -> None:
    headers = [*(("Content-Type", given) for given in types), *browser.items()]
    response = await api.client.post("/run", content=b"{}", headers=headers)
    assert response.status_code == code
    assert len(api.service.cache) == (code == 200)
    if code == 415:
        assert "application/json" in response.json()["detail"]


async def test_a_trusted_host_is_served(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), trusted_hosts="workstation,dev.local:8000") as api:
        for host, code in (("workstation:8000", 200), ("dev.local:8000", 200), ("dev.local:1", 403)):
            assert (await api.client.get("/health", headers={"Host": host})).status_code == code


@pytest.mark.parametrize(
    ("origin", "code"),
    [
        ("http://localhost:8000", 200),
        ("https://app.example.org", 200),
        ("http://example.org", 403),
        ("http://localhost:3000", 403),
        ("null", 403),
        ("", 403),
        ("http://[", 403),
        ("file://localhost:8000", 403),
    ],
)
async def test_only_own_and_trusted_pages_may_call(tmp_path: Path, origin: str, code: int) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), trusted_origins="https://app.example.org") as api:
        response = await api.client.post("/run", json={}, headers={"Origin": origin})
        assert response.status_code == code
        assert (len(api.service.cache) == 1) == (code == 200)


async def test_a_trusted_page_can_ask_and_read(tmp_path: Path) -> None:
    """Browsers ask first, without the token, and hand the page only what the answer allows."""
    trusted = {"host": "0.0.0.0", "token": "s3cret", "trusted_origins": "https://app.example.org"}
    async with api_service(tmp_path, SimpleAcceptance(), **trusted) as api:
        origin = {"Origin": "https://app.example.org"}
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        asked = await api.client.options("/run", headers=origin | asks)
        assert asked.headers["access-control-allow-origin"] == origin["Origin"]
        token = {"Authorization": "Bearer s3cret"}
        answer = await api.client.post("/run", json={}, headers=origin | token)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == origin["Origin"]
        other = await api.client.get("/jobs", headers={"Origin": "https://example.org"} | token)
        assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("Bearer s3cret", 200),
        ("bearer s3cret", 200),
        ("Bearer s3cre", 401),
        ("Bearer s3cret2", 401),
        ("Bearer", 401),
        ("Bearer sécret", 401),
        ("Basic s3cret", 401),
        ("", 401),
    ],
)
async def test_a_token_is_asked_for(tmp_path: Path, header: str, code: int) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), host="0.0.0.0", token="s3cret") as api:
        response = await api.client.get("/jobs", headers={"Authorization": header.encode(), "Host": "any.example.org"})
        assert response.status_code == code
        if code == 401:
            assert response.headers["www-authenticate"] == "Bearer"
            assert "s3cre" not in response.text
        for path in ("/health", "/livez", "/readyz"):
            assert (await api.client.get(path)).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
def test_nothing_listens_beyond_loopback_without_a_token(host: str) -> None:
    with pytest.raises(ValidationError, match="DSPY_SERVICE_TOKEN"):
        Settings(host=host)
    assert Settings(host=host, token="x").host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert Settings(host=host).on_loopback


async def test_a_body_that_announces_too_much_is_not_read(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), body_limit_bytes=LIMIT) as api:
        response = await api.client.post("/run", content=b" " * (LIMIT + 1))
        assert response.status_code == 413
        assert str(LIMIT) in response.json()["detail"]
        assert (await api.client.post("/run", content=b"{}".rjust(LIMIT))).status_code == 200


async def test_a_body_that_announces_nothing_is_counted(tmp_path: Path) -> None:
    async def chunks(total: int) -> AsyncIterator[bytes]:
        for _ in range(total // 100 - 1):
            yield b" " * 100
        yield b"{}".rjust(100)

    async with api_service(tmp_path, SimpleAcceptance(), body_limit_bytes=LIMIT) as api:
        assert (await api.client.post("/run", content=chunks(LIMIT))).status_code == 200
        response = await api.client.post("/run", content=chunks(LIMIT + 100))
        assert response.status_code == 413
        assert response.headers["connection"] == "close"
        assert len(api.service.cache) == 1


@asynccontextmanager
async def listening(app: Any) -> AsyncIterator[int]:
    """A real server on a free port: what httptools and the kernel make of it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http="httptools", log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def test_a_client_that_sends_too_much_still_reads_why(tmp_path: Path) -> None:
    async with (
        api_service(tmp_path, SimpleAcceptance(), body_limit_bytes=1_000_000) as api,
        listening(api.app) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", event_hooks=HELD_ASYNC) as client,
    ):
        response = await client.post("/run", content=b" " * 1_900_000)
        assert response.status_code == 413
        assert (await client.get("/health")).status_code == 200


async def test_an_endless_body_is_cut_off(tmp_path: Path) -> None:
    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"POST /run HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"2710\r\n" + b" " * 10_000 + b"\r\n")
            await writer.drain()

    async with (
        api_service(tmp_path, SimpleAcceptance(), body_limit_bytes=100_000) as api,
        listening(api.app) as port,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(ConnectionError):
            await flood(writer)
        writer.close()


async def test_a_client_that_goes_away_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with api_service(tmp_path, SimpleAcceptance()) as api, listening(api.app) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /run HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        await writer.drain()
        writer.close()

        async def served() -> bool:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200

        await until(served)
        assert len(api.service.cache) == 0
        assert "unforeseen" not in caplog.text


@pytest.mark.parametrize("mode", [{}, {"token": "s3cret", "trusted_origins": "https://app.example.org"}])
async def test_no_answer_is_guessed_at_and_no_jobs_is_kept(tmp_path: Path, mode: dict[str, Any]) -> None:
    """Whatever the answer is: a job, a refusal, an error, a redirection, a preflight."""
    async with api_service(tmp_path, SimpleAcceptance(), **mode) as api:
        token = {"Authorization": "Bearer s3cret"}
        job = (await api.client.post("/run", json={}, headers=token)).json()["job_id"]
        paths = ["/jobs", "/jobs/", f"/jobs/{job}", "/jobs/nothing", f"/jobs/{job}/artifact", "/nowhere", "/run"]
        paths += [f"/jobs/{job}/{part}" for part in ("summary", "logs", "events", "logs?limit=x", "logs/")]
        preflight = {"Origin": "https://app.example.org", "Access-Control-Request-Method": "POST"}
        headers: list[dict[str, str]] = [token, {}, preflight, {"Host": "evil.example.org"}]
        for method in ("GET", "HEAD", "POST", "DELETE", "OPTIONS"):
            for path in (*paths, "/health", "/livez", "/openapi.json", "/docs", "/docs/docs.js", "/docs/nothing"):
                for given in headers:
                    if method == "DELETE" and given == token:
                        continue
                    answer = await api.client.request(method, path, headers=given)
                    assert answer.headers.get_list("x-content-type-options") == ["nosniff"]
                    if path in paths and method != "OPTIONS":
                        assert answer.headers.get_list("cache-control") == ["private, no-cache"]
                    if answer.headers.get("content-type", "").startswith("text/html"):
                        assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_every_answer_has_the_requests_id(api: Harness) -> None:
    assert (await api.client.get("/health", headers={"X-Request-ID": "abc-1"})).headers["x-request-id"] == "abc-1"
    for odd in ("a\tb", "x" * 65, "a b", ""):
        given = (await api.client.get("/health", headers={"X-Request-ID": odd})).headers["x-request-id"]
        assert len(given) == 32
    assert (await api.client.get("/nowhere")).headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/run", 405),
        ("PUT", "/run", 405),
        ("PATCH", "/jobs/x", 405),
        ("POST", "/jobs", 405),
        ("GET", "/jobs/x/y/z", 404),
    ],
)
async def test_what_there_is_not_is_refused_in_the_same_form(api: Harness, method: str, path: str, code: int) -> None:
    response = await api.client.request(method, path)
    assert response.status_code == code
    assert list(response.json()) == ["detail", "code"]
    assert response.json()["code"] == {404: "unknown_path", 405: "wrong_method"}[code]
    if code == 405:
        assert response.headers["allow"]


async def test_an_unforeseen_error_tells_nothing_of_our_insides(api: Harness, caplog: pytest.LogCaptureFixture) -> None:
    api.cluster.transport.before = fails("get", OPTIMIZATION_JOBS, RuntimeError("canary"))
    response = await api.client.get("/jobs/x", headers={"X-Request-ID": "abc-1"})
    assert response.status_code == 500
    assert "canary" not in response.text
    (record,) = [r for r in caplog.records if r.exc_info]
    assert vars(record)["request_id"] == "abc-1"


async def test_writes_are_logged_in_one_line(api: Harness, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await api.client.post("/run", content=orjson.dumps({"api_key": "canary"}))
        await api.client.get("/jobs")
    assert [r.getMessage() for r in caplog.records if r.name == "dspy_service_api.http.middleware.request_log"] == [
        "POST /run"
    ]
    assert "canary" not in caplog.text
