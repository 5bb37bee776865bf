"""What a route may be called for, declared where the route is: a verb of Kubernetes' RBAC on `optimizationjobs`.

@router.get("/jobs/{job_id}")
@needs("get")
async def job(...): ...

`middleware/access_control.py` finds the declaration by the paths and methods of the application's own routes, before
anything of them runs. A path that is no route's goes no further than that, and a route that declares nothing is closed
to everybody: forgetting a declaration opens nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from re import Pattern
from typing import Any, Literal, TypeVar

from dspy_service_core.resource import names

Verb = Literal["create", "list", "get", "delete"]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_DECLARED = "declared_access"


@dataclass(frozen=True, slots=True)
class Permission:
    """`name` is the resource's; empty for the verbs on all of them."""

    verb: Verb
    name: str = ""


@dataclass(frozen=True, slots=True)
class RouteAccess:
    """`verb` is None where any caller who is known will do; `open_to_all` asks nobody."""

    verb: Verb | None = None
    open_to_all: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Where a request leads: to a route and what that demands, or nowhere."""

    access: RouteAccess
    permission: Permission | None = None


@dataclass(frozen=True, slots=True)
class Nowhere:
    """`allowed`: the path's methods, where only the method is wrong. `undeclared`: nothing says who may call it."""

    allowed: tuple[str, ...] = ()
    undeclared: bool = False


OPEN = RouteAccess(open_to_all=True)
KNOWN = RouteAccess()


def needs(verb: Verb) -> Callable[[Endpoint], Endpoint]:
    return _declare(RouteAccess(verb))


def open_to_all(endpoint: Endpoint) -> Endpoint:
    """Probes, which have no token, and files that are the same in every installation: nothing of any job."""
    return _declare(OPEN)(endpoint)


def open_to_known(endpoint: Endpoint) -> Endpoint:
    return _declare(KNOWN)(endpoint)


def _declare(access: RouteAccess) -> Callable[[Endpoint], Endpoint]:
    def mark(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _DECLARED, access)
        return endpoint

    return mark


def declared(route: Any) -> RouteAccess | None:
    return getattr(getattr(route, "endpoint", None), _DECLARED, None)


def leaves(routes: Iterable[Any]) -> Iterator[Any]:
    """Routes in the order of their matching; FastAPI keeps what it includes as routers."""
    for route in routes:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from leaves(included.routes)
        else:
            yield route


@dataclass(slots=True)
class RouteMap:
    """All routes of the application, read once, at its first request."""

    routes: Callable[[], Iterable[Any]]
    _read: list[tuple[Pattern[str], frozenset[str], RouteAccess | None]] = field(default_factory=list)

    def find(self, method: str, path: str) -> Found | Nowhere:
        """With or without a slash at the end: the router sends the one to the other."""
        found = self._find(method, path)
        if isinstance(found, Nowhere) and not found.allowed and not found.undeclared and path != "/":
            return self._find(method, path[:-1] if path.endswith("/") else path + "/")
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
                return Found(access, _permission(access, match.groupdict().get("job_id", "")))
        return Nowhere(tuple(sorted(allowed)))

    def _read_all(self) -> list[tuple[Pattern[str], frozenset[str], RouteAccess | None]]:
        """A mount has no methods of its own: it is reached by all."""
        self._read = [
            (route.path_regex, frozenset(getattr(route, "methods", None) or ()), declared(route))
            for route in leaves(self.routes())
        ]
        return self._read


def _permission(access: RouteAccess, job_id: str) -> Permission | None:
    if access.verb is None:
        return None
    return Permission(access.verb, names.resource_name(job_id) if job_id else "")
