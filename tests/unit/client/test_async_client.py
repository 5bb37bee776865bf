"""The async client shares calls, retries and reading with the other; here is what it does by itself."""

from pathlib import Path

import httpx
import pytest

from dspy_service import AsyncClient, Retries, ServiceUnreachable
from fake_service import FakeService


class Awaited:
    """The fake's transport and sleep, awaited."""

    def __init__(self) -> None:
        self.service = FakeService()

    def client(self, retries: Retries | None = None) -> AsyncClient:
        async def sleep(seconds: float) -> None:
            self.service.sleep(seconds)

        return AsyncClient("http://service", transport=self.service.transport, sleep=sleep, retries=retries)


async def test_a_job_from_submit_to_download(tmp_path: Path) -> None:
    awaited = Awaited()
    awaited.service.faults = [httpx.ConnectError("refused")]
    async with awaited.client() as client:
        job_id = (await client.submit({})).job_id
        awaited.service.jobs[job_id].logs = ["a", "b", "c"]
        updates = [update async for update in client.watch(job_id)]
        assert [entry.message for update in updates for entry in update.logs] == ["a", "b", "c"]
        assert (await client.wait(job_id)).status == "success"
        assert (await client.download(job_id, tmp_path) / "program.pkl").is_file()
        assert [job.job_id async for job in client.list()] == [job_id]
        other = (await client.submit({})).job_id
        for verb in (client.pause, client.resume, client.stop, client.cancel, client.cancel):
            assert (await verb(other)).job_id == other
        assert (await client.summary(other)).status == "cancelled"
        assert (await client.health()).status == "ok"


async def test_an_estimate_and_what_was_submitted() -> None:
    awaited = Awaited()
    async with awaited.client() as client:
        found = await client.estimate({"module_name": "cot"})
        assert found.estimate.metric_calls.least == 24
        assert awaited.service.jobs == {}
        job_id = (await client.submit({})).job_id
        assert await client.payload(job_id) == {"module_name": "predict"}


async def test_it_gives_up() -> None:
    awaited = Awaited()
    awaited.service.faults = [httpx.ConnectError("refused")] * 3
    async with awaited.client(Retries(attempts=2)) as client:
        with pytest.raises(ServiceUnreachable):
            await client.health()
    assert len(awaited.service.requests) == 2
