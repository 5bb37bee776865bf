"""What died beside the requests is said by the probes, so that it is started again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api_service import Harness, api_service
from dspy_service_api.background import Background
from dspy_service_core.kube import errors
from dspy_service_core.kube.protocol import KubeRequest
from faulty_cluster import FaultyCluster, faulty_cluster
from simple_acceptance import SimpleAcceptance
from waiting import until


@asynccontextmanager
async def dying_cluster(folder: Path, ending: Exception) -> AsyncIterator[FaultyCluster]:
    """Its watches end with `ending`."""
    async with faulty_cluster(folder / "cluster") as cluster:
        cluster.transport.before = lambda request: ending if watches(request) else None
        yield cluster


def watches(request: KubeRequest) -> bool:
    return request.verb == "watch"


async def probes(api: Harness) -> dict[str, int]:
    paths = ("/livez", "/readyz", "/health")
    return {path: (await api.client.get(path)).status_code for path in paths}


async def test_a_watch_that_died_fails_the_probes_and_says_so(tmp_path):
    async with (
        dying_cluster(tmp_path, RecursionError("too deep")) as cluster,
        api_service(tmp_path, SimpleAcceptance(), cluster) as api,
    ):

        async def dead() -> bool:
            return (await api.client.get("/livez")).status_code == 500

        await until(dead)
        assert await probes(api) == {"/livez": 500, "/readyz": 503, "/health": 503}
        for path in ("/livez", "/readyz"):
            said = (await api.client.get(path)).text
            assert "the watch of the jobs died of RecursionError" in said
            assert "too deep" not in said
    assert api.cluster.transport.closed


async def test_a_cluster_out_of_reach_fails_no_liveness(tmp_path):
    async with (
        dying_cluster(tmp_path, errors.Unavailable("away")) as cluster,
        api_service(tmp_path, SimpleAcceptance(), cluster) as api,
    ):

        async def asked_again() -> bool:
            return sum(map(watches, cluster.transport.requests)) > 1

        await until(asked_again)
        assert (await probes(api))["/livez"] == 200


async def test_the_first_that_dies_ends_the_rest_and_is_remembered():
    background = Background()
    ended = asyncio.Event()

    async def goes_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def dies() -> None:
        raise KeyError("secret")

    await background.run({"one": goes_on(), "another": dies()})
    assert background.died == "another died of KeyError"
    assert ended.is_set()


async def test_an_end_that_was_asked_for_is_no_death():
    background = Background()
    task = asyncio.create_task(background.run({"one": asyncio.Event().wait()}))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert background.died == ""
