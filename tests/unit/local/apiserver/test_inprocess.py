"""The client's promises, over both of its transports to the embedded API server; and what only this process can see."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from dspy_service_core.kube import errors
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import CONFIG_MAPS, CUSTOM_RESOURCE_DEFINITIONS, JOBS, NAMESPACES, PODS, Resource
from dspy_service_local.apiserver import ApiServer, Cluster, LogRequest
from waiting import until
from widgets import DEFINITION, widget

WIDGETS = Resource("testing.dspy-service.io", "v1", "widgets", "Widget")


@pytest.fixture(params=["in process", "over HTTP"])
async def client(request: pytest.FixtureRequest, cluster: Cluster) -> AsyncIterator[KubeClient]:
    if request.param == "in process":
        yield cluster.client
        return
    server = await ApiServer.start(cluster)
    made = KubeClient(HttpTransport(from_kubeconfig(server.kubeconfig)))
    yield made
    await made.close()
    await server.stop()


async def test_the_callers_objects_are_left_alone(client: KubeClient) -> None:
    body = widget("a")
    await client.create(WIDGETS, body, "default")
    assert body == widget("a")


async def test_errors_are_the_protocols(client: KubeClient) -> None:
    made = await client.create(WIDGETS, widget("a"), "default")
    with pytest.raises(errors.AlreadyExists):
        await client.create(WIDGETS, widget("a"), "default")
    with pytest.raises(errors.NotFound):
        await client.get(WIDGETS, "b", "default")
    with pytest.raises(errors.Invalid):
        await client.patch(WIDGETS, "a", {"spec": {"size": "x"}}, "default")
    await client.patch(WIDGETS, "a", {"spec": {"note": "x"}}, "default")
    with pytest.raises(errors.Conflict):
        await client.replace(WIDGETS, "a", made, "default")
    with pytest.raises(errors.Conflict):
        await client.delete(WIDGETS, "a", "default", uid="another")
    with pytest.raises(errors.NotFound):
        await client.list(Resource("no.such", "v1", "things", "Thing"))


async def test_a_watch_follows_a_list(client: KubeClient) -> None:
    listed = await client.list(WIDGETS, "default")
    watching = client.watch(WIDGETS, "default", resource_version=listed.resource_version)
    await client.create(WIDGETS, widget("a"), "default")
    event = await anext(watching)
    assert (event.type, event.object["metadata"]["name"]) == ("ADDED", "a")
    await client.delete(WIDGETS, "a", "default")
    assert (await anext(watching)).type == "DELETED"
    await watching.aclose()


async def test_a_watch_ends_when_asked_and_when_the_cluster_does(cluster: Cluster) -> None:
    client = cluster.client
    version = (await client.list(WIDGETS)).resource_version
    events = [event async for event in client.watch(WIDGETS, resource_version=version, timeout_seconds=1)]
    assert [event.type for event in events] == ["BOOKMARK"]
    watching = asyncio.ensure_future(_count(client.watch(WIDGETS, resource_version=version)))
    await asyncio.sleep(0)
    cluster.end_watches()
    assert await watching == 0


async def _count(events: AsyncIterator[object]) -> int:
    return len([event async for event in events])


async def test_an_old_watch_is_expired(client: KubeClient) -> None:
    with pytest.raises(errors.Expired):
        await anext(client.watch(WIDGETS, resource_version="1"))


async def test_pages(client: KubeClient) -> None:
    for name in "abcde":
        await client.create(WIDGETS, widget(name), "default")
    first = await client.list(WIDGETS, limit=2)
    second = await client.list(WIDGETS, limit=2, continue_token=first.continue_token)
    last = await client.list(WIDGETS, limit=2, continue_token=second.continue_token)
    names = [item["metadata"]["name"] for page in (first, second, last) for item in page.items]
    assert names == list("abcde")
    assert last.continue_token == ""


def _pod(node: str = "") -> dict[str, object]:
    spec: dict[str, object] = {"containers": [{"name": "main", "image": "x"}]}
    return {"metadata": {"name": "p"}, "spec": spec | ({"nodeName": node} if node else {})}


async def test_a_pod_on_a_node_is_given_time(client: KubeClient) -> None:
    await client.create(PODS, _pod("local"), "default")
    await client.delete(PODS, "p", "default", grace_period_seconds=20)
    metadata = (await client.get(PODS, "p", "default"))["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 20
    await client.delete(PODS, "p", "default")
    assert (await client.get(PODS, "p", "default"))["metadata"]["deletionGracePeriodSeconds"] == 20
    await client.delete(PODS, "p", "default", grace_period_seconds=0)
    with pytest.raises(errors.NotFound):
        await client.get(PODS, "p", "default")


async def test_a_pod_that_nobody_runs_goes_at_once(client: KubeClient) -> None:
    await client.create(PODS, _pod(), "default")
    await client.delete(PODS, "p", "default")
    assert (await client.list(PODS)).items == []


async def test_an_ended_pod_goes_at_once(client: KubeClient) -> None:
    await client.create(PODS, _pod("local"), "default")
    await client.patch(PODS, "p", {"status": {"phase": "Failed"}}, "default", subresource="status")
    await client.delete(PODS, "p", "default")
    assert (await client.list(PODS)).items == []


async def test_a_jobs_pods_go_with_it(cluster: Cluster) -> None:
    client = cluster.client
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}}
    job = await client.create(JOBS, {"metadata": {"name": "j"}, "spec": {"template": template}}, "default")
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": job["metadata"]["uid"], "controller": True}
    pod = _pod()
    pod["metadata"] = {"name": "p", "ownerReferences": [owner | {"blockOwnerDeletion": True}]}
    await client.create(PODS, pod, "default")
    await client.delete(JOBS, "j", "default", propagation="Background")
    await until(lambda: _gone(cluster, PODS, "p"))


async def _gone(cluster: Cluster, resource: Resource, name: str, namespace: str | None = "default") -> bool:
    try:
        await cluster.client.get(resource, name, namespace)
    except errors.NotFound:
        return True
    return False


async def test_what_a_kill_left_is_finished_at_the_next_start(tmp_path: Path) -> None:
    cluster = await Cluster.open(tmp_path)
    client = cluster.client
    await client.create(CUSTOM_RESOURCE_DEFINITIONS, DEFINITION)
    owner = await client.create(WIDGETS, widget("a"), "default")
    reference = {
        "apiVersion": "testing.dspy-service.io/v1",
        "kind": "Widget",
        "name": "a",
        "uid": owner["metadata"]["uid"],
    }
    await client.create(CONFIG_MAPS, {"metadata": {"name": "child", "ownerReferences": [reference]}}, "default")
    await client.create(NAMESPACES, {"metadata": {"name": "ending"}})
    assert cluster._work is not None
    cluster._work.cancel()  # from here on nothing is cleaned up, as if the process were killed after these writes
    await client.delete(WIDGETS, "a", "default")
    await client.delete(NAMESPACES, "ending")
    await cluster.close()
    again = await Cluster.open(cluster.folder)
    await until(lambda: _gone(again, CONFIG_MAPS, "child"))
    await until(lambda: _gone(again, NAMESPACES, "ending", None))
    await again.close()


class _Logs:
    def __init__(self) -> None:
        self.asked: list[LogRequest] = []

    async def read(self, request: LogRequest) -> AsyncIterator[bytes]:
        self.asked.append(request)
        yield b"one\n"
        yield b"two\n"


async def test_logs_come_from_the_node(cluster: Cluster, client: KubeClient) -> None:
    logs = _Logs()
    cluster.set_logs(logs)
    pod = await client.create(PODS, _pod("local"), "default")
    with pytest.raises(errors.BadRequest, match="waiting to start"):
        await client.read_log("p", "default")
    await client.patch(PODS, "p", {"status": {"phase": "Running"}}, "default", subresource="status")
    assert await client.read_log("p", "default", tail_lines=2) == b"one\ntwo\n"
    (asked,) = logs.asked
    assert (asked.pod_uid, asked.container, asked.tail_lines) == (pod["metadata"]["uid"], "main", 2)
    with pytest.raises(errors.BadRequest):
        await client.read_log("p", "default", container="nobody")
