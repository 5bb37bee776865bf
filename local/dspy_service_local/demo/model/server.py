"""The humble model behind OpenAI's chat completions API, on a loopback port, in a thread of its own.

A thread and no process, so that it cannot outlive the demo. uvicorn's sockets have Nagle's algorithm off.

    with ModelServer() as server: ... server.url ...
"""

import socket
import threading
from collections import Counter
from types import TracebackType
from typing import Any, Self

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from .answer import answer

MODEL = "humble-1"
_MOST_ANSWERS = 128
_CHARACTERS_PER_TOKEN = 4
_STOP_SECONDS = 10.0
_VARIED_FROM = 0.5
"""At this temperature and above a prompt that comes again gets another answer."""
_MOST_REMEMBERED = 20_000


async def chat_completions(request: Request) -> Response:
    try:
        body = orjson.loads(await request.body())
        return _json(_completion(body, request.app.state.asked))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return _json({"error": {"message": f"Not a chat request: {error!r}", "type": "invalid_request_error"}}, 400)


def _completion(body: dict[str, Any], asked: Counter[int]) -> dict[str, Any]:
    messages = body["messages"]
    first = _first_variant(body, asked)
    as_json = str((body.get("response_format") or {}).get("type", "")).startswith("json")
    wanted = min(int(body.get("n") or 1), _MOST_ANSWERS)
    texts = [answer(messages, first + i, as_json=as_json) for i in range(wanted)]
    return {
        "id": "chatcmpl-humble",
        "object": "chat.completion",
        "created": 0,
        "model": str(body.get("model", MODEL)),
        "choices": [_choice(index, text) for index, text in enumerate(texts)],
        "usage": _usage(sum(len(str(m.get("content", ""))) for m in messages), sum(map(len, texts))),
    }


def _first_variant(body: dict[str, Any], asked: Counter[int]) -> int:
    """How often this prompt came before, so that a high temperature varies and yet a run can be repeated."""
    if float(body.get("temperature") or 0) < _VARIED_FROM:
        return 0
    if len(asked) >= _MOST_REMEMBERED:
        asked.clear()
    prompt = hash(orjson.dumps(body["messages"]))
    asked[prompt] += 1
    return asked[prompt] - 1


def _choice(index: int, text: str) -> dict[str, Any]:
    return {"index": index, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}


def _usage(read: int, written: int) -> dict[str, int]:
    prompt, completion = read // _CHARACTERS_PER_TOKEN, written // _CHARACTERS_PER_TOKEN
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def models(_request: Request) -> Response:
    return _json({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "dspy-service"}]})


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")


def make_app() -> Starlette:
    routes = [Route("/v1/chat/completions", chat_completions, methods=["POST"]), Route("/v1/models", models)]
    app = Starlette(routes=routes)
    app.state.asked = Counter[int]()
    return app


class ModelServer:
    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._socket = socket.create_server((host, port), backlog=256)
        self.url = f"http://{host}:{self._socket.getsockname()[1]}/v1"
        config = uvicorn.Config(
            make_app(), log_level="warning", access_log=False, lifespan="off", timeout_keep_alive=600
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="humble-model", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(_STOP_SECONDS)
        self._socket.close()

    def wait(self) -> None:
        """Until the process is told to stop."""
        self._thread.join()
