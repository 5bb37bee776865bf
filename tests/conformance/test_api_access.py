"""The HTTP API in auth mode kubernetes, on the cluster under test: its RBAC says who may submit, read and delete."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from accounts import grant, make_account, token_of
from as_token import authority_of
from declared_answers import HELD_ASYNC
from dspy_service_api.http.app import create_app
from dspy_service_api.settings import Settings
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import TokenSource, from_kubeconfig
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from dspy_service_core.storage.store import open_store
from kube_http import KubeHttp, ok
from simple_acceptance import SimpleAcceptance
from waiting import until

pytestmark = pytest.mark.usefixtures("optimization_jobs")

Served = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]
BODY = {
    "dataset": [{"text": "a", "team": "b"}] * 10,
    "signature_code": "class S(dspy.Signature): ...",
    "metric_code": "def metric(gold, pred): ...",
}


@pytest.fixture
def served(kubeconfig: Path, namespace: str, tmp_path: Path) -> Served:
    """The API, serving the namespace; with a token of its own in place of the administrator's where one is given."""

    @asynccontextmanager
    async def serve(own_token: str = "", **settings: Any) -> AsyncIterator[httpx.AsyncClient]:
        store_url = (tmp_path / "store").as_uri()
        given = Settings(host="0.0.0.0", auth_mode="kubernetes", namespace=namespace, store_url=store_url, **settings)
        config = from_kubeconfig(kubeconfig)
        if own_token:  # and by nothing else: a client certificate would come before it
            config = replace(config, tokens=TokenSource(own_token), ssl_context=authority_of(kubeconfig))
        cluster = KubeClient(HttpTransport(config))
        app = create_app(given, cluster, open_store(store_url), SimpleAcceptance())
        async with app.router.lifespan_context(app):
            await app.state.service.reflector.synced.wait()
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://api.example.org", event_hooks=HELD_ASYNC
            ) as client:
                yield client

    return serve


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("verbs", "codes"),
    [
        (("create",), (200, 403, 403, 403)),
        (("list",), (403, 200, 403, 403)),
        (("get",), (403, 403, 200, 403)),
        (("delete",), (403, 403, 403, 204)),
        (("*",), (200, 200, 200, 204)),
        ((), (403, 403, 403, 403)),
    ],
)
async def test_each_verb_is_its_own_right(
    served: Served, http: KubeHttp, namespace: str, verbs: tuple[str, ...], codes: tuple[int, ...]
) -> None:
    make_account(http, namespace, "admin", "*")
    make_account(http, namespace, "alice", *verbs)
    async with served() as api:
        admin, alice = (_bearer(token_of(http, namespace, name)) for name in ("admin", "alice"))
        job = (await api.post("/run", json=BODY, headers=admin)).json()["job_id"]
        answers = [
            await api.post("/run", json=BODY, headers=alice),
            await api.get("/jobs", headers=alice),
            await api.get(f"/jobs/{job}/summary", headers=alice),
            await api.delete(f"/jobs/{job}", headers=alice),
        ]
        assert tuple(answer.status_code for answer in answers) == codes
        wanted = ("create", "list", "get", "delete")
        for verb, answer in zip(wanted, answers, strict=True):
            if answer.status_code == 403:
                detail = answer.json()["detail"]
                user = f"system:serviceaccount:{namespace}:alice"
                for named in (user, verb, "optimizationjobs.dspy-service.io", namespace, "kubectl", "rolebinding"):
                    assert named in detail


async def test_a_right_to_one_job_is_no_right_to_another(served: Served, http: KubeHttp, namespace: str) -> None:
    make_account(http, namespace, "admin", "*")
    async with served() as api:
        admin = _bearer(token_of(http, namespace, "admin"))
        mine, other = [(await api.post("/run", json=BODY, headers=admin)).json()["job_id"] for _ in range(2)]
        make_account(http, namespace, "alice", "get", names=(names.api_job(mine),))
        alice = _bearer(token_of(http, namespace, "alice"))
        assert (await api.get(f"/jobs/{mine}", headers=alice)).status_code == 200
        for path in (f"/jobs/{other}", f"/jobs/{other}/logs", f"/jobs/{other}/artifact", "/jobs", "/jobs/"):
            assert (await api.get(path, headers=alice)).status_code == 403


async def test_who_is_not_known_is_told_how_to_be(served: Served, http: KubeHttp, namespace: str) -> None:
    make_account(http, namespace, "alice", "*")
    async with served() as api:
        for header in ({}, _bearer("wrong"), {"Authorization": "Basic YTpi"}, _bearer("x" * 20_000)):
            for path in ("/jobs", "/jobs/x", "/openapi.json", "/nowhere"):
                refused = await api.get(path, headers=header)
                assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
                assert f"kubectl create token <service account> -n {namespace}" in refused.json()["detail"]
        alice = _bearer(token_of(http, namespace, "alice"))
        assert (await api.get("/openapi.json", headers=alice)).status_code == 200
        for path in ("/health", "/livez", "/readyz"):
            assert (await api.get(path)).status_code == 200


async def test_a_token_must_be_for_this_service_where_it_says_so(
    served: Served, http: KubeHttp, namespace: str
) -> None:
    make_account(http, namespace, "alice", "*")
    async with served(auth_audiences="dspy-service") as api:
        own, plain = token_of(http, namespace, "alice", "dspy-service"), token_of(http, namespace, "alice")
        assert (await api.get("/jobs", headers=_bearer(own))).status_code == 200
        refused = await api.get("/jobs", headers=_bearer(plain))
        assert refused.status_code == 401
        assert "--audience=dspy-service" in refused.json()["detail"]


async def test_the_submitter_is_written_down(served: Served, http: KubeHttp, namespace: str) -> None:
    make_account(http, namespace, "alice", "create")
    async with served() as api:
        alice = _bearer(token_of(http, namespace, "alice"))
        job = (await api.post("/run", json=BODY, headers=alice)).json()["job_id"]
    made = ok(http.get(OPTIMIZATION_JOBS.path(namespace, names.api_job(job))))
    assert made["metadata"]["annotations"][names.ANNOTATION_SUBMITTER] == f"system:serviceaccount:{namespace}:alice"


async def test_a_withdrawn_right_ends_with_what_was_kept(served: Served, http: KubeHttp, namespace: str) -> None:
    make_account(http, namespace, "alice", "list")
    async with served(auth_cache_seconds=0) as api:
        alice = _bearer(token_of(http, namespace, "alice"))
        assert (await api.get("/jobs", headers=alice)).status_code == 200
        ok(http.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/rolebindings/alice"))

        async def refused() -> bool:
            return (await api.get("/jobs", headers=alice)).status_code == 403

        await until(refused)


async def test_a_service_that_may_not_ask_says_so(served: Served, http: KubeHttp, namespace: str) -> None:
    make_account(http, namespace, "api")
    everything = {"apiGroups": ["*"], "resources": ["optimizationjobs"], "verbs": ["*"]}
    grant(http, namespace, "api", everything)
    make_account(http, namespace, "alice", "*")
    async with served(own_token=token_of(http, namespace, "api")) as api:
        answer = await api.get("/jobs", headers=_bearer(token_of(http, namespace, "alice")))
        assert answer.status_code == 503
        assert "system:auth-delegator" in answer.json()["detail"]
        assert answer.headers["retry-after"]
