"""The permission that a route needs, declared at the route: a verb of Kubernetes' RBAC on `optimizationjobs`.

@router.get("/jobs/{job_id}")
@needs("get")
async def job(...): ...

`middleware/access_control.py` finds the declaration by the paths and methods of the application's own routes, before
any of them runs. It refuses paths without a route itself, and a route that declares nothing is closed to everybody:
forgetting a declaration opens nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from re import Match, Pattern
from typing import Any, Literal, TypeVar

from dspy_service_core.resource import names

Verb = Literal["create", "list", "get", "update", "delete"]
Subresource = Literal["", "control"]
"""`control` exists for permissions alone: who may stop, pause and cancel need not be who may change a spec."""
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_DECLARED = "declared_access"


@dataclass(frozen=True, slots=True)
class Permission:
    """`name` is the resource's; empty for `create` and `list`, which concern no single one."""

    verb: Verb
    name: str = ""
    subresource: Subresource = ""


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """`verb` is None where any authenticated caller may call the route; `open_to_all` routes need no token at all."""

    verb: Verb | None = None
    open_to_all: bool = False
    asks_itself: bool = False
    """A page: for all that it shows and does, it asks other routes with its visitor's token."""
    subresource: Subresource = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The route that a request leads to, and the permission that it needs."""

    access: RouteAccess
    permission: Permission | None = None
    path: str = ""
    """The request's, with a job's id where it had what the job is called."""


@dataclass(frozen=True, slots=True)
class Nowhere:
    """There is no route to call. `allowed`: the methods of the path, where only the method is wrong. `undeclared`: the
    route exists and does not say who may call it."""

    allowed: tuple[str, ...] = ()
    undeclared: bool = False


OPEN = RouteAccess(open_to_all=True)
KNOWN = RouteAccess()
PAGE = RouteAccess(asks_itself=True)


def needs(verb: Verb, subresource: Subresource = "") -> Callable[[Endpoint], Endpoint]:
    return _declare(RouteAccess(verb, subresource=subresource))


def open_to_all(endpoint: Endpoint) -> Endpoint:
    """For probes, which have no token, and for files that are the same in every installation. Never for a job's
    data."""
    return _declare(OPEN)(endpoint)


def open_to_known(endpoint: Endpoint) -> Endpoint:
    return _declare(KNOWN)(endpoint)


def asks_itself(endpoint: Endpoint) -> Endpoint:
    """For the pages: who may see or do what is asked for where they get it from, with the token of their visitor's
    cookie. Never for what reads anything by itself."""
    return _declare(PAGE)(endpoint)


def _declare(access: RouteAccess) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _DECLARED, access)
        return endpoint

    return mark


def declared(route: Any) -> RouteAccess | None:
    return getattr(getattr(route, "endpoint", None), _DECLARED, None)


def leaves(routes: Iterable[Any]) -> Iterator[Any]:
    """All routes in the order in which they are matched; FastAPI keeps an included router as one nested entry."""
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from leaves(included.routes)
        else:
            yield route


@dataclass(slots=True)
class RouteMap:
    """All routes of the application, read once, at its first request.

    `id_of` resolves what a job is called, for reading alone: before the permission is asked for, so that it is that to
    read the job which is then answered, whichever has the name a moment later.
    """

    routes: Callable[[], Iterable[Any]]
    id_of: Callable[[str], str] = str
    _read: list[tuple[Pattern[str], frozenset[str], RouteAccess | None]] = field(default_factory=list)

    def find(self, method: str, path: str) -> Found | Nowhere:
        """A path with a slash at the end counts as the one without, because the router redirects between the two."""
        found = self._find(method, path)
        if isinstance(found, Nowhere) and not found.allowed and not found.undeclared and path != "/":
            found = self._find(method, path[:-1] if path.endswith("/") else path + "/")
            return replace(found, path=path) if isinstance(found, Found) else found
        return found

    def _find(self, method: str, path: str) -> Found | Nowhere:
        allowed: list[str] = []
        for pattern, methods, access in self._read or self._read_all():
            if (match := pattern.match(path)) is None:
                continue
            if methods and method not in methods:
                allowed += methods
            elif access is None:
                return Nowhere(undeclared=True)
            else:
                return self._found(access, match)
        return Nowhere(tuple(sorted(allowed)))

    def _found(self, access: RouteAccess, match: Match[str]) -> Found:
        path, job_id = match.string, match.groupdict().get("job_id", "")
        if access.verb == "get" and job_id and (known := self.id_of(job_id)) != job_id:
            path, job_id = f"{path[: match.start('job_id')]}{known}{path[match.end('job_id') :]}", known
        return Found(access, _permission(access, job_id), path)

    def _read_all(self) -> list[tuple[Pattern[str], frozenset[str], RouteAccess | None]]:
        """A mounted application has no list of methods: every method reaches it."""
        self._read = [
            (route.path_regex, frozenset(getattr(route, "methods", None) or ()), declared(route))
            for route in leaves(self.routes())
        ]
        return self._read


def _permission(access: RouteAccess, job_id: str) -> Permission | None:
    if access.verb is None:
        return None
    return Permission(access.verb, names.resource_name(job_id) if job_id else "", access.subresource)
