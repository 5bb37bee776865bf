"""Refuses requests with a wrong Host or Origin, and callers without the permission that the route needs
(`http/access/permissions.py`)."""

from dataclasses import dataclass
from functools import partial
from typing import Self

from starlette.types import ASGIApp, Receive, Scope, Send

from dspy_service_api.answers import error_codes
from dspy_service_api.http.access.authenticator import ANYBODY, Authenticator, Visitor
from dspy_service_api.http.access.permissions import Found, Nowhere, Permission, RouteMap
from dspy_service_api.http.middleware.request_log import Visit
from dspy_service_api.http.origins import foreign_host, foreign_origin
from dspy_service_api.http.problems import Problem, answer
from dspy_service_api.settings import Settings
from dspy_service_core.kube import errors as kube
from dspy_service_core.resource import names

Headers = dict[bytes, bytes]


@dataclass(frozen=True, slots=True)
class KnownSites:
    """`hosts` is None if every Host is allowed."""

    hosts: frozenset[str] | None
    origins: frozenset[str]

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(
            hosts=frozenset(host.lower() for host in settings.trusted_hosts) if settings.auth == "none" else None,
            origins=frozenset(origin.lower() for origin in settings.trusted_origins),
        )


class AccessControl:
    def __init__(
        self, app: ASGIApp, sites: KnownSites, routes: RouteMap, authenticator: Authenticator, retry_after: int
    ) -> None:
        self._app = app
        self._sites = sites
        self._routes = routes
        self._authenticator = authenticator
        self._retry_after = retry_after

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refusal = await self._refusal(scope, _single(scope))
        if refusal:
            await answer(refusal, self._retry_after)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _refusal(self, scope: Scope, headers: Headers) -> Problem | None:
        if self._sites.hosts is not None and (detail := foreign_host(headers, self._sites.hosts)):
            return Problem(error_codes.FOREIGN_HOST, detail)
        if detail := foreign_origin(headers, self._sites.origins):
            return Problem(error_codes.FOREIGN_ORIGIN, detail)
        place = self._routes.find(scope["method"], scope["path"])
        visitor = await self._visitor(place, headers, Visit.of(scope))
        if isinstance(visitor, Problem):
            return visitor
        if isinstance(place, Nowhere):
            return _nowhere(place)
        scope["state"]["may"] = self._may
        scope["path"] = place.path
        scope["state"]["visitor"] = visitor.name
        scope["state"]["refusal"] = partial(self._refusal_of_reading, headers)
        return None

    async def _refusal_of_reading(self, headers: Headers, job_id: str) -> str:
        """Why the request's sender may not read another job than the one that the route is about; empty if it may."""
        found = await self._authenticator.ask(Permission("get", names.resource_name(job_id)), headers)
        return str(found.detail) if isinstance(found, Problem) else ""

    async def _may(self, method: str, path: str, headers: Headers) -> bool:
        """Whether a request would be let in, for a page that shows only what its visitor can do. True where nobody can
        say: who tries is told then."""
        place = self._routes.find(method, path)
        if isinstance(place, Nowhere):
            return False
        try:
            return not isinstance(await self._authenticator.ask(place.permission, headers), Problem)
        except kube.KubeError:
            return True

    async def _visitor(self, place: Found | Nowhere, headers: Headers, visit: Visit) -> Visitor | Problem:
        """A path without a route needs a token and no permission: its answer is the same for every caller."""
        if isinstance(place, Found) and place.access.open_to_all:
            visit.private = False
            return ANYBODY
        if isinstance(place, Found) and place.access.asks_itself:
            return ANYBODY
        try:
            return await self._authenticator.ask(place.permission if isinstance(place, Found) else None, headers)
        except Exception as exc:
            return visit.failure(exc)


def _nowhere(place: Nowhere) -> Problem:
    """With the messages that FastAPI would give; such requests never reach it."""
    if place.undeclared:
        return Problem(error_codes.CLOSED_ROUTE, "Nothing says who may call this, so nobody may.")
    if place.allowed:
        return Problem(error_codes.WRONG_METHOD, "Method Not Allowed", headers={"Allow": ", ".join(place.allowed)})
    return Problem(error_codes.UNKNOWN_PATH, "Not Found")


def _single(scope: Scope) -> Headers:
    """Headers by their lower-case names. The last of a repeated one counts; a repeated Host or Origin counts as
    none."""
    headers: Headers = {}
    for name, value in scope["headers"]:
        headers[name] = b"" if name in headers and name in (b"host", b"origin") else value
    return headers
