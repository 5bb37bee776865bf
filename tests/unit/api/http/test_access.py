"""What a request demands of RBAC, and how long the cluster's answers are kept."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from api_service import api_service
from dspy_service_api.http.access.permissions import KNOWN, OPEN, PAGE, Found, Permission, RouteMap, declared, leaves
from dspy_service_api.http.access.reviews import Caller, Reviews, Unknown
from dspy_service_api.settings import Settings
from dspy_service_core.kube import errors
from faulty_cluster import FaultyCluster, faulty_cluster
from rights_reviewer import Reviewer
from simple_acceptance import SimpleAcceptance

UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[FaultyCluster]:
    async with faulty_cluster(tmp_path / "cluster") as cluster:
        yield cluster


@pytest.fixture
def reviewer(cluster: FaultyCluster) -> Reviewer:
    """Between the cluster and its clients."""
    cluster.transport.inner = reviewer = Reviewer(cluster.transport.inner)
    return reviewer


@pytest.mark.parametrize(
    ("method", "path", "permission"),
    [
        ("POST", "/run", Permission("create")),
        ("POST", "/run/", Permission("create")),
        ("GET", "/jobs", Permission("list")),
        ("GET", "/jobs/", Permission("list")),
        ("GET", "/jobs/tickets", Permission("get", "tickets")),
        ("GET", f"/jobs/{UUID}/logs", Permission("get", f"job-{UUID}")),
        ("GET", "/jobs/tickets/artifact", Permission("get", "tickets")),
        ("GET", "/jobs/tickets/rows", Permission("get", "tickets")),
        ("GET", "/jobs/tickets/candidates", Permission("get", "tickets")),
        ("GET", "/jobs/tickets/payload", Permission("get", "tickets")),
        ("GET", "/jobs/tickets/stream", Permission("get", "tickets")),
        ("DELETE", f"/jobs/{UUID}", Permission("delete", f"job-{UUID}")),
        *(
            ("POST", f"/jobs/{UUID}/{verb}", Permission("update", f"job-{UUID}", "control"))
            for verb in ("cancel", "stop", "pause", "resume")
        ),
        ("GET", "/openapi.json", None),
    ],
)
async def test_a_request_demands_what_kubectl_would_need(
    tmp_path: Path, method: str, path: str, permission: Permission | None
) -> None:
    async with api_service(tmp_path, SimpleAcceptance()) as api:
        found = RouteMap(lambda: api.app.routes).find(method, path)
        assert isinstance(found, Found)
        assert found.permission == permission


async def test_what_a_job_is_called_is_resolved_before_anybody_is_asked_and_for_reading_alone(
    tmp_path: Path, cluster: FaultyCluster, reviewer: Reviewer
) -> None:
    reviewer.rights = {"get", "delete", "update"}
    async with api_service(tmp_path, SimpleAcceptance(), cluster, auth_mode="kubernetes", auth_cache_seconds=0) as api:
        await api.job(f"job-{UUID}", {"phase": "Running"})
        await api.update(f"job-{UUID}", {"metadata": {"labels": {"dspy-service.io/name": "tickets"}}})
        headers = {"Authorization": "Bearer good"}

        async def asked(method: str, path: str) -> tuple[int, str]:
            reviewer.reviews.clear()
            answer = await api.client.request(method, path, headers=headers)
            return answer.status_code, reviewer.reviews[-1]["spec"]["resourceAttributes"]["name"]

        for below in ("/summary", "/logs", "/events", "/candidates", "/artifact", "/rows"):
            status, name = await asked("GET", f"/jobs/tickets{below}")
            assert name == f"job-{UUID}"
            assert status in (200, 409)
        assert await asked("DELETE", "/jobs/tickets") == (404, "tickets")
        assert await asked("POST", "/jobs/tickets/cancel") == (404, "tickets")
        assert await asked("GET", "/jobs/nobody") == (404, "nobody")
        reviewer.rights = set()
        assert (await api.client.get("/jobs/tickets", headers={"Authorization": "Bearer better"})).status_code == 403


async def test_every_route_declares_what_it_demands(tmp_path: Path) -> None:
    """A new endpoint must not come in by the back door."""
    async with api_service(tmp_path, SimpleAcceptance()) as api:
        routes = list(leaves(api.app.routes))
    access = {(method, route.path): declared(route) for route in routes for method in route.methods}
    assert all(access.values())
    verbs = {place: given.verb for place, given in access.items() if given and given.verb}
    below = ("", "/summary", "/logs", "/events", "/candidates", "/rows", "/payload", "/artifact", "/stream")
    assert verbs == {
        ("POST", "/run"): "create",
        ("GET", "/jobs"): "list",
        ("DELETE", "/jobs/{job_id}"): "delete",
        **{("GET", f"/jobs/{{job_id}}{part}"): "get" for part in below},
        **{("POST", f"/jobs/{{job_id}}/{verb}"): "update" for verb in ("cancel", "stop", "pause", "resume")},
    }
    assert {path for (_, path), given in access.items() if given == OPEN} == {
        *("/health", "/livez", "/readyz"),
        *("/docs", "/docs/{name}", "/page/static/{digest}/{file}"),
    }
    assert {path for (_, path), given in access.items() if given == KNOWN} == {"/openapi.json", "/catalogue"}
    pages = {path for (_, path), given in access.items() if given == PAGE}
    assert all(path == "/" or path.startswith("/page/") for path in pages)


@pytest.mark.parametrize("mode", ["none", "token", "kubernetes"])
async def test_what_declares_nothing_is_nobodys(
    tmp_path: Path, cluster: FaultyCluster, reviewer: Reviewer, mode: str
) -> None:
    called: list[int] = []
    reviewer.rights = {"create", "list", "get", "delete"}

    async def forgotten() -> str:
        called.append(1)
        return "secret"

    given = {"auth_mode": mode} | ({"token": "good"} if mode == "token" else {})
    async with api_service(tmp_path, SimpleAcceptance(), cluster, **given) as api:
        for path in ("/forgotten", "/jobs/{job_id}/secrets", "/jobs/{job_id}/a/b"):
            api.app.add_api_route(path, forgotten, methods=["GET", "POST"])
        api.app.add_api_route("/jobs/{job_id}", forgotten, methods=["PATCH"])
        api.app.mount("/mounted", forgotten)
        headers = {"Authorization": "Bearer good"}
        for method, path in [
            *(("GET", path) for path in ("/forgotten", "/forgotten/", "/jobs/x/secrets", "/jobs/x/a/b", "/mounted/x")),
            *(("POST", "/jobs/x/secrets"), ("PATCH", "/jobs/x"), ("DELETE", "/mounted/x")),
        ]:
            answer = await api.client.request(method, path, headers=headers)
            assert answer.status_code == 403, (method, path)
            assert (list(answer.json()), answer.json()["code"]) == (["detail", "code"], "closed_route"), (method, path)
            if mode != "none":
                assert (await api.client.request(method, path)).status_code == 401
        assert not called


@pytest.mark.parametrize("path", ["/jobs/{}/nothing", "/jobs/{}/logs/1", "/jobs/{}/", "/nowhere/{}"])
async def test_what_is_not_there_says_nothing_of_jobs(
    tmp_path: Path, cluster: FaultyCluster, reviewer: Reviewer, path: str
) -> None:
    """Neither by its answer nor by asking the cluster: whoever has no right learns the paths, which are public."""
    reviewer.rights = set()
    async with api_service(tmp_path, SimpleAcceptance(), cluster, auth_mode="kubernetes") as api:
        await api.job("known")
        headers = {"Authorization": "Bearer good"}
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "X"):
            answers = [await api.client.request(method, path.format(n), headers=headers) for n in ("known", "other")]
            assert len({(answer.status_code, answer.content.replace(b"known", b"other")) for answer in answers}) == 1
            assert answers[0].status_code in (403, 404, 405)
            assert (await api.client.request(method, path.format("known"))).status_code == 401


async def test_a_websocket_is_nobodys(tmp_path: Path) -> None:
    """There are none, and nothing would ask who opens one."""
    sent: list[Any] = []

    async def keep(message: Any) -> None:
        sent.append(message)

    async with api_service(tmp_path, SimpleAcceptance()) as api:
        api.app.add_api_websocket_route("/live", keep)
        await api.app({"type": "websocket", "path": "/live", "headers": [], "query_string": b""}, None, keep)
    assert [message["type"] for message in sent] == ["websocket.close"]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def _asked(reviewer: Reviewer, reviews: Reviews, token: bytes, permission: Permission) -> tuple[bool, int]:
    """Whether it is allowed, and how many questions that took."""
    before = len(reviewer.reviews)
    caller = await reviews.caller(token)
    allowed = isinstance(caller, Caller) and (await reviews.verdict(token, caller, permission)).allowed
    return allowed, len(reviewer.reviews) - before


async def test_answers_are_kept_for_a_while_each_for_its_token_and_demand() -> None:
    reviewer, clock = Reviewer(), Clock()
    reviews = Reviews(reviewer.client, "default", (), 30, clock)
    assert await _asked(reviewer, reviews, b"good", Permission("list")) == (True, 2)
    clock.now = 29
    assert await _asked(reviewer, reviews, b"good", Permission("list")) == (True, 0)
    assert await _asked(reviewer, reviews, b"good", Permission("get", "x")) == (False, 1)
    assert await _asked(reviewer, reviews, b"better", Permission("list")) == (True, 2)
    clock.now = 30
    assert await _asked(reviewer, reviews, b"good", Permission("list")) == (True, 2)


async def test_a_refusal_is_soon_asked_again() -> None:
    reviewer, clock = Reviewer(), Clock()
    reviews = Reviews(reviewer.client, "default", (), 30, clock)
    assert await _asked(reviewer, reviews, b"good", Permission("create")) == (False, 2)
    reviewer.rights.add("create")
    assert await _asked(reviewer, reviews, b"good", Permission("create")) == (False, 0)
    clock.now = 2
    assert await _asked(reviewer, reviews, b"good", Permission("create")) == (True, 1)
    assert await _asked(reviewer, reviews, b"bad", Permission("create")) == (False, 1)
    assert await _asked(reviewer, reviews, b"bad", Permission("create")) == (False, 0)


async def test_nothing_is_kept_that_holds_the_token() -> None:
    reviews = Reviews(Reviewer().client, "default", (), 30, Clock())
    caller = await reviews.caller(b"good")
    assert isinstance(caller, Caller)
    await reviews.verdict(b"good", caller, Permission("list"))
    held: list[Any] = [*reviews._callers.items(), *reviews._verdicts.items()]
    assert held
    assert "good" not in repr(held)


async def test_a_server_that_knows_no_audiences_proves_nothing() -> None:
    reviews = Reviews(Reviewer().client, "default", ("dspy-service",), 0, Clock())
    assert isinstance(await reviews.caller(b"good"), Unknown)


async def test_a_body_is_not_read_before_the_door_opens(
    tmp_path: Path, cluster: FaultyCluster, reviewer: Reviewer
) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), cluster, auth_mode="kubernetes") as api:
        sent = []

        async def body() -> Any:
            sent.append(1)
            yield b"{}"

        headers = {"Authorization": "Bearer good"}
        assert (await api.client.post("/run", content=body(), headers=headers)).status_code == 403
        assert (await api.client.post("/run", content=body())).status_code == 401
        assert not sent
        cluster.transport.before = lambda request: (
            errors.Unavailable("nobody there") if "reviews" in request.resource.plural else None
        )
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
