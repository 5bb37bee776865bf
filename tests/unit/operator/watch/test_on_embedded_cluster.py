"""The operator as it runs: kopf's watches on a served API server, and a node that a coroutine plays."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from kopf._cogs.clients.api import iter_jsonlines

from deep_json import DEPTHS, store_deep
from dspy_service_core.kube import config
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.errors import NotFound
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import EVENTS, JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_core.resource import names
from dspy_service_operator.main import run
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.kopf_session import Watches, open_session
from embedded_cluster import RunningCluster, cluster_in_thread, running_cluster
from operator_objects import make_raw
from waiting import until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[RunningCluster]:
    with cluster_in_thread(tmp_path / "cluster") as running:
        yield running


@pytest.fixture
async def client(cluster: RunningCluster) -> AsyncIterator[KubeClient]:
    async with open_client(cluster) as made:
        yield made


@asynccontextmanager
async def open_client(cluster: RunningCluster) -> AsyncIterator[KubeClient]:
    made = KubeClient(HttpTransport(config.load(str(cluster.kubeconfig))))
    try:
        yield made
    finally:
        await made.close()


@asynccontextmanager
async def operator(cluster: RunningCluster, **settings: Any) -> AsyncIterator[None]:
    store = (cluster.kubeconfig.parent / "store").as_uri()
    stop = asyncio.Event()
    wanted = OperatorSettings(kubeconfig=str(cluster.kubeconfig), **{"store_url": store, **settings})
    task = asyncio.create_task(run(wanted, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def submit(client: KubeClient, name: str = "tickets", **spec: Any) -> None:
    raw = make_raw(name, **spec)
    body = {part: raw[part] for part in ("apiVersion", "kind", "spec")}
    await client.create(OPTIMIZATION_JOBS, body | {"metadata": {"name": name}}, "default")


async def status(client: KubeClient, name: str = "tickets") -> Object:
    return dict((await client.get(OPTIMIZATION_JOBS, name, "default")).get("status") or {})


async def reaches(client: KubeClient, phase: str, name: str = "tickets") -> Object:
    async def reached() -> Object | None:
        found = await status(client, name)
        return found if found.get("phase") == phase else None

    found = await until(reached, timeout=30, what=f"{name} to be {phase}")
    assert found is not None
    return found


async def job_object(client: KubeClient, name: str = "tickets-1") -> Object:
    async def there() -> Object | None:
        try:
            return await client.get(JOBS, name, "default")
        except NotFound:
            return None

    found = await until(there, timeout=30, what=f"the Job {name}")
    assert found is not None
    return found


async def recorded_pod(client: KubeClient, job: Object) -> Object:
    """The pod that a Job controller would make, once the operator has recorded it."""
    owner = {"apiVersion": "batch/v1", "kind": "Job", "controller": True}
    owner |= {"name": job["metadata"]["name"], "uid": job["metadata"]["uid"]}
    template = job["spec"]["template"]
    metadata = {"name": f"{job['metadata']['name']}-abcde", "labels": template["metadata"]["labels"]}
    body = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}
    pod = await client.create(PODS, body | {"metadata": metadata | {"ownerReferences": [owner]}}, "default")
    resource = job["metadata"]["labels"][names.LABEL_JOB]

    async def recorded() -> bool:
        found = (await status(client, resource)).get("attempt") or {}
        return found.get("podUID") == pod["metadata"]["uid"]

    await until(recorded, timeout=30, what="the pod to be recorded")
    return pod


async def report(client: KubeClient, name: str = "tickets", **run: Any) -> None:
    await client.patch(OPTIMIZATION_JOBS, name, {"status": {"run": run}}, "default", subresource="status")


async def play(client: KubeClient) -> None:
    """One attempt from its Job to its result."""
    pod = await recorded_pod(client, await job_object(client))
    word = {"attempt": 1, "podUID": pod["metadata"]["uid"], "startedAt": "2026-01-02T12:00:00Z"}
    await report(client, stage="Running", **word)
    await reaches(client, "Running")
    await report(client, stage="Ended", result={"outcome": "Succeeded", "reason": "Done"})


async def test_a_job_goes_from_its_resource_to_its_end(cluster, client):
    async with operator(cluster):
        await submit(client)
        await play(client)
        ended = await reaches(client, "Succeeded")
        assert ended["completedAt"]
        job = await client.get(OPTIMIZATION_JOBS, "tickets", "default")
        assert not job["metadata"].get("finalizers")
        assert not job["metadata"].get("annotations")

        async def labelled() -> bool:
            found = await client.get(OPTIMIZATION_JOBS, "tickets", "default")
            return names.LABEL_FINISHED in (found["metadata"].get("labels") or {})

        async def told() -> bool:  # Events go out beside the work, and this operator is ended without a drain
            return len(await reasons(client)) >= 3

        await until(labelled)
        await until(told)
    assert sorted(await reasons(client)) == ["AttemptStarted", "Running", "Succeeded"]


async def reasons(client: KubeClient) -> list[str]:
    return [event["reason"] for event in (await client.list(EVENTS, "default")).items]


async def test_a_restarted_operator_goes_on_where_the_cluster_is(cluster, client):
    async with operator(cluster):
        await submit(client)
        await job_object(client)
    pod_made = asyncio.create_task(recorded_pod(client, await job_object(client)))
    async with operator(cluster):
        pod = await pod_made
        await report(
            client, attempt=1, podUID=pod["metadata"]["uid"], stage="Running", startedAt="2026-01-02T12:00:00Z"
        )
        await reaches(client, "Running")
    await report(client, result={"outcome": "Succeeded", "reason": "Done"})
    async with operator(cluster):
        await reaches(client, "Succeeded")
    assert len((await client.list(JOBS, "default")).items) == 1


async def test_a_job_that_the_checks_refuse_fails_with_their_words(cluster, client):
    async with operator(cluster):
        await submit(client, optimizer={"name": "magic"})
        ended = await reaches(client, "Failed")
    assert "magic" in ended["message"]
    assert (await client.list(JOBS, "default")).items == []


async def test_a_waiting_job_says_where_it_is_in_the_queue(cluster, client):
    async with operator(cluster, concurrency=0):
        for name in ("one", "two"):
            await submit(client, name)

        async def placed() -> bool:
            found = await status(client, "two")
            return bool((found.get("queue") or {}).get("position"))

        await until(placed)
        assert "position 2" in (await status(client, "two"))["message"]


async def test_a_deleted_job_that_finalizers_keep_is_stopped_all_the_same(cluster, client):
    async def stopped() -> bool:
        return not (await client.list(JOBS, "default")).items and not (await client.list(PODS, "default")).items

    async with operator(cluster):
        await submit(client)
        await client.patch(OPTIMIZATION_JOBS, "tickets", {"metadata": {"finalizers": ["example.org/hold"]}}, "default")
        await recorded_pod(client, await job_object(client))
        await client.delete(OPTIMIZATION_JOBS, "tickets", "default")
        await until(stopped, timeout=30, what="the attempt to go")
        ended = await reaches(client, "Cancelled")
        assert "finalizers keep its record" in ended["message"]
        await client.patch(OPTIMIZATION_JOBS, "tickets", {"metadata": {"finalizers": None}}, "default")
        with pytest.raises(NotFound):
            await client.get(OPTIMIZATION_JOBS, "tickets", "default")


async def test_a_deleted_job_takes_its_attempt_along_and_frees_its_slot(cluster, client):
    async with operator(cluster, concurrency=1):
        for name in ("one", "two"):
            await submit(client, name)
        await job_object(client, "one-1")
        await client.delete(OPTIMIZATION_JOBS, "one", "default")
        await job_object(client, "two-1")


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("when", ["before the start", "while it runs"])
async def test_a_resource_of_any_depth_is_invalid_and_stops_nobody(tmp_path, depth, when):
    async with running_cluster(tmp_path / "cluster") as cluster, open_client(cluster) as client:
        deep = make_raw("deep")
        if when == "before the start":
            await store_deep(cluster.cluster, deep, depth)
        async with operator(cluster, concurrency=1):
            if when == "while it runs":
                await submit(client, "earlier", optimizer={"name": "magic"})
                await reaches(client, "Failed", "earlier")
                await store_deep(cluster.cluster, deep, depth)
            ended = await reaches(client, "Failed", "deep")
            assert [c["reason"] for c in ended["conditions"] if c["type"] == "Failed"] == ["Invalid"]
            assert "spec.module.kwargs.x: nested too deeply" in ended["message"]
            await submit(client)
            await job_object(client)


async def test_kopf_reads_lists_and_watches_of_any_depth(tmp_path):
    """Through its own client, as `login` hands it over: what ended the operator was its parser."""
    async with running_cluster(tmp_path / "cluster") as cluster:
        for number, depth in enumerate(DEPTHS):
            await store_deep(cluster.cluster, make_raw(f"deep-{number}"), depth)
        path = f"{cluster.url}{OPTIMIZATION_JOBS.path('default')}"
        watches = Watches([OPTIMIZATION_JOBS.path("default")], lambda: None)
        async with open_session(config.load(str(cluster.kubeconfig)), watches) as session:
            async with session.get(path) as answer:
                listed = await answer.json()
            async with session.get(path, params={"watch": "true", "timeoutSeconds": "1"}) as answer:
                watched = [json.loads(line) async for line in iter_jsonlines(answer.content)]
        names_listed = [item["metadata"]["name"] for item in listed["items"]]
        told = [event["object"]["metadata"]["name"] for event in watched if event["type"] == "ADDED"]
        assert names_listed == told == ["deep-0", "deep-1", "deep-2"]
