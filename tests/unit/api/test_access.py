"""What a request demands of RBAC, and how long the cluster's answers are kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from api_service import api_service
from dspy_service_api.access.demand import Demand, demand_of
from dspy_service_api.access.door import OPEN_PATHS
from dspy_service_api.access.reviews import Caller, Reviews, Unknown
from dspy_service_api.settings import Settings
from dspy_service_core.kube import errors
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import TOKEN_REVIEWS, Resource
from fake_cluster import FakeCluster
from simple_acceptance import SimpleAcceptance

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


class ReviewingCluster(FakeCluster):
    """Knows the tokens `good` and `better`, whose owner may do what is in `rights`."""

    def __init__(self) -> None:
        super().__init__()
        self.rights = {"list"}
        self.reviews: list[Object] = []

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        if "Review" not in resource.kind:
            return await super().create(resource, body, namespace)
        if fault := self.fault("create", resource.plural):
            raise fault
        self.reviews.append(body)
        spec = body["spec"]
        if resource is TOKEN_REVIEWS:
            known = spec["token"] in ("good", "better")
            return body | {"status": {"authenticated": known, "user": {"username": "jane", "groups": ["g"]}}}
        return body | {"status": {"allowed": spec["resourceAttributes"]["verb"] in self.rights}}


@pytest.mark.parametrize(
    ("method", "path", "demand"),
    [
        ("POST", "/run", Demand("create")),
        ("GET", "/jobs", Demand("list")),
        ("GET", "/jobs/", Demand("list")),
        ("GET", "/jobs/tickets", Demand("get", "tickets")),
        ("HEAD", "/jobs/tickets", Demand("get", "tickets")),
        ("GET", f"/jobs/{UUID}/logs", Demand("get", f"job-{UUID}")),
        ("DELETE", f"/jobs/{UUID}", Demand("delete", f"job-{UUID}")),
        ("GET", "/openapi.json", None),
        ("GET", "/", None),
    ],
)
def test_a_request_demands_what_kubectl_would_need(method: str, path: str, demand: Demand | None) -> None:
    assert demand_of(method, path) == demand


def _routes(found: list[Any]) -> Iterator[tuple[str, str]]:
    """(method, path) of all; FastAPI keeps what it includes as routers."""
    for route in found:
        if (included := getattr(route, "original_router", None)) is not None:
            yield from _routes(included.routes)
        else:
            yield from ((method, route.path) for method in route.methods)


async def test_every_route_demands_something_but_the_documents(tmp_path: Path) -> None:
    """A new endpoint must not come in by the back door."""
    async with api_service(tmp_path, SimpleAcceptance()) as api:
        routes = set(_routes(api.app.routes))
    assert {("POST", "/run"), ("DELETE", "/jobs/{job_id}"), ("GET", "/jobs/{job_id}/logs")} <= routes
    undemanding = {path for method, path in routes if demand_of(method, path) is None}
    assert undemanding == {"/openapi.json", "/docs", "/docs/oauth2-redirect", *OPEN_PATHS}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _asked(cluster: ReviewingCluster, reviews: Reviews, token: bytes, demand: Demand) -> tuple[bool, int]:
    """Whether it is allowed, and how many questions that took."""
    before = len(cluster.reviews)
    caller = await reviews.caller(token)
    allowed = isinstance(caller, Caller) and (await reviews.verdict(token, caller, demand)).allowed
    return allowed, len(cluster.reviews) - before


async def test_answers_are_kept_for_a_while_each_for_its_token_and_demand() -> None:
    cluster, clock = ReviewingCluster(), Clock()
    reviews = Reviews(cluster, "default", (), 30, clock)
    assert await _asked(cluster, reviews, b"good", Demand("list")) == (True, 2)
    clock.now = 29
    assert await _asked(cluster, reviews, b"good", Demand("list")) == (True, 0)
    assert await _asked(cluster, reviews, b"good", Demand("get", "x")) == (False, 1)
    assert await _asked(cluster, reviews, b"better", Demand("list")) == (True, 2)
    clock.now = 30
    assert await _asked(cluster, reviews, b"good", Demand("list")) == (True, 2)


async def test_a_refusal_is_soon_asked_again() -> None:
    cluster, clock = ReviewingCluster(), Clock()
    reviews = Reviews(cluster, "default", (), 30, clock)
    assert await _asked(cluster, reviews, b"good", Demand("create")) == (False, 2)
    cluster.rights.add("create")
    assert await _asked(cluster, reviews, b"good", Demand("create")) == (False, 0)
    clock.now = 2
    assert await _asked(cluster, reviews, b"good", Demand("create")) == (True, 1)
    assert await _asked(cluster, reviews, b"bad", Demand("create")) == (False, 1)
    assert await _asked(cluster, reviews, b"bad", Demand("create")) == (False, 0)


async def test_nothing_is_kept_that_holds_the_token() -> None:
    cluster = ReviewingCluster()
    reviews = Reviews(cluster, "default", (), 30, Clock())
    caller = await reviews.caller(b"good")
    assert isinstance(caller, Caller)
    await reviews.verdict(b"good", caller, Demand("list"))
    held: list[Any] = [*reviews._callers.items(), *reviews._verdicts.items()]
    assert held
    assert "good" not in repr(held)


async def test_a_server_that_knows_no_audiences_proves_nothing() -> None:
    reviews = Reviews(ReviewingCluster(), "default", ("dspy-service",), 0, Clock())
    assert isinstance(await reviews.caller(b"good"), Unknown)


async def test_a_body_is_not_read_before_the_door_opens(tmp_path: Path) -> None:
    cluster = ReviewingCluster()
    async with api_service(tmp_path, SimpleAcceptance(), cluster, auth_mode="kubernetes") as api:
        sent = []

        async def body() -> Any:
            sent.append(1)
            yield b"{}"

        headers = {"Authorization": "Bearer good"}
        assert (await api.client.post("/run", content=body(), headers=headers)).status_code == 403
        assert (await api.client.post("/run", content=body())).status_code == 401
        assert not sent
        cluster.fault = lambda verb, plural: errors.Unavailable("nobody there") if "reviews" in plural else None
        away = await api.client.post("/run", content=body(), headers=headers | {"Authorization": "Bearer better"})
        assert (away.status_code, away.headers["retry-after"]) == (503, "5")
        assert not sent


@pytest.mark.parametrize(
    ("given", "mode"),
    [
        ({}, "none"),
        ({"token": "x"}, "token"),
        ({"auth_mode": ""}, "none"),
        ({"host": "0.0.0.0", "token": "x"}, "token"),
        ({"host": "0.0.0.0", "auth_mode": "none"}, "none"),
        ({"host": "0.0.0.0", "auth_mode": "kubernetes"}, "kubernetes"),
    ],
)
def test_the_mode_follows_from_what_is_set(given: dict[str, Any], mode: str) -> None:
    assert Settings(**given).auth == mode


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"host": "0.0.0.0"}, "no loopback address"),
        ({"auth_mode": "token"}, "set DSPY_SERVICE_TOKEN"),
        ({"auth_mode": "none", "token": "x"}, "leaves DSPY_SERVICE_TOKEN unused"),
        ({"auth_mode": "kubernetes", "token": "x"}, "leaves DSPY_SERVICE_TOKEN unused"),
        ({"auth_mode": "oidc"}, "auth_mode"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(**given)
