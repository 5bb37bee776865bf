"""Asks the application's own JSON endpoints, in this process, as any client of the visitor's would.

Who may read or do what is decided there and nowhere else. An answer with an error is raised as `Refused`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import orjson
from starlette.types import ASGIApp

Json = Any
Params = Mapping[str, str | int | None] | Sequence[tuple[str, str]]
_SECONDS = 60.0


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
    _base: str = field(default="http://localhost", repr=False)

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
        try:
            return (await self.get(f"/jobs/{name(job_id)}/artifact"))["program_artifact"]
        except Refused as exc:
            if exc.code in ("no_artifact", "not_finished"):
                return None
            raise

    async def rows(self, job_id: str, which: str, after: int | None, limit: int) -> list[Json]:
        """Empty for a job that has kept none, or none yet."""
        params: Params = {"which": which, "limit": limit, "after": after}
        try:
            found: list[Json] = await self.get(f"/jobs/{name(job_id)}/rows", params)
        except Refused as exc:
            if exc.code in ("no_artifact", "not_finished"):
                return []
            raise
        return found

    async def payload(self, job_id: str) -> Json | None:
        """None where it cannot be told."""
        try:
            return await self.get(f"/jobs/{name(job_id)}/payload")
        except Refused as exc:
            if exc.code == "no_payload":
                return None
            raise

    async def _ask(self, method: str, path: str, params: Params, body: bytes | None = None) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        headers = dict(self.headers) | ({} if body is None else {"content-type": "application/json"})
        async with httpx.AsyncClient(transport=transport, base_url=self._base, timeout=_SECONDS) as client:
            answer = await client.request(method, path, params=_given(params), content=body, headers=headers)
        if answer.is_error:
            raise Refused(answer.status_code, _object(answer.content), answer.headers.get("retry-after", ""))
        return answer


def name(job_id: str) -> str:
    return quote(job_id, safe="")


def _given(params: Params) -> httpx.QueryParams:
    pairs = params.items() if isinstance(params, Mapping) else params
    return httpx.QueryParams([(key, str(value)) for key, value in pairs if value not in (None, "")])


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}
