"""A scripted, OpenAI-compatible model server: every test and bench that needs a model uses this one.

Faults (401, 429, 500, hang, refuse, garbage, filtered, declined) are chosen by the path (`/err401/v1`), for everybody
(`server.fault`), from a certain call on (`server.fail_from(20, "refuse")`), or for every nth
(`server.fail_every(3, "429")`). What comes while `places` calls are being answered is refused with 429.

    with ScriptedServer(rows) as server: ... server.url ... server.stats.calls ...
    python tests/support/scripted_lm.py --port 8911 --dataset rows.jsonl [--latency-ms 20] [--log requests.jsonl]
"""

import argparse
import asyncio
import contextlib
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import httptools
import orjson

import model_manners
from scripted_model import TICKETS, ScriptedModel, embedding

EMPTIED: dict[str, dict[str, Any]] = {
    "filtered": {"index": 0, "finish_reason": "content_filter", "message": {"role": "assistant", "content": ""}},
    "declined": {
        "index": 0,
        "finish_reason": "stop",
        "message": {"role": "assistant", "content": None, "refusal": "I cannot help with that."},
    },
}
"""Answers of status 200 without a text: removed by a filter, or refused by the model itself."""
Refusal = Callable[[Sequence[Mapping[str, str]]], tuple[int, dict[str, Any]] | None]
"""From a request's messages to what it is refused with: a status, and parts of the error in its body."""


def too_long(limit: int) -> Refusal:
    """As OpenAI refuses what has more than so many characters."""

    def refusal(messages: Sequence[Mapping[str, str]]) -> tuple[int, dict[str, Any]] | None:
        length = sum(len(message["content"]) for message in messages)
        said = f"This model's maximum context length is exceeded: your messages have {length} characters."
        return (400, {"message": said, "code": "context_length_exceeded"}) if length > limit else None

    return refusal


@dataclass
class Stats:
    """What was asked, counted; `by_auth` is keyed by the bearer token."""

    calls: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_prompt_tokens: int = 0
    reasoning_tokens: int = 0
    in_flight: int = 0
    max_in_flight: int = 0
    by_kind: Counter[str] = field(default_factory=Counter)
    by_auth: Counter[str] = field(default_factory=Counter)


class _Connection(asyncio.Protocol):
    """One keep-alive connection; head and body go out in one write, or Nagle costs 40 ms a call."""

    def __init__(self, server: "ScriptedServer") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._url, self._auth, self._body = "", "", bytearray()
        self.manners: Sequence[str] = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.connections.add(transport)

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._transport is not None:
            self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_message_begin(self) -> None:
        self._url, self._auth, self._body = "", "", bytearray()

    def on_url(self, url: bytes) -> None:
        self._url += url.decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"authorization":
            self._auth = value.decode().removeprefix("Bearer ")

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._server.serve(self, self._url, self._auth, bytes(self._body))

    def send(self, status: int, document: Any, headers: str = "") -> None:
        if self._transport is None or self._transport.is_closing():
            return
        try:
            body = orjson.dumps(document)
        except orjson.JSONEncodeError:  # half an emoji, which some servers send
            body = json.dumps(document).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
        self._transport.write(head.encode() + body)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Model(Protocol):
    def answer(self, messages: Sequence[Mapping[str, Any]], auth: str = "") -> tuple[str, str]:
        """Text, and what was asked: task, propose, advice, rules or other."""

    def message(self, text: str) -> dict[str, Any]:
        """What is sent of it."""


class ScriptedServer:
    """Runs in a thread of its own; its public attributes may be read and set from any thread."""

    def __init__(
        self,
        rows: Iterable[Mapping[str, Any]] = TICKETS,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        latency: float = 0.0,
        text: str = "text",
        label: str = "label",
        log: Path | None = None,
        model: Model | None = None,
    ) -> None:
        self.model = model or ScriptedModel(rows, text, label)
        self.stats = Stats()
        self.latency = latency
        self.fault = ""
        self.retry_after = "0.01"
        self.tells_details = False
        self.told_usage: Callable[[dict[str, Any]], Any] | None = None
        self.places = sys.maxsize
        self.slow: tuple[int, float] | None = None
        self.refused_settings: set[str] = set()
        self.queries: set[str] = set()
        self.requests: list[dict[str, Any]] = []
        self.keep_requests = False
        self.refusal: Refusal | None = None
        self.connections: set[asyncio.Transport] = set()
        self._faults_from: tuple[int, str] | None = None
        self._faults_every: tuple[int, str] | None = None
        self._held_from = sys.maxsize
        self._held: list[tuple[_Connection, dict[str, Any], str, Stats]] = []
        self._log = log.open("ab") if log else None
        self._host, self._port = host, port
        self._loop = asyncio.new_event_loop()
        self._listener: asyncio.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def local_url(self) -> str:
        """The same: jobs and tests share loopback."""
        return self.url

    def calls_of(self, auth: str) -> list[dict[str, Any]]:
        """Who sent that key alone, where requests are kept."""
        return [entry for entry in self.requests if entry["auth"] == auth]

    def url_of(self, fault: str) -> str:
        """The same server, but whatever is sent here meets the fault: 401, 429, 500, hang, refuse, garbage."""
        return f"http://127.0.0.1:{self._port}/err{fault}/v1"

    def url_as(self, *manners: str) -> str:
        """The same server, but with the manners of `model_manners`."""
        return f"http://127.0.0.1:{self._port}/{model_manners.ROOT}{'+'.join(manners)}/v1"

    def fail_from(self, call: int, fault: str) -> None:
        """From the call of this number on (counted from 1), everybody meets the fault."""
        self._faults_from = (call, fault)

    def fail_every(self, nth: int, fault: str) -> None:
        """Every nth call meets the fault."""
        self._faults_every = (nth, fault)

    def hold_from(self, call: int) -> None:
        """From the call of this number on (counted from 1) nobody is answered until `release`: time to look."""
        self._held_from = call

    def release(self) -> None:
        self._held_from = sys.maxsize
        self._loop.call_soon_threadsafe(self._let_go)

    def slow_every(self, nth: int, seconds: float) -> None:
        """Every nth call takes so much longer."""
        self.slow = (nth, seconds)

    def control(self, latency: float | None = None, fail_from: tuple[int, str] | None = None) -> None:
        """For whoever reaches it over HTTP alone: `POST /control {"latency": 0.2, "fail_from": [20, "refuse"]}`."""
        if latency is not None:
            self.latency = latency
        if fail_from is not None:
            self.fail_from(*fail_from)

    def reset(self) -> None:
        self.stats, self.fault, self._faults_from, self._faults_every = Stats(), "", None, None
        self.places, self.slow = sys.maxsize, None
        self.refused_settings = set()
        self.requests.clear()
        self.release()

    async def listen(self) -> None:
        self._listener = await self._loop.create_server(lambda: _Connection(self), self._host, self._port, backlog=1024)
        self._port = self._listener.sockets[0].getsockname()[1]

    def run(self) -> None:
        """In the foreground, until interrupted."""
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self.listen())
        self._loop.run_forever()

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._loop.run_forever, name="scripted-lm", daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self.listen(), self._loop).result(10)
        return self

    def __exit__(self, *_exc: object) -> None:
        asyncio.run_coroutine_threadsafe(self._stopped(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(10)
        self._loop.close()
        if self._log is not None:
            self._log.close()

    async def _stopped(self) -> None:
        for transport in list(self.connections):
            transport.abort()
        if self._listener is not None:
            self._listener.close()

    def serve(self, connection: _Connection, url: str, auth: str, body: bytes) -> None:
        path, _, query = url.partition("?")
        self.queries.add(query)
        if path == "/stats":
            return connection.send(200, vars(self.stats))
        if path == "/reset":
            self.reset()
            return connection.send(200, {})
        if path == "/control":
            self.control(**orjson.loads(body))
            return connection.send(200, {})
        busy = "429" if self.stats.in_flight >= self.places else ""
        fault = self._fault_of(path.split("/")[1]) or busy
        if fault:
            self.stats.failed += 1
            return self._fail(connection, fault)
        request = orjson.loads(body)
        if path.endswith("/embeddings"):
            return self._embed(connection, request, auth)
        refused = self.refusal(request["messages"]) if self.refusal else None
        if refused is not None:
            self.stats.failed += 1
            return connection.send(refused[0], {"error": {"type": "x", "code": None} | refused[1]})
        connection.manners = model_manners.manners_of(path.split("/")[1])
        if impolite := model_manners.refusal(request, connection.manners):
            self.stats.failed += 1
            error = {"message": impolite.message, "type": "x", "param": None, "code": impolite.code}
            return connection.send(impolite.status, {"error": error}, impolite.headers)
        if unwanted := self.refused_settings & request.keys():
            cure = " Use 'max_completion_tokens' instead." if "max_tokens" in unwanted else ""
            message = f"Unsupported parameter: '{min(unwanted)}' is not supported with this model.{cure}"
            self.stats.failed += 1
            error = {"message": message, "type": "invalid_request_error", "code": "unsupported_parameter"}
            return connection.send(400, {"error": error})
        self.stats.in_flight += 1
        self.stats.max_in_flight = max(self.stats.max_in_flight, self.stats.in_flight)
        if self.stats.calls + self.stats.in_flight >= self._held_from:
            self._held.append((connection, request, auth, self.stats))
            return None
        if takes := self._takes():
            self._loop.call_later(takes, self._complete, connection, request, auth, self.stats)
            return None
        return self._complete(connection, request, auth, self.stats)

    def _takes(self) -> float:
        number = self.stats.calls + self.stats.in_flight
        return self.latency + (self.slow[1] if self.slow and number % self.slow[0] == 0 else 0.0)

    def _let_go(self) -> None:
        held, self._held = self._held, []
        for call in held:
            self._complete(*call)

    def _fault_of(self, root: str) -> str:
        if root.startswith("err"):
            return root.removeprefix("err")
        number = self.stats.calls + self.stats.failed + 1
        if self._faults_from is not None and number >= self._faults_from[0]:
            return self._faults_from[1]
        if self._faults_every is not None and number % self._faults_every[0] == 0:
            return self._faults_every[1]
        return self.fault

    def _fail(self, connection: _Connection, fault: str) -> None:
        if fault == "hang":
            return
        if fault == "refuse":
            connection.close()
        elif fault == "garbage":
            connection.send(200, ["not", "a", "completion"])
        elif fault in EMPTIED:
            connection.send(
                200, {"id": "scripted", "created": 1, "model": "m", "usage": {}, "choices": [EMPTIED[fault]]}
            )
        else:
            wait = f"retry-after: {self.retry_after}\r\n" if fault in ("429", "500", "503") else ""
            connection.send(int(fault), {"error": {"message": f"injected {fault}", "type": "x", "code": "c"}}, wait)

    def _complete(self, connection: _Connection, request: dict[str, Any], auth: str, stats: Stats) -> None:
        """`stats` are those of when the call came: one that ends after a reset is none of the new ones."""
        messages = request["messages"]
        told = [self.model.answer(messages, auth) for _ in range(request.get("n") or 1)]
        answers = [(model_manners.spoilt(text, request, connection.manners), kind) for text, kind in told]
        prompt = sum(len(str(m["content"])) for m in messages) // 4
        completion = sum(len(text) for text, _ in answers) // 4
        stats.in_flight -= 1
        stats.calls += 1
        stats.prompt_tokens += prompt
        stats.completion_tokens += completion
        stats.by_kind[answers[0][1]] += 1
        stats.by_auth[auth] += 1
        self._record(request, auth, answers[0])
        choices = [
            {"index": i, "finish_reason": "stop", "message": self.model.message(text)}
            for i, (text, _) in enumerate(answers)
        ]
        usage: dict[str, Any] = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }
        if self.tells_details:
            cached, reasoning = prompt // 3, completion // 2
            stats.cached_prompt_tokens += cached
            stats.reasoning_tokens += reasoning
            usage["prompt_tokens_details"] = {"cached_tokens": cached}
            usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
        connection.send(
            200,
            {
                "id": "scripted",
                "object": "chat.completion",
                "created": 1,
                "model": request.get("model"),
                "choices": choices,
                "usage": self.told_usage(usage) if self.told_usage else usage,
            },
        )

    def _embed(self, connection: _Connection, request: dict[str, Any], auth: str) -> None:
        refused = self.refusal([{"content": text} for text in request["input"]]) if self.refusal else None
        if refused is not None:
            self.stats.failed += 1
            connection.send(refused[0], {"error": {"type": "x", "code": None} | refused[1]})
            return
        tokens = sum(len(text) // 4 for text in request["input"])
        self.stats.calls += 1
        self.stats.prompt_tokens += tokens
        self.stats.by_kind["embedding"] += 1
        self.stats.by_auth[auth] += 1
        self._record(request, auth, ("", "embedding"))
        data = [
            {"object": "embedding", "index": index, "embedding": embedding(text)}
            for index, text in enumerate(request["input"])
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        connection.send(200, {"object": "list", "model": request["model"], "data": data, "usage": usage})

    def _record(self, request: dict[str, Any], auth: str, answer: tuple[str, str]) -> None:
        entry = {"kind": answer[1], "auth": auth, "request": request, "answer": answer[0]}
        if self.keep_requests:
            self.requests.append(entry)
        if self._log is not None:
            self._log.write(orjson.dumps(entry) + b"\n")
            self._log.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8911)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--dataset", type=Path, help="JSON Lines with a text and a label")
    parser.add_argument("--text", default="text", help="the column that is asked about")
    parser.add_argument("--label", default="label", help="the column to answer with")
    parser.add_argument("--latency-ms", type=float, default=0.0)
    parser.add_argument("--log", type=Path, help="append every request and answer to this file")
    args = parser.parse_args()
    rows = [json.loads(line) for line in args.dataset.read_text().splitlines() if line] if args.dataset else TICKETS
    server = ScriptedServer(
        rows,
        port=args.port,
        host=args.host,
        latency=args.latency_ms / 1000,
        text=args.text,
        label=args.label,
        log=args.log,
    )
    print(f"scripted model on http://{args.host}:{args.port}/v1", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


if __name__ == "__main__":
    main()
