"""Who a browser is: sealed, for no longer than its token, and no form without its word."""

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response

from api_service import Harness, api_service, running
from dspy_service_api.page.handlers.actions import ACTIONS
from dspy_service_api.page.handlers.sign_in import _own_path
from dspy_service_api.page.session import COOKIE, Seal, TokenTooLong
from dspy_service_core.kube.resources import SECRETS
from dspy_service_core.resource import names
from faulty_cluster import faulty_cluster
from rights_reviewer import Reviewer
from simple_acceptance import SimpleAcceptance

KEY = b"k" * 32
TOKEN = "the-token-of-this-service"


def browser(api: Harness) -> httpx.AsyncClient:
    """Keeps cookies; no hooks, since the document says nothing of pages."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(api.app), base_url="http://localhost:8000")


def request(cookie: str = "", scheme: str = "http", origin: str = "") -> Request:
    headers = [(b"cookie", f"{COOKIE}={cookie}".encode()), (b"origin", origin.encode())]
    return Request({"type": "http", "headers": headers, "scheme": scheme, "path": "/", "server": ("localhost", 80)})


def cookie_of(seal: Seal, token: str = "", **asked: str) -> str:
    response = Response()
    seal.put(seal.begun(token), request(**asked), response)
    return response.headers["set-cookie"]


def value_of(cookie: str) -> str:
    return cookie.split(";")[0].partition("=")[2].strip('"')


def jwt(**claims: Any) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


def test_any_replica_opens_what_another_one_sealed_and_nobody_else_does() -> None:
    sealed = value_of(cookie_of(Seal(KEY, 60), TOKEN))
    opened = Seal(KEY, 60).opened(request(sealed))
    assert opened is not None
    assert opened.token == TOKEN
    assert TOKEN not in sealed
    assert Seal(b"o" * 32, 60).opened(request(sealed)) is None
    assert Seal(KEY, 60).opened(request(sealed[:-4] + "AAAA")) is None
    assert Seal(KEY, 60).opened(request("")) is None


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites() -> None:
    plain = cookie_of(Seal(KEY, 60)).lower()
    assert "httponly" in plain
    assert "samesite=strict" in plain
    assert "secure" not in plain
    assert "secure" in cookie_of(Seal(KEY, 60), scheme="https").lower()
    assert "secure" in cookie_of(Seal(KEY, 60), origin="https://dspy.example.org").lower(), "TLS ends at an ingress"


def test_it_lasts_no_longer_than_its_token() -> None:
    seal, soon = Seal(KEY, 3600), int(time.time()) + 30
    assert seal.begun(jwt(exp=soon)).until == soon
    assert seal.begun(jwt(sub="jane")).until > soon
    assert seal.begun("no.jwt.!").until > soon
    gone = Response()
    seal.put(seal.begun(jwt(exp=int(time.time()) - 1)), request(), gone)
    assert seal.opened(request(value_of(gone.headers["set-cookie"]))) is None


def test_a_token_that_no_cookie_holds_is_not_lost_in_silence() -> None:
    with pytest.raises(TokenTooLong):
        cookie_of(Seal(KEY, 60), "t" * 4000)


@pytest.mark.parametrize(
    "path",
    [
        "https://example.org",
        "//example.org",
        "/\\example.org",
        "\\\\example.org",
        "javascript:alert(1)",
        "x",
        "/a\nb",
        "",
    ],
)
def test_nobody_is_sent_to_another_site(path: str) -> None:
    assert _own_path(path) == "/"


def test_a_path_of_ours_is_gone_back_to() -> None:
    assert _own_path("/page/jobs/a?which=won") == "/page/jobs/a?which=won"


async def test_with_a_token_nothing_is_shown_before_signing_in(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), token=TOKEN) as api, browser(api) as visitor:
        asked = await visitor.get("/page/jobs/x/rows?which=won")
        assert (asked.status_code, asked.headers["location"]) == (
            303,
            "/page/sign-in?next=%2Fpage%2Fjobs%2Fx%2Frows%3Fwhich%3Dwon",
        )
        fragment = await visitor.get("/page/jobs/x/live", headers={"HX-Request": "true"})
        assert (fragment.status_code, fragment.headers["hx-redirect"]) == (401, "/page/sign-in?next=%2F")
        stream = await visitor.get("/page/jobs/x/stream")
        assert stream.status_code == 401
        wrong = await signed_in(visitor, "another")
        assert wrong.status_code == 401
        assert "another" not in wrong.text
        right = await signed_in(visitor, TOKEN, "/page/health")
        assert (right.status_code, right.headers["location"]) == (303, "/page/health")
        assert (await visitor.get("/")).status_code == 200


async def signed_in(visitor: httpx.AsyncClient, token: str, following: str = "/") -> httpx.Response:
    word = await form_word(visitor, "/page/sign-in")
    return await visitor.post("/page/sign-in", data={"form_word": word, "token": token, "next": following})


async def form_word(visitor: httpx.AsyncClient, path: str) -> str:
    page = await visitor.get(path)
    return page.text.partition('name="form_word" value="')[2].partition('"')[0]


async def test_signing_out_and_a_changed_token_end_the_session(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), token=TOKEN) as api, browser(api) as visitor:
        await signed_in(visitor, TOKEN)
        kept = visitor.cookies[COOKIE]
        word = await form_word(visitor, "/")
        assert (await visitor.post("/page/sign-out", data={"form_word": word})).status_code == 303
        assert (await visitor.get("/")).headers["location"].startswith("/page/sign-in")
        replica = api_service(tmp_path / "b", SimpleAcceptance(), api.cluster, token="a-new-token")
        async with replica as other, browser(other) as again:
            again.cookies.set(COOKIE, kept)
            assert (await again.get("/")).status_code == 303


async def test_a_one_time_code_signs_in_once_and_only_in_its_time(tmp_path: Path) -> None:
    for until, works in ((int(time.time()) + 60, True), (int(time.time()) - 1, False)):
        code = f"{until}.random"
        async with api_service(tmp_path / str(works), SimpleAcceptance(), token=TOKEN, page_code=code) as api:
            async with browser(api) as visitor:
                first = await visitor.get("/page/sign-in", params={"code": code})
                assert first.status_code == (303 if works else 401)
                assert (await visitor.get("/")).status_code == (200 if works else 303)
            async with browser(api) as other:
                assert (await other.get("/page/sign-in", params={"code": code})).status_code == 401
                assert (await other.get("/page/sign-in", params={"code": f"{until}.guess"})).status_code == 401


async def test_where_no_code_was_made_none_signs_in(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), token=TOKEN) as api, browser(api) as visitor:
        assert (await visitor.get("/page/sign-in", params={"code": "9999999999.x"})).status_code == 401


@pytest.mark.parametrize(
    "path", ["/page/new", "/page/new/check", "/page/jobs/x/stop", "/page/jobs/x/delete", "/page/sign-out"]
)
async def test_no_form_counts_without_the_visitors_own_word(api: Harness, path: str) -> None:
    async with browser(api) as visitor, browser(api) as other:
        foreign = await form_word(other, "/page/new")
        await visitor.get("/")
        for data in ({}, {"form_word": ""}, {"form_word": foreign}):
            answer = await visitor.post(path, data=data)
            assert answer.status_code == 403
            assert "Nothing was done" in answer.text


async def test_the_key_is_one_for_all_replicas(api: Harness, tmp_path: Path) -> None:
    replica = api_service(tmp_path / "b", SimpleAcceptance(), api.cluster)
    async with replica as other, browser(api) as visitor, browser(other) as elsewhere:
        word = await form_word(visitor, "/page/new")
        elsewhere.cookies.set(COOKIE, visitor.cookies[COOKIE])
        assert await form_word(elsewhere, "/page/new") == word
    secret = await api.cluster.client.get(SECRETS, names.PAGE_KEY_SECRET, "default")
    assert len(base64.b64decode(secret["data"]["key"])) == 32


async def test_what_a_viewer_may_not_do_is_not_shown_and_refused(tmp_path: Path) -> None:
    async with faulty_cluster(tmp_path / "cluster") as cluster:
        cluster.transport.inner = reviewer = Reviewer(cluster.transport.inner)
        settings = {"auth_mode": "kubernetes", "auth_cache_seconds": 0}
        async with api_service(tmp_path, SimpleAcceptance(), cluster, **settings) as api, browser(api) as visitor:
            await api.job("runs", running())
            await signed_in(visitor, "good")
            reviewer.rights = {"list", "get"}
            seen = (await visitor.get("/page/jobs/runs")).text
            assert "What can be done" in seen
            assert not [each for each in (*ACTIONS, "new") if f'/{each}"' in seen or f"/{each}?" in seen]
            refused = await visitor.post(
                "/page/jobs/runs/stop", data={"form_word": await form_word(visitor, "/page/health")}
            )
            assert refused.status_code == 403
            reviewer.rights |= {"create", "update"}
            seen = (await visitor.get("/page/jobs/runs")).text
            shown = [each for each in (*ACTIONS, "new") if f'/{each}"' in seen or f"/{each}?" in seen]
            assert shown == ["stop", "pause", "cancel", "new"]
