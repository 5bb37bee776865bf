"""Resources that are nested as deeply as a server stores them, beside a neighbour's: operator and API go on.

A real API server takes 10,000 levels; the embedded one refuses what our own code could not read.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from deep_json import DEPTHS, deep_spec
from dspy_service_api.http.app import create_app
from dspy_service_api.settings import Settings
from dspy_service_core import nesting
from dspy_service_core.kube import config
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import NotFound
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS
from dspy_service_core.storage.store import open_store
from dspy_service_operator.main import run
from dspy_service_operator.settings import OperatorSettings
from kube_http import KubeHttp, ok
from operator_objects import make_raw
from simple_acceptance import SimpleAcceptance
from waiting import until

pytestmark = pytest.mark.usefixtures("optimization_jobs")


@asynccontextmanager
async def operator(kubeconfig: Path, namespace: str, store: str) -> AsyncIterator[None]:
    stop = asyncio.Event()
    settings = OperatorSettings(kubeconfig=str(kubeconfig), namespaces=namespace, store_url=store, concurrency=1)
    task = asyncio.create_task(run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


@asynccontextmanager
async def http_api(client: KubeClient, namespace: str, store: str) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings(store_url=store, namespace=namespace), client, open_store(store), SimpleAcceptance())
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost")
    async with app.router.lifespan_context(app), http:
        yield http


@asynccontextmanager
async def kube(kubeconfig: Path) -> AsyncIterator[KubeClient]:
    made = KubeClient(HttpTransport(config.load(str(kubeconfig))))
    try:
        yield made
    finally:
        await made.close()


def body(name: str, depth: int = 0) -> bytes:
    raw = make_raw(name)
    given = {part: raw[part] for part in ("apiVersion", "kind", "spec")} | {"metadata": {"name": name}}
    return deep_spec(given, depth) if depth else orjson.dumps(given)


async def becomes(what: str, found: Callable[[], Awaitable[Any]]) -> None:
    await until(found, timeout=60, what=what)


@pytest.mark.parametrize("when", ["before", "while"])
@pytest.mark.parametrize("depth", DEPTHS)
async def test_a_resource_of_any_depth_hurts_nobody(
    kubeconfig: Path, http: KubeHttp, namespace: str, tmp_path: Path, depth: int, when: str
) -> None:
    store, path = (tmp_path / "store").as_uri(), OPTIMIZATION_JOBS.path(namespace)

    def send_deep() -> bool:
        answer = http.post(path, body("deep", depth))
        assert answer.status_code < 500
        return answer.status_code < 300

    stored = send_deep() if when == "before" else False
    async with (
        kube(kubeconfig) as client,
        operator(kubeconfig, namespace, store),
        http_api(client, namespace, store) as api,
    ):
        ok(http.post(path, body("earlier")))

        async def attempt_there(name: str) -> bool:
            try:
                return bool(await client.get(JOBS, f"{name}-1", namespace))
            except NotFound:
                return False

        await becomes("the earlier job's attempt", lambda: attempt_there("earlier"))
        stored = send_deep() if when == "while" else stored
        await client.delete(OPTIMIZATION_JOBS, "earlier", namespace)
        ok(http.post(path, body("later")))
        await becomes("the later job's attempt", lambda: attempt_there("later"))

        async def shown() -> dict[str, str]:
            answer = await api.get("/jobs")
            jobs = answer.json()["jobs"] if answer.is_success else []  # 503 until it has listed them
            return {job["job_id"]: job["status"] for job in jobs}

        async def all_shown() -> bool:
            found = await shown()
            return "later" in found and (not stored or found.get("deep") == "failed")

        await becomes("all jobs in the API's list", all_shown)
        assert (await api.get("/readyz")).status_code == (await api.get("/livez")).status_code == 200
        if stored:
            deep = await client.get(OPTIMIZATION_JOBS, "deep", namespace)
            assert nesting.deeper_than(deep["spec"], nesting.SPEC_DEPTH)
            assert "spec.module.kwargs.x: nested too deeply" in deep["status"]["message"]
            assert "nested too deeply" in (await api.get("/jobs/deep")).text
