"""Asks the application's own JSON endpoints, in this process, as any client of the visitor's would.

Who may read or do what is decided there and nowhere else. An answer with an error is raised as `Refused`.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote, urlencode

import orjson
from starlette.types import ASGIApp, Message, Scope

Json = Any
MOST_CANDIDATES = 2000
"""Of one job: more make no picture."""
_MADE_NOTHING = ("no_artifact", "not_finished")
Params = Mapping[str, str | int | None] | Sequence[tuple[str, str]]


class Refused(Exception):
    """An answer that is an error: its status, its code, and what it says."""

    def __init__(self, status: int, body: Mapping[str, Any], retry_after: str = "") -> None:
        detail = body.get("detail")
        self.status = status
        self.code = str(body.get("code", ""))
        self.fields: tuple[Mapping[str, str], ...] = tuple(detail) if isinstance(detail, list) else ()
        self.detail = detail if isinstance(detail, str) else "Some fields cannot be taken as they are."
        self.retry_after = retry_after
        super().__init__(self.detail)


@dataclass(frozen=True, slots=True)
class Contract:
    app: ASGIApp
    headers: Mapping[str, str]
    """The visitor's: their token, and the Host that they called."""

    async def get(self, path: str, params: Params = ()) -> Json:
        return orjson.loads((await self._ask("GET", path, params)).content)

    async def send(self, method: str, path: str, body: Json = None, params: Params = ()) -> Json:
        """The answer, and None where it has no body."""
        answer = await self._ask(method, path, params, None if body is None else orjson.dumps(body))
        return orjson.loads(answer.content) if answer.content else None

    async def summary(self, job_id: str) -> Json:
        return await self.get(f"/jobs/{name(job_id)}/summary")

    async def detail(self, job_id: str) -> Json:
        return await self.get(f"/jobs/{name(job_id)}")

    async def artifact(self, job_id: str) -> Json | None:
        """None for a job that has made no program, or none yet."""
        answer = await self._get_or_none(f"/jobs/{name(job_id)}/artifact", _MADE_NOTHING)
        return answer and answer["program_artifact"]

    async def rows(self, job_id: str, which: str, after: int | None, limit: int) -> list[Json]:
        """Empty for a job that has kept none, or none yet."""
        params: Params = {"which": which, "limit": limit, "after": after}
        return await self._get_or_none(f"/jobs/{name(job_id)}/rows", _MADE_NOTHING, params) or []

    async def candidates(self, job_id: str, count: int) -> list[Json]:
        """In brief, as many as the job is said to have; the first ones of very many."""
        path, found = f"/jobs/{name(job_id)}/candidates", list[Json]()
        while len(found) < min(count, MOST_CANDIDATES):
            page = await self.get(path, {"brief": "true", "after": len(found), "limit": MOST_CANDIDATES})
            if not page:
                break
            found += page
        return found

    async def candidate(self, job_id: str, n: int) -> Json | None:
        """With its texts; None where there is none of that number."""
        found = await self.get(f"/jobs/{name(job_id)}/candidates", {"after": n - 1, "limit": 1}) if n > 0 else []
        return found[0] if found and found[0]["n"] == n else None

    async def payload(self, job_id: str) -> Json | None:
        """None where it cannot be told."""
        return await self._get_or_none(f"/jobs/{name(job_id)}/payload", ("no_payload",))

    async def _get_or_none(self, path: str, codes: Sequence[str], params: Params = ()) -> Json | None:
        """None where the answer is an error of one of these kinds."""
        try:
            return await self.get(path, params)
        except Refused as exc:
            if exc.code in codes:
                return None
            raise

    async def _ask(self, method: str, path: str, params: Params, body: bytes | None = None) -> "Answer":
        answer = Answer(body or b"")
        await answer.of(self.app, self._scope(method, path, params, body))
        if answer.status >= 400:
            raise Refused(answer.status, _object(answer.content), answer.header(b"retry-after"))
        return answer

    def _scope(self, method: str, path: str, params: Params, body: bytes | None) -> Scope:
        headers = dict(self.headers) | ({} if body is None else {"content-type": "application/json"})
        return {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": urlencode(_given(params)).encode(),
            "headers": [(key.encode("latin-1"), value.encode("latin-1")) for key, value in headers.items()],
            "server": ("localhost", 80),
            "client": None,
        }


class Answer:
    """One of the application's own. By hand, since a page asks four times, and a client for HTTP takes longer to write
    and to read these than the application takes to answer."""

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self.content = b""
        self._body: bytes | None = body
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self._complete = asyncio.Event()

    async def of(self, app: ASGIApp, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception:  # which has been logged and answered with 500 before it is raised
            if not self._complete.is_set():
                raise

    def header(self, name: bytes) -> str:
        return next((value.decode("latin-1") for key, value in self._headers if key.lower() == name), "")

    async def _receive(self) -> Message:
        if self._body is None:
            await self._complete.wait()
            return {"type": "http.disconnect"}
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self._headers = message["status"], message.get("headers", ())
        elif message["type"] == "http.response.body":
            self.content += message.get("body", b"")
            if not message.get("more_body", False):
                self._complete.set()


def name(job_id: str) -> str:
    return quote(job_id, safe="")


def _given(params: Params) -> list[tuple[str, str]]:
    pairs = params.items() if isinstance(params, Mapping) else params
    return [(key, str(value)) for key, value in pairs if value not in (None, "")]


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
