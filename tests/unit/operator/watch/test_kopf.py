"""kopf as it drives the operator: what it watches, what it is shown, how it begins and ends."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from kopf._cogs.clients.api import iter_jsonlines

from dspy_service_core.kube import config
from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import ClusterConfig, TokenSource
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import JOBS, OPTIMIZATION_JOBS, PODS
from dspy_service_core.registry import registry
from dspy_service_operator.controller import Controller
from dspy_service_operator.handlers import drive
from dspy_service_operator.main import run
from dspy_service_operator.monitoring.health import trouble
from dspy_service_operator.settings import OperatorSettings
from dspy_service_operator.watch.kopf_session import Watches, open_session
from dspy_service_operator.watch.lifetime import Lifetime
from dspy_service_operator.watch.resync import OURS, UNFINISHED
from embedded_cluster import RunningCluster, running_cluster
from operator_harness import accept
from operator_objects import make_raw
from seen_api_server import seen_api_server
from waiting import until

PATH = OPTIMIZATION_JOBS.path("default")
EVERY = 300.0


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class Broken(Controller):
    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with super().running():
            raise RuntimeError("as no one foresaw")
            yield


@asynccontextmanager
async def operator(
    cluster: RunningCluster, kind: type[Controller] = Controller, **given: Any
) -> AsyncIterator[tuple[Controller, asyncio.Task[None], KubeClient]]:
    """Driven by kopf; ended like a process that is asked to."""
    access, stop = config.load(str(cluster.kubeconfig)), asyncio.Event()
    client = KubeClient(HttpTransport(access))
    settings = OperatorSettings(**{"store_url": "", "concurrency": 0, **given})
    made = kind(client, settings, accept, registry.default())
    task = asyncio.create_task(drive(made, access, stop, "test"))
    try:
        yield made, task, client
    finally:
        stop.set()
        await asyncio.wait([task], timeout=30)
        await client.close()


async def create(client: KubeClient, name: str) -> None:
    raw = make_raw(name)
    body = {part: raw[part] for part in ("apiVersion", "kind", "spec")}
    await client.create(OPTIMIZATION_JOBS, body | {"metadata": {"name": name}}, "default")


async def known(made: Controller, *names: str) -> None:
    async def shown() -> bool:
        return {key[1] for key in made.view.known()} == set(names)

    await until(shown, what=f"the view to hold {names}")


# --- what it watches


async def test_each_kind_is_watched_once_and_by_its_labels(tmp_path: Path) -> None:
    async with seen_api_server(tmp_path / "cluster") as (cluster, ear), operator(cluster) as (made, _, client):
        await create(client, "one")
        await known(made, "one")

        async def all_open() -> bool:
            return sum(ear.watches.values()) >= 3

        await until(all_open)
        expected = {(PATH, UNFINISHED): 1, (JOBS.path("default"), OURS): 1, (PODS.path("default"), OURS): 1}
        assert +ear.watches == expected


async def test_what_was_deleted_while_a_watch_was_down_is_forgotten(tmp_path: Path) -> None:
    """kopf lists anew and tells nobody what is missing; the next resync by time is an hour away."""
    async with (
        seen_api_server(tmp_path / "cluster") as (cluster, ear),
        operator(cluster, resync_seconds=3600) as (made, _, client),
    ):
        await create(client, "one")
        await create(client, "two")
        await known(made, "one", "two")

        async def settled() -> bool:
            """Of both engines the lists at the start are over: none of them sees the deletion by chance."""
            return ear.lists[PATH, UNFINISHED] >= 3 and made.work.idle

        await until(settled)
        ear.miss(OPTIMIZATION_JOBS, "default")
        await client.delete(OPTIMIZATION_JOBS, "one", "default")
        await known(made, "two")


def test_only_a_list_that_is_through_is_told() -> None:
    told: list[None] = []
    watches = Watches([PATH], lambda: told.append(None))
    for _page in range(3):
        watches.asked(PATH, watch=False)
    assert not told
    watches.asked(PATH, watch=True)
    assert len(told) == 1
    watches.asked(PATH, watch=True)  # a connection that ended is opened anew where it was
    assert len(told) == 1


# --- what it is shown


@asynccontextmanager
async def answering(body: bytes) -> AsyncIterator[str]:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","object":{"metadata":{"name":"cut off"',
        b'{"type":"ADDED","object":{"x":"\xff\xfe"}}',
        b'{"type":"ADDED","object":{"x":"\xed\xa0\x80"}}',
        b'{"type":"ADDED","object":{"x":' + b"7" * 5_000 + b"}}",
        b"<html>504</html>",
    ],
)
async def test_a_line_that_its_parser_cannot_decode_is_dropped_and_the_next_is_seen(line: bytes) -> None:
    good = [b'{"type":"ADDED","object":{"metadata":{"name":"%b"}}}' % name for name in (b"a", b"b")]
    huge = b'{"type":"ADDED","object":{"metadata":{"name":"c"},"x":18446744073709551617}}'
    async with answering(b"\n".join((good[0], line, good[1], huge, b""))) as url:
        watches = Watches([PATH], lambda: None)
        async with (
            open_session(ClusterConfig(url, None, TokenSource(token="t")), watches) as session,
            session.get(url + PATH, params={"watch": "true"}) as answer,
        ):
            events = [json.loads(each.decode()) async for each in iter_jsonlines(answer.content)]
    assert [event["object"]["metadata"]["name"] for event in events] == ["a", "b", "c"]
    assert events[2]["object"]["x"] == 2**64 + 1


async def test_whatever_the_server_says_of_a_watched_path_is_heard() -> None:
    async with answering(b'{"items":[]}') as url:
        watches = Watches([PATH, PODS.path("default")], lambda: None)
        watches.heard = dict.fromkeys(watches.heard, 0.0)
        cluster = ClusterConfig(f"{url}/behind/a/proxy", None, TokenSource(token="t"))
        async with open_session(cluster, watches) as session, session.get(cluster.server + PATH):
            pass
    assert watches.heard[PATH] > 0
    assert watches.heard[PODS.path("default")] == 0


# --- how it begins and ends


async def test_what_fails_beside_kopf_ends_kopf_and_is_raised(tmp_path: Path) -> None:
    async with running_cluster(tmp_path / "cluster") as cluster, operator(cluster, Broken) as (_, task, _):
        with pytest.raises(ExceptionGroup) as raised:
            await asyncio.wait_for(task, 30)
    assert raised.group_contains(RuntimeError, match="as no one foresaw")


async def test_a_watch_that_dies_ends_the_operator(tmp_path: Path) -> None:
    async with seen_api_server(tmp_path / "cluster") as (cluster, ear):
        ear.refused.add(PATH)
        async with operator(cluster) as (_, task, _):
            with pytest.raises(Exception, match=r"404|kopf failed"):
                await asyncio.wait_for(task, 30)


async def test_a_kopf_that_does_not_end_when_all_else_has_is_ended() -> None:
    """As it happens to it when one of several watches fails."""
    lifetime = Lifetime(nullcontext, asyncio.Event(), farewell_seconds=0)
    lifetime.begin()

    async def kopf() -> None:
        async with lifetime.patience():
            await lifetime.end()
            await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="does not end"):
        await kopf()


async def test_our_work_has_ended_before_kopf_is_left() -> None:
    said: list[str] = []

    @asynccontextmanager
    async def working() -> AsyncIterator[None]:
        said.append("begun")
        yield
        said.append("ended")

    stop = asyncio.Event()
    lifetime = Lifetime(working, stop)
    async with lifetime.patience():
        lifetime.begin()
        await lifetime.end()
    lifetime.raise_failure()
    assert said == ["begun", "ended"]
    assert stop.is_set()


async def test_the_probe_fails_once_the_cluster_has_long_been_out_of_reach(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}/healthz"

    async def status() -> int:
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(address, timeout=10)).status_code
        except httpx.TransportError:
            return 0

    async def ended() -> bool:
        return await status() == 500

    stop = asyncio.Event()
    async with running_cluster(tmp_path / "cluster") as cluster:
        settings = OperatorSettings(
            kubeconfig=str(cluster.kubeconfig), store_url="", liveness_address=address, resync_seconds=0.5
        )
        task = asyncio.create_task(run(settings, stop))

        async def alive() -> bool:
            return await status() == 200

        await until(alive)
    await until(ended, timeout=30, what="the probe to fail")
    stop.set()
    await asyncio.wait_for(task, 30)


# --- what the probe looks at


@pytest.mark.parametrize(
    ("last_resync", "heard", "wrong"),
    [
        (1_000.0, 990.0, ""),
        (1_000.0, 800.0, ""),  # silent, but not for longer than it takes kopf to open it anew
        (1_000.0, 700.0, f"the watch of {PATH}"),
        (700.0, 700.0, ""),  # nothing answers: a restart mends no cluster
        (700.0, 650.0, ""),
        (1_000.0 - 3 * EVERY - 1, 0.0, "the last resync was 901 s ago"),
    ],
)
def test_the_probe_fails_for_what_a_restart_mends(last_resync: float, heard: float, wrong: str) -> None:
    found = trouble(last_resync, {PODS.path(): 990.0, PATH: heard}, 1_000.0, EVERY)
    assert found.startswith(wrong)
    assert bool(found) == bool(wrong)
