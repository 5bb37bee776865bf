"""An Idempotency-Key is its user's own: nobody else's request is refused for it, waits for it, or is answered by it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, strategies as st

from api_service import Harness, api_service
from dspy_service_core.kube.protocol import KubeRequest, KubeResponse, Object, Transport
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, TOKEN_REVIEWS
from dspy_service_core.resource import names
from faulty_cluster import faulty_cluster
from simple_acceptance import SimpleAcceptance


class Users(Transport):
    """Every token is the name of a user, who may do everything."""

    def __init__(self, inner: Transport) -> None:
        self._inner = inner

    async def send(self, request: KubeRequest) -> KubeResponse:
        if "Review" not in request.resource.kind:
            return await self._inner.send(request)
        body = orjson.loads(request.body or b"")
        known = request.resource is TOKEN_REVIEWS
        status = {"authenticated": True, "user": {"username": body["spec"]["token"]}} if known else {"allowed": True}
        return KubeResponse(201, orjson.dumps(body | {"status": status}))


@pytest.fixture
async def shared(tmp_path: Path) -> AsyncIterator[Harness]:
    async with faulty_cluster(tmp_path / "cluster") as cluster:
        cluster.transport.inner = Users(cluster.transport.inner)
        async with api_service(tmp_path, SimpleAcceptance(), cluster, auth_mode="kubernetes") as harness:
            yield harness


async def post(api: Harness, user: str, key: str, body: Any) -> httpx.Response:
    headers = {"Idempotency-Key": key, "Authorization": f"Bearer {user}"}
    return await api.client.post("/run", content=orjson.dumps(body), headers=headers)


def jobs(api: Harness) -> list[Object]:
    return api.cluster.all(OPTIMIZATION_JOBS)


async def test_a_key_that_another_has_used_is_free(shared: Harness) -> None:
    squatted = await post(shared, "mallory", "release-1", {"seed": 1})
    own = await post(shared, "jane", "release-1", {"seed": 2})
    assert (squatted.status_code, own.status_code) == (200, 200), own.text
    assert squatted.json()["job_id"] != own.json()["job_id"]


async def test_the_same_request_of_another_is_another_job(shared: Harness) -> None:
    first = await post(shared, "jane", "k", {"seed": 1})
    again = await post(shared, "jane", "k", {"seed": 1})
    other = await post(shared, "mallory", "k", {"seed": 1})
    assert first.json() == again.json() != other.json()
    assert {job["metadata"]["annotations"][names.ANNOTATION_SUBMITTER] for job in jobs(shared)} == {"jane", "mallory"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("a", "b/c"), ("a/b", "c")),
        (("a", "b:c"), ("a:b", "c")),
        (("a", '"b'), ('a"', "b")),
        (("a", '","b'), ('a","', "b")),
        (("a", "\\"), ("a\\", "")),
    ],
)
def test_no_pair_of_user_and_key_reads_as_another(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert names.idempotent_job_id("ns", one[1], one[0]) != names.idempotent_job_id("ns", other[1], other[0])


odd = st.text(st.sampled_from('ab/:,"\\[] '), max_size=4)
triples = st.tuples(st.sampled_from(["a", "b"]), odd, odd)


@given(triples, triples)
def test_ids_are_equal_for_equal_triples_alone(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """(namespace, key, user); the user may be unknown, and a key may look like any of it."""
    same = names.idempotent_job_id(*one) == names.idempotent_job_id(*other)
    assert same == (one == other)


async def test_where_nobody_is_asked_a_key_leads_where_it_always_did(tmp_path: Path) -> None:
    async with api_service(tmp_path, SimpleAcceptance(), auth_mode="token", token="t") as api:
        answer = await post(api, "t", "k", {})
    assert answer.json()["job_id"] == "c6e1b4f7-abd4-5f2f-b59d-8550b473d476"
