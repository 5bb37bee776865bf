"""What one connection may take, and what all of them may: on real sockets, plain and with TLS, with small limits."""

import asyncio
import os
import resource
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import orjson
import pytest
import uvloop
from pydantic import ValidationError

from dspy_service_api.serve.crowd import known_by
from dspy_service_api.serve.descriptors import RESERVE, within
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.settings import Settings
from limited_server import Answer, Application, Limited, Wire, limited
from waiting import until, wait_for

HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
GET = HEAD + b"\r\n"
POST = b"POST /run HTTP/1.1\r\nHost: localhost\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LIMIT = 4096
SMALL = ConnectionLimits(head_bytes=LIMIT, head_fields=20)
QUICK = ConnectionLimits(head_seconds=0.3, pause_seconds=0.3)
MOST_SENT = 24 * 1024 * 1024
"""Far more than the kernel's buffers and what is read of a client that is being refused."""

pytestmark = [
    pytest.mark.timeout(60),
    pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy"),
]


@pytest.fixture
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """The service's own."""
    return uvloop.EventLoopPolicy()


@pytest.fixture(params=["plain", "tls"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path if request.param == "tls" else None


def _endless(start: bytes, piece: Callable[[int], bytes]) -> Iterator[bytes]:
    yield start
    for number in range(10**9):
        yield piece(number)


FLOODS: dict[str, tuple[bytes, Callable[[int], bytes]]] = {
    "one header's value": (HEAD + b"X: ", lambda n: b"x" * 1000),
    "one header's name": (HEAD, lambda n: b"x" * 1000),
    "the request line": (b"GET /", lambda n: b"x" * 1000),
    "the query": (b"GET /?", lambda n: b"%20" * 300),
    "many headers": (HEAD, lambda n: b"".join(b"X-%d-%d: y\r\n" % (n, m) for m in range(100))),
    "one header again and again": (HEAD, lambda n: b"Cookie: y\r\n" * 100),
    "empty lines before it": (b"", lambda n: b"\r\n" * 500),
    "a trailer's value": (CHUNKED + b"1\r\nx\r\n0\r\nX: ", lambda n: b"x" * 1000),
    "many trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", lambda n: b"".join(b"X-%d-%d: y\r\n" % (n, m) for m in range(100))),
    "a chunk's extension": (CHUNKED + b"1;x=", lambda n: b"x" * 1000),
    "many chunks' extensions": (CHUNKED, lambda n: b"1;x=" + b"x" * 1000 + b"\r\nx\r\n"),
    "a head behind a request": (GET + HEAD + b"X: ", lambda n: b"x" * 1000),
    "a head behind a body": (POST + b"Content-Length: 1\r\n\r\nx" + HEAD + b"X: ", lambda n: b"x" * 1000),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_what_has_no_end_is_cut_off(flood: str, tls: Path | None) -> None:
    async with limited(Application(), SMALL, tls) as server:
        wire, sent = await server.connect(), 0
        for piece in _endless(*FLOODS[flood]):
            if not await wire.send(piece):
                break
            sent += len(piece)
            assert sent < MOST_SENT
        await until(lambda: _is(server.connections == 0))


async def _is(value: bool) -> bool:
    return value


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"X: " + b"x" * LIMIT + b"\r\n\r\n",
        b"GET /" + b"x" * LIMIT + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HEAD + b"".join(b"X-%d: y\r\n" % n for n in range(20)) + b"\r\n",
        HEAD + b"Cookie: y\r\n" * 20 + b"\r\n",
        b"GET / HTTP/1.0\r\nX: " + b"x" * LIMIT + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("piece", [1 << 20, 1000, 7])
async def test_a_head_that_is_too_large_is_told_so(head: bytes, piece: int, tls: Path | None) -> None:
    application = Application()
    async with limited(application, SMALL, tls) as server:
        wire = await server.connect()
        for start in range(0, len(head), piece):
            await wire.send(head[start : start + piece])
        answer = await wire.answer()
        assert answer.status == 431
        assert "over this" in orjson.loads(answer.body)["detail"] or "more than" in orjson.loads(answer.body)["detail"]
        assert b"connection: close" in answer.head
        assert await wire.ended()
        assert application.calls == 0


@pytest.mark.parametrize("piece", [1 << 20, 1000, 7])
async def test_a_head_of_just_the_limit_is_served_and_the_next_as_well(piece: int) -> None:
    head = HEAD + b"X: " + b"x" * (LIMIT - len(HEAD) - 7) + b"\r\n\r\n"
    assert len(head) == LIMIT
    async with limited(Application(), SMALL) as server:
        wire = await server.connect()
        for _ in range(3):
            for start in range(0, len(head), piece):
                await wire.send(head[start : start + piece])
            assert (await wire.answer()).status == 200


async def test_a_large_body_in_any_pieces_is_no_matter_of_these_limits(tls: Path | None) -> None:
    application = Application()
    async with limited(application, SMALL, tls) as server:
        wire = await server.connect()
        plain = b"x" * 1_000_000
        assert (await wire.ask(POST + b"Content-Length: 1000000\r\n\r\n" + plain)).status == 200
        for size in (1, 10, 8192):
            count = 60_000 // size
            chunk = b"%x\r\n" % size + b"x" * size + b"\r\n"
            assert (await wire.ask(CHUNKED + chunk * count + b"0\r\n\r\n")).status == 200
        assert [len(body) for body in application.bodies] == [1_000_000, 60_000, 60_000, 7 * 8192]


async def test_trailers_never_become_headers(tls: Path | None) -> None:
    """Neither of their own request nor of the next one on the connection."""
    application = Application()
    async with limited(application, SMALL, tls) as server:
        wire = await server.connect()
        trailers = b"Authorization: Bearer stolen\r\nHost: evil.example.org\r\nX-Request-ID: a\r\n"
        first = CHUNKED + b"2\r\n{}\r\n0\r\n" + trailers + b"\r\n"
        assert (await wire.ask(first)).status == 200
        assert (await wire.ask(GET)).status == 200
        await wire.send(first + GET)
        assert [(await wire.answer()).status for _ in range(2)] == [200, 200]
        names = [[name for name, _ in headers] for headers in application.headers]
        assert names == [[b"host", b"transfer-encoding"], [b"host"]] * 2
        assert all(dict(headers)[b"host"] == b"localhost" for headers in application.headers)


@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHost: lo", HEAD, b"\r\n"])
async def test_a_head_that_does_not_come_is_not_waited_for(sent: bytes, tls: Path | None) -> None:
    async with limited(Application(), QUICK, tls) as server:
        wire = await server.connect()
        answer = await wire.ask(sent)
        assert answer.status == 408
        assert "headers" in orjson.loads(answer.body)["detail"]
        assert await wire.ended()
        await until(lambda: _is(server.connections == 0))


async def test_a_head_that_drips_has_no_more_time() -> None:
    async with limited(Application(), QUICK) as server:
        wire = await server.connect()
        assert (await _drip(wire, HEAD + b"X: " + b"x" * 10_000)).status == 408


async def _drip(wire: Wire, data: bytes) -> Answer:
    """Byte by byte, until the other side says something or goes."""
    answer = asyncio.ensure_future(wire.answer())
    for byte in data:
        await wire.send(bytes([byte]))
        await asyncio.wait({answer}, timeout=0.02)
        if answer.done():
            break
    return await answer


@pytest.mark.parametrize("start", [POST + b"Content-Length: 100\r\n\r\nx", CHUNKED + b"5\r\nx", CHUNKED])
async def test_a_body_that_pauses_is_not_waited_for(start: bytes, tls: Path | None) -> None:
    application = Application()
    async with limited(application, QUICK, tls) as server:
        answer = await (await server.connect()).ask(start)
        assert answer.status == 408
        assert "body" in orjson.loads(answer.body)["detail"]
        assert not application.bodies
        await until(lambda: _is(server.connections == 0))


async def test_a_body_that_only_drips_is_not_waited_for() -> None:
    limits = ConnectionLimits(head_seconds=0.3, pause_seconds=0.3, bytes_per_second=100_000)
    async with limited(Application(), limits) as server:
        wire = await server.connect()
        await wire.send(POST + b"Content-Length: 10000\r\n\r\n")
        assert (await _drip(wire, b"x" * 10_000)).status == 408


async def test_a_body_may_take_as_long_as_the_service_does() -> None:
    """Nobody reads it: that is the service's own pause."""
    application = Application(reads=False)
    application.may_answer.clear()
    async with limited(application, QUICK) as server:
        wire, other = await server.connect(), await server.connect()
        await wire.send(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000)
        assert (await other.ask(HEAD)).status == 408  # longer than a pause may be
        application.may_answer.set()
        assert (await wire.answer()).status == 200


async def test_what_is_left_of_a_body_after_its_answer_is_not_waited_for_either() -> None:
    async with limited(Application(reads=False), QUICK) as server:
        wire = await server.connect()
        assert (await wire.ask(POST + b"Content-Length: 1000000\r\n\r\nx")).status == 200
        assert (await _drip(wire, b"x" * 10_000)).status == 0
        await until(lambda: _is(server.connections == 0))


async def test_an_answer_that_nobody_reads_is_dropped(tls: Path | None) -> None:
    async with limited(Application(answer=b"x" * 50_000_000), QUICK, tls) as server:
        wire = await server.connect()
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send(GET)
        await until(lambda: _is(server.server.server_state.total_requests == 1 or server.connections == 0))
        await until(lambda: _is(server.connections == 0))


async def test_half_sent_requests_shut_nobody_out(tls: Path | None) -> None:
    """Patience is not what helps here: the newcomer takes the place of the longest that has sent no whole head."""
    async with limited(Application(), ConnectionLimits(connections=8), tls) as server:
        half = [await server.connect() for _ in range(8)]
        for wire in half:
            await wire.send(HEAD)
        for number in range(3):
            assert (await (await server.connect()).ask(GET)).status == 200
            evicted = await half[number].answer()
            assert evicted.status == 408 or (tls and evicted.status == 0)
        assert server.connections == 8


async def test_idle_connections_give_way() -> None:
    async with limited(Application(), ConnectionLimits(connections=4)) as server:
        idle = [await server.connect() for _ in range(4)]
        for wire in idle:
            assert (await wire.ask(GET)).status == 200
        assert (await (await server.connect()).ask(GET)).status == 200
        assert await idle[0].ended()
        assert (await idle[3].ask(GET)).status == 200


async def test_what_is_answered_before_it_is_whole_gives_way() -> None:
    """Bodies of refused requests, which may drip on: nobody waits for those."""
    async with limited(Application(reads=False), ConnectionLimits(connections=4)) as server:
        for _ in range(4):
            refused = await server.connect()
            assert (await refused.ask(POST + b"Content-Length: 1000000\r\n\r\nx")).status == 200
        assert (await (await server.connect()).ask(GET)).status == 200


@pytest.fixture
async def busy() -> AsyncIterator[tuple[Application, Limited]]:
    """Four connections, all of which are being answered; two are all that one address may have."""
    application = Application()
    async with limited(application, ConnectionLimits(connections=4, per_peer=2)) as server:
        application.may_answer.clear()
        for source in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
            await (await server.connect(source)).send(GET)
        await until(lambda: _is(application.calls == 3))
        yield application, server
        application.may_answer.set()


async def test_one_address_cannot_take_all(busy: tuple[Application, Limited]) -> None:
    application, server = busy
    refused = await (await server.connect()).answer()
    assert refused.status == 503
    assert "one address" in orjson.loads(refused.body)["detail"]
    assert b"retry-after" in refused.head
    other = await server.connect("127.0.0.3")
    await other.send(GET)
    await until(lambda: _is(application.calls == 4))
    application.may_answer.set()
    assert (await other.answer()).status == 200


async def test_where_all_are_busy_a_newcomer_is_told_so(busy: tuple[Application, Limited]) -> None:
    application, server = busy
    await (await server.connect("127.0.0.3")).send(GET)
    await until(lambda: _is(application.calls == 4))
    refused = await (await server.connect("127.0.0.4")).ask(GET)
    assert (refused.status, server.connections, application.calls) == (503, 4, 4)
    application.may_answer.set()
    await until(lambda: _is(len(application.bodies) == 4))
    assert (await (await server.connect("127.0.0.4")).ask(GET)).status == 200


async def test_a_proxy_may_have_as_many_as_there_are() -> None:
    shared = Settings(proxies="127.0.0.0/24", connections_per_peer=2).limits(6).shared
    application = Application()
    async with limited(application, ConnectionLimits(connections=6, per_peer=2, shared=shared)) as server:
        application.may_answer.clear()
        for _ in range(6):
            await (await server.connect()).send(GET)
        await until(lambda: _is(application.calls == 6))
        application.may_answer.set()


async def test_a_handshake_that_never_ends_is_counted_and_gives_way(tmp_path: Path) -> None:
    async with limited(Application(), ConnectionLimits(connections=4, head_seconds=30), tmp_path) as server:
        for _ in range(4):
            await server.connect(plain=True)
        await until(lambda: _is(server.connections == 4))
        for _ in range(2):
            assert (await (await server.connect()).ask(GET)).status == 200
        assert server.connections == 4


async def test_a_handshake_has_the_time_of_a_head(tmp_path: Path) -> None:
    async with limited(Application(), QUICK, tmp_path) as server:
        for start in (b"", b"\x16\x03\x01", b"\x16\x03\x01\x00\xff"):
            wire = await server.connect(plain=True)
            await wire.send(start)
            assert await wire.ended()
        assert (await (await server.connect()).ask(GET)).status == 200


async def test_requests_sent_ahead_are_few(tls: Path | None) -> None:
    application = Application()
    application.may_answer.clear()
    async with limited(application, ConnectionLimits(pipelined=4), tls) as server:
        wire = await server.connect()
        await wire.send(GET * 5)
        application.may_answer.set()
        assert [(await wire.answer()).status for _ in range(5)] == [200] * 5
        application.may_answer.clear()
        await wire.send(GET * 10_000)
        await until(lambda: _is(application.calls == 6))
        application.may_answer.set()
        assert (await wire.answer()).status == 200
        assert await wire.ended()
        assert application.calls == 6


async def test_a_bad_request_does_not_spoil_the_answer_before_it() -> None:
    application = Application()
    application.may_answer.clear()
    async with limited(application, SMALL) as server:
        wire = await server.connect()
        await wire.send(GET + b"\x00nonsense\r\n\r\n")
        await until(lambda: _is(application.calls == 1))
        application.may_answer.set()
        assert (await wire.answer()).body == b"ok"
        assert await wire.reader.read() == b""


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT evil.example.org:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        CHUNKED + b"zz\r\n",
        "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".encode(),
    ],
)
async def test_what_is_no_request_is_a_400_in_our_form(sent: bytes) -> None:
    application = Application()
    async with limited(application, SMALL) as server:
        wire = await server.connect()
        answer = await wire.ask(sent)
        assert answer.status == 400
        assert list(orjson.loads(answer.body)) == ["detail", "code"]
        assert orjson.loads(answer.body)["code"] == "malformed_http"
        assert await wire.ended()
        assert not application.bodies


@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_another_protocol_is_not_spoken(protocol: bytes) -> None:
    """The request is answered as what it is, and nothing behind it is taken for another."""
    application = Application()
    async with limited(application, SMALL) as server:
        wire = await server.connect()
        await wire.send(HEAD + b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n\r\n" + GET)
        assert (await wire.answer()).status == 200
        assert await wire.ended()
        assert application.calls == 1


async def test_the_oldest_clients_are_answered_and_let_go() -> None:
    async with limited(Application(), SMALL) as server:
        wire = await server.connect()
        assert (await wire.ask(b"GET / HTTP/1.0\r\n\r\n")).body == b"ok"
        assert await wire.ended()


@pytest.mark.parametrize(
    ("target", "host"),
    [
        (b"/", b"localhost"),
        (b"http://evil.example.org/", b"evil.example.org"),
        (b"HTTP://evil.example.org:81/x", b"evil.example.org:81"),
        (b"http://[::1]:8000/", b"[::1]:8000"),
    ],
)
async def test_a_target_with_a_host_of_its_own_is_that_hosts(target: bytes, host: bytes) -> None:
    application = Application()
    async with limited(application, SMALL) as server:
        wire = await server.connect()
        assert (await wire.ask(b"GET " + target + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")).status == 200
        assert [value for name, value in application.headers[0] if name == b"host"] == [host]


SERVER = """
import asyncio, socket, sys
import uvicorn
from dspy_service_api.serve.descriptors import room_for
from dspy_service_api.serve.limits import ConnectionLimits
from dspy_service_api.serve.server import LimitedServer
from limited_server import Application

async def main():
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(Application(), ws="none", log_config=None, lifespan="off")
    server = LimitedServer(config, ConnectionLimits(connections=room_for(768)))
    print(listener.getsockname()[1], flush=True)
    await server.serve([listener])

asyncio.run(main())
"""


def test_a_process_with_few_descriptors_serves_beside_many_half_sent_requests() -> None:
    support = str(Path(__file__).parents[3] / "support")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([support, *sys.path])}
    running = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128)),
    )
    held: list[socket.socket] = []
    try:
        assert running.stdout is not None
        port = int(running.stdout.readline())
        for _ in range(300):
            held.append(socket.create_connection(("127.0.0.1", port)))
            held[-1].sendall(HEAD)

        def served() -> bool:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                client.sendall(GET)
                return client.recv(12) == b"HTTP/1.1 200"

        wait_for(served, timeout=6)
    finally:
        for connection in held:
            connection.close()
        running.kill()
        running.wait()


@pytest.mark.parametrize(
    ("wanted", "soft", "allowed"),
    [(768, 1024, 768), (768, 1000, 1000 - RESERVE), (768, 400, 200), (10, 128, 10), (768, 1, 1), (768, 1 << 20, 768)],
)
def test_connections_leave_room_for_the_rest(wanted: int, soft: int, allowed: int) -> None:
    assert within(wanted, soft) == allowed


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002"),
        ("2001:db8:1:2::9", "20010db800010002"),
        ("fe80::1%eth0", "fe80000000000000"),
        ("10.1.2.3", ""),
        ("::ffff:10.1.2.3", ""),
        ("", ""),
    ],
)
def test_an_address_is_counted_as_what_one_client_has(host: str, known: str) -> None:
    assert known_by(host, Settings(proxies="10.0.0.0/8,2001:db8:ffff::/48").shared_networks) == known


def test_a_proxy_is_an_address() -> None:
    with pytest.raises(ValidationError, match="'ingress' is no address"):
        Settings(proxies="ingress")
