"""Canary keys wherever the contract's rule names a place: only the job's Secret ever holds them."""

import base64
import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from api_service import Harness, api_service
from dspy_service_api.http.routes.examples import REQUEST
from dspy_service_api.settings import Settings
from dspy_service_api.submit.parse_submit import CoreAcceptance
from dspy_service_core.kube import errors as kube
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS, SECRETS, Resource
from faulty_transport import fails

CANARY = "c4n4ry"
EXTRA: dict[str, Any] = {
    "api_key": f"{CANARY}1",
    "apiKey": f"{CANARY}2",
    "azure": {"clientSecret": f"{CANARY}3", "region": "eu"},
    "extra_headers": {"X-Anything": f"{CANARY}4"},
    "fallbacks": [{"model": "b", "api_key": f"{CANARY}5"}],
    "vertex_credentials": f"{CANARY}6",
    "num_retries": 3,
}
BASE_URL = f"http://user:{CANARY}7@localhost:1/v1?token={CANARY}8"


def request(**changes: Any) -> dict[str, Any]:
    body = copy.deepcopy(REQUEST)
    body["model_config"] = {"name": "openai/gpt-4o-mini", "base_url": BASE_URL, "extra": EXTRA}
    body["prompt_model_config"] = {"name": "openai/b", "extra": {"password": f"{CANARY}9"}}
    return body | changes


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Harness]:
    async with api_service(tmp_path, CoreAcceptance.from_settings(Settings())) as harness:
        yield harness


def job_of(api: Harness, job_id: str) -> Object:
    found = api.cluster.find(OPTIMIZATION_JOBS, f"job-{job_id}")
    assert found is not None
    return found


def dumped(api: Harness, but: str = "") -> str:
    """All that the API made in the cluster and the store, but objects of one kind."""
    kinds = [kind.resource for kind in api.cluster.server.kinds if kind.plural != but]
    objects = [obj for resource in kinds for obj in api.cluster.all(resource) if not _the_clusters_own(obj)]
    stored = [api.store.get(entry.key).decode() for entry in api.store.files()]
    return orjson.dumps(objects).decode() + "".join(stored)


def _the_clusters_own(obj: Object) -> bool:
    return obj["kind"] in ("Namespace", "ServiceAccount") or obj["metadata"]["name"] == "kube-root-ca.crt"


async def test_only_the_jobs_secret_holds_them(api: Harness, caplog: pytest.LogCaptureFixture) -> None:
    big = request(dataset=REQUEST["dataset"] * 30)
    response = await api.client.post("/run", json=big, headers={"Idempotency-Key": "k"})
    assert response.status_code == 200, response.text
    job_id = response.json()["job_id"]
    answers = [(await api.client.get(path)).text for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/summary", "/jobs")]
    assert CANARY not in response.text + "".join(answers) + caplog.text + dumped(api, but="secrets")
    secret = api.cluster.find(SECRETS, f"job-{job_id}-keys")
    assert secret is not None
    kept = {role: orjson.loads(base64.b64decode(value)) for role, value in secret["data"].items()}
    assert all(f"{CANARY}{n}" in str(kept) for n in range(1, 10))
    assert kept["default"]["base_url"] == BASE_URL
    models = job_of(api, job_id)["spec"]["models"]
    assert models["default"]["baseUrl"] == "http://localhost:1/v1"
    assert models["default"]["extra"]["num_retries"] == 3
    assert models["default"]["extra"]["azure"] == {"region": "eu"}
    assert models["default"]["credentialsFrom"] == {"name": f"job-{job_id}-keys", "key": "default"}
    assert models["prompt"]["credentialsFrom"] == {"name": f"job-{job_id}-keys", "key": "prompt"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"optimizer_name": "nothing"}, 400, id="unknown optimizer"),
        pytest.param({"dataset": []}, 422, id="no rows"),
        pytest.param({"model_config": {"name": "x", "temperature": f"{CANARY}"}}, 422, id="value of another field"),
        pytest.param({"model_config": {"name": "x", "extra": f"{CANARY}"}}, 422, id="extra is no object"),
        pytest.param({"model_config": {"name": "x", "api_key": f"{CANARY}"}}, 422, id="key in the wrong place"),
        pytest.param({"model_config": {"name": "x", "extra": {"api_base": f"{CANARY}"}}}, 422, id="reserved extra"),
        pytest.param({"model_config": {"name": "x", "base_url": f"ftp://{CANARY}@x"}}, 422, id="url of another kind"),
        pytest.param({"model_config": {"name": "x", "base_url": f"http://{CANARY}:{CANARY}"}}, 422, id="no url"),
        pytest.param({"model_config": f"{CANARY}"}, 422, id="config is no object"),
        pytest.param({"seed": f"{CANARY}"}, 422, id="seed is no number"),
    ],
)
async def test_no_refusal_repeats_them(
    api: Harness, changes: dict[str, Any], code: int, caplog: pytest.LogCaptureFixture
) -> None:
    response = await api.client.post("/run", json=request(**changes))
    assert response.status_code == code, response.text
    assert CANARY not in response.text + caplog.text + str(response.headers)
    assert dumped(api) == "[]"


async def test_malformed_json_is_not_repeated(api: Harness, caplog: pytest.LogCaptureFixture) -> None:
    response = await api.client.post("/run", content=orjson.dumps(request())[:-1])
    assert response.status_code == 422
    assert CANARY not in response.text + caplog.text


async def test_unknown_top_level_keys_are_named_without_their_values(api: Harness) -> None:
    response = await api.client.post("/run", json=request(api_key=f"{CANARY}0"))
    assert response.status_code == 200
    assert "api_key" in response.headers["warning"]
    assert CANARY not in str(response.headers) + dumped(api, but="secrets")


@pytest.mark.parametrize("resource", [SECRETS, OPTIMIZATION_JOBS], ids=lambda resource: resource.plural)
async def test_a_cluster_that_refuses_leaves_nothing_behind(
    api: Harness, resource: Resource, caplog: pytest.LogCaptureFixture
) -> None:
    api.cluster.transport.before = fails("create", resource, kube.Forbidden("quota"))
    response = await api.client.post("/run", json=request())
    assert response.status_code == 503
    assert CANARY not in response.text + caplog.text
    assert dumped(api) == "[]"


async def test_a_service_that_takes_none_names_every_place(tmp_path: Path) -> None:
    acceptance = CoreAcceptance.from_settings(Settings(refuse_credentials=True))
    async with api_service(tmp_path, acceptance) as api:
        response = await api.client.post("/run", json=request())
        assert response.status_code == 422
        fields = {problem["field"] for problem in response.json()["detail"]}
        assert {
            "model_config.base_url",
            "model_config.extra.api_key",
            "model_config.extra.fallbacks[0].api_key",
            "prompt_model_config.extra.password",
        } <= fields
        assert CANARY not in response.text
        assert (await api.client.post("/run", json=REQUEST)).status_code == 200


async def test_the_digest_cannot_be_tried_out(api: Harness) -> None:
    """Of a body with credentials it is slow and salted; the same body without is a plain one."""
    for key, body, scheme in (("a", request(), "scrypt:"), ("b", REQUEST | {"run_options": {}}, "sha256:")):
        job_id = (await api.client.post("/run", json=body, headers={"Idempotency-Key": key})).json()["job_id"]
        assert job_of(api, job_id)["metadata"]["annotations"]["dspy-service.io/request-digest"].startswith(scheme)


SECRETS_OF_CODE = {"SEARCH_TOKEN": f"{CANARY}-search", "ACCOUNT": f'{{"private_key": "{CANARY}-account"}}'}


async def test_secrets_of_the_jobs_code_are_in_its_secret_alone(api: Harness, caplog: pytest.LogCaptureFixture) -> None:
    response = await api.client.post("/run", json=REQUEST | {"secrets": SECRETS_OF_CODE})
    assert response.status_code == 200, response.text
    job = job_of(api, response.json()["job_id"])
    name = f"{job['metadata']['name']}-keys"
    assert job["spec"]["secrets"] == {key: {"name": name, "key": key} for key in SECRETS_OF_CODE}
    secret = api.cluster.find(SECRETS, name)
    assert secret is not None
    assert {key: base64.b64decode(value).decode() for key, value in secret["data"].items()} == SECRETS_OF_CODE
    assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
    assert CANARY not in response.text + caplog.text + dumped(api, but="secrets")


async def test_they_stand_beside_the_models_credentials(api: Harness) -> None:
    job_id = (await api.client.post("/run", json=request() | {"secrets": SECRETS_OF_CODE})).json()["job_id"]
    secret = api.cluster.find(SECRETS, f"job-{job_id}-keys")
    assert secret is not None
    assert set(SECRETS_OF_CODE) < set(secret["data"])
    assert job_of(api, job_id)["spec"]["models"]["default"]["credentialsFrom"]["key"] in secret["data"]


async def test_their_digest_cannot_be_tried_out_either(api: Harness) -> None:
    body = REQUEST | {"secrets": SECRETS_OF_CODE}
    job_id = (await api.client.post("/run", json=body, headers={"Idempotency-Key": "s"})).json()["job_id"]
    again = await api.client.post("/run", json=body, headers={"Idempotency-Key": "s"})
    assert again.json()["job_id"] == job_id
    other = body | {"secrets": SECRETS_OF_CODE | {"SEARCH_TOKEN": "another"}}
    assert (await api.client.post("/run", json=other, headers={"Idempotency-Key": "s"})).status_code == 409
    found = job_of(api, job_id)["metadata"]["annotations"]["dspy-service.io/request-digest"]
    assert found.startswith("scrypt:")


async def test_a_service_that_takes_no_credentials_takes_no_secrets(tmp_path: Path) -> None:
    acceptance = CoreAcceptance.from_settings(Settings(refuse_credentials=True))
    async with api_service(tmp_path, acceptance) as api:
        response = await api.client.post("/run", json=REQUEST | {"secrets": SECRETS_OF_CODE})
        assert response.status_code == 422
        assert {problem["field"] for problem in response.json()["detail"]} == {
            "secrets.SEARCH_TOKEN",
            "secrets.ACCOUNT",
        }
        assert CANARY not in response.text
