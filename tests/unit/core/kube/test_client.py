"""The client against a real HTTP server that answers as an API server does."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import orjson
import pytest
from aiohttp import web

from deep_json import DEPTHS, nested
from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import ClusterConfig, TokenSource
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Transport
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.nesting import SPEC_DEPTH, deeper_than

PATH = "/apis/dspy-service.io/v1alpha1/namespaces/team/optimizationjobs"
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[KubeClient]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    client = KubeClient(
        HttpTransport(ClusterConfig(f"http://{host}:{port}", None, TokenSource(token="t")), request_timeout=5)
    )
    try:
        yield client
    finally:
        await client.close()
        await runner.cleanup()


async def test_requests_go_where_kubernetes_expects_them() -> None:
    seen: list[tuple[str, str, dict[str, str], str, Any]] = []

    async def record(request: web.Request) -> web.Response:
        raw = await request.read()
        body = orjson.loads(raw) if raw else None
        seen.append((request.method, request.path, dict(request.query), request.headers["Authorization"], body))
        return web.json_response({"items": [], "metadata": {"resourceVersion": "7", "continue": "more"}})

    async with serving(record) as client:
        page = await client.list(OPTIMIZATION_JOBS, "team", label_selector="a=b", limit=5, continue_token="c")
        await client.create(OPTIMIZATION_JOBS, {"x": 2**70}, "team")
        await client.patch(OPTIMIZATION_JOBS, "j", {"status": {}}, "team", subresource="status")
        await client.delete(OPTIMIZATION_JOBS, "j", "team", uid="u")
    assert (page.resource_version, page.continue_token) == ("7", "more")
    assert [(method, path) for method, path, *_ in seen] == [
        ("GET", PATH),
        ("POST", PATH),
        ("PATCH", f"{PATH}/j/status"),
        ("DELETE", f"{PATH}/j"),
    ]
    assert seen[0][2] == {"labelSelector": "a=b", "limit": "5", "continue": "c"}
    assert all(auth == "Bearer t" for *_, auth, _ in seen)
    assert seen[3][4]["preconditions"] == {"uid": "u"}


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        (404, {"message": "gone"}, errors.NotFound),
        (409, {"reason": "AlreadyExists"}, errors.AlreadyExists),
        (409, {"reason": "Conflict"}, errors.Conflict),
        (410, {"reason": "Expired"}, errors.Expired),
        (422, {"message": "spec.x"}, errors.Invalid),
        (503, {}, errors.Unavailable),
    ],
)
async def test_refusals_are_typed(code: int, status: dict[str, Any], error: type[errors.KubeError]) -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response(status, status=code)

    async with serving(refuse) as client:
        with pytest.raises(error) as raised:
            await client.get(OPTIMIZATION_JOBS, "j", "team")
    assert type(raised.value) is error


async def test_a_connection_that_breaks_after_the_request_is_uncertain() -> None:
    async def hang_up(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with serving(hang_up) as client:
        with pytest.raises(errors.Unavailable) as raised:
            await client.create(OPTIMIZATION_JOBS, {}, "team")
    assert raised.value.sent


async def test_nobody_listening_is_certain() -> None:
    client = KubeClient(HttpTransport(ClusterConfig("http://127.0.0.1:9", None, TokenSource())))
    with pytest.raises(errors.Unavailable) as raised:
        await client.get(OPTIMIZATION_JOBS, "j", "team")
    await client.close()
    assert not raised.value.sent


async def test_watch_lines_may_be_longer_than_any_buffer_and_cut_anywhere() -> None:
    big = {"metadata": {"resourceVersion": "1"}, "x": "y" * 500_000}
    small = {"metadata": {"resourceVersion": "2"}}

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        raw = b"".join(
            orjson.dumps({"type": kind, "object": obj}) + b"\n" for kind, obj in (("ADDED", big), ("BOOKMARK", small))
        )
        for start in range(0, len(raw), 70_001):
            await response.write(raw[start : start + 70_001])
        return response

    async with serving(stream) as client:
        events = [event async for event in client.watch(OPTIMIZATION_JOBS, "team", resource_version="0")]
    assert [(event.type, event.object) for event in events] == [("ADDED", big), ("BOOKMARK", small)]


async def test_an_error_event_raises_what_it_says() -> None:
    async def expired(_: web.Request) -> web.Response:
        return web.Response(body=orjson.dumps({"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}) + b"\n")

    async with serving(expired) as client:
        with pytest.raises(errors.Expired):
            async for _ in client.watch(OPTIMIZATION_JOBS, resource_version="1"):
                pass


async def test_the_servers_clock_is_heard_in_every_answer() -> None:
    async def an_hour_ahead(_: web.Request) -> web.Response:
        then = datetime.now(UTC) + timedelta(hours=1)
        return web.json_response({"items": []}, headers={"Date": format_datetime(then, usegmt=True)})

    async with serving(an_hour_ahead) as client:
        await client.list(OPTIMIZATION_JOBS, "team")
        ahead = client.server_time() - datetime.now(UTC)
    assert timedelta(minutes=59) < ahead < timedelta(minutes=61)


@pytest.mark.parametrize("depth", DEPTHS)
async def test_an_object_of_any_depth_ends_no_list_no_watch_and_no_write(depth: int) -> None:
    def job(name: str, kwargs: bytes) -> bytes:
        head = b'{"metadata":{"name":"%s","resourceVersion":"7"},"spec":{"x":' % name.encode()
        return head + kwargs + b"}}"

    deep, plain = job("deep", nested(depth)), job("plain", b"[1]")

    async def answer(request: web.Request) -> web.Response:
        if request.method == "PATCH":
            return web.Response(body=deep)
        if "watch" in request.query:
            lines = [b'{"type":"ADDED","object":%s}\n' % each for each in (deep, plain)]
            return web.Response(body=b"".join(lines))
        return web.Response(body=b'{"metadata":{"resourceVersion":"5"},"items":[%s,%s]}' % (deep, plain))

    async with serving(answer) as client:
        listed = (await client.list(OPTIMIZATION_JOBS, "team")).items
        watched = [event.object async for event in client.watch(OPTIMIZATION_JOBS, "team", resource_version="5")]
        patched = await client.patch(OPTIMIZATION_JOBS, "deep", {"status": {}}, "team", subresource="status")
    for found in (listed, watched, [patched, orjson.loads(plain)]):
        assert [each["metadata"]["name"] for each in found] == ["deep", "plain"]
        assert found[1]["spec"] == {"x": [1]}
        assert deeper_than(found[0], SPEC_DEPTH)
        assert orjson.dumps(found)


async def test_an_answer_that_is_no_json_is_an_error_of_the_cluster() -> None:
    async def garble(_: web.Request) -> web.Response:
        return web.Response(body=b'{"items": [\n')

    async with serving(garble) as client:
        with pytest.raises(errors.Unavailable, match="no JSON"):
            await client.list(OPTIMIZATION_JOBS, "team")
        with pytest.raises(errors.Unavailable, match="no JSON"):
            async for _ in client.watch(OPTIMIZATION_JOBS, "team", resource_version="5"):
                pass


class Recorder(Transport):
    """Answers everything with an empty object, and a watch with no event."""

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, request: KubeRequest) -> KubeResponse:
        self.sent.append(request.verb)
        return KubeResponse(200, b"" if request.verb == "watch" else b"{}")


async def test_who_wants_to_know_is_told_of_each_request_in_kubernetes_words() -> None:
    told: list[tuple[str, str]] = []
    client = KubeClient(Recorder(), lambda verb, resource: told.append((verb, resource)))
    await client.get(OPTIMIZATION_JOBS, "j", "team")
    await client.list(OPTIMIZATION_JOBS)
    await client.create(OPTIMIZATION_JOBS, {}, "team")
    await client.replace(OPTIMIZATION_JOBS, "j", {}, "team")
    await client.patch(OPTIMIZATION_JOBS, "j", {}, "team", subresource="status")
    await client.delete(OPTIMIZATION_JOBS, "j", "team")
    await client.read_log("p", "team")
    assert [event async for event in client.watch(OPTIMIZATION_JOBS, resource_version="1")] == []
    assert told == [
        *((verb, "optimizationjobs") for verb in ("get", "list", "create", "update")),
        ("patch", "optimizationjobs/status"),
        ("delete", "optimizationjobs"),
        ("get", "pods/log"),
        ("watch", "optimizationjobs"),
    ]


async def test_what_they_forbid_is_not_sent() -> None:
    def forbid(verb: str, resource: str) -> None:
        raise PermissionError(verb)

    transport = Recorder()
    client = KubeClient(transport, forbid)
    with pytest.raises(PermissionError):
        await client.delete(OPTIMIZATION_JOBS, "j", "team")
    with pytest.raises(PermissionError):
        await anext(client.watch(OPTIMIZATION_JOBS, resource_version="1"))
    assert transport.sent == []
