"""The API's figures: what is counted, and that no label holds what a client chose."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from api_service import Harness, api_service, running
from dspy_service_api.monitoring.metrics import Metrics
from dspy_service_core.kube.client import KubeClient
from faulty_cluster import faulty_cluster
from simple_acceptance import SimpleAcceptance
from whole_service import free_port

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
async def measured(tmp_path: Path) -> AsyncIterator[tuple[Harness, str]]:
    async with _measured(tmp_path) as both:
        yield both


@asynccontextmanager
async def _measured(folder: Path) -> AsyncIterator[tuple[Harness, str]]:
    metrics = Metrics("127.0.0.1", port := free_port())
    async with api_service(folder, SimpleAcceptance(), telemetry=metrics) as api:
        yield api, f"http://127.0.0.1:{port}/metrics"


async def _samples(url: str) -> Samples:
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


async def test_requests_are_counted_by_template(measured: tuple[Harness, str]) -> None:
    api, url = measured
    job = (await api.client.post("/run", content=b"{}")).json()["job_id"]
    for path in (f"/jobs/{job}/summary", "/jobs/nobody/summary", "/nowhere", "/health"):
        await api.client.get(path)
    await api.client.request("SECRET", "/jobs")
    await api.client.get("/jobs", headers={"Host": "rebound.example.org"})
    counted = {
        labels: v for (name, labels), v in (await _samples(url)).items() if name == "dspy_service_http_requests_total"
    }

    def count(method: str, route: str, status: int) -> float:
        return counted[("method", method), ("route", route), ("status", str(status))]

    assert count("POST", "/run", 200) == 1
    assert count("GET", "/jobs/{job_id}/summary", 200) == 1
    assert count("GET", "/jobs/{job_id}/summary", 404) == 1
    assert count("GET", "/health", 200) == 1
    assert count("GET", "other", 404) == 1
    assert count("GET", "other", 403) == 1
    assert sum(counted.values()) == 7
    everything = str(counted)
    assert job not in everything
    assert "SECRET" not in everything


async def test_jobs_are_counted_by_phase(measured: tuple[Harness, str]) -> None:
    api, url = measured
    await api.job("one", running())
    await api.job("two", running())
    await api.job("three")
    samples = await _samples(url)
    phases = {dict(labels)["phase"]: v for (name, labels), v in samples.items() if name == "dspy_service_jobs"}
    assert phases == {"Pending": 1, "Validating": 0, "Running": 2, "Succeeded": 0, "Failed": 0, "Cancelled": 0}
    assert samples["dspy_service_cached_jobs", ()] == 3
    assert samples["dspy_service_cache_synced", ()] == 1
    assert samples["dspy_service_cache_silent_seconds", ()] >= 0


async def test_requests_to_the_cluster_are_counted_by_verb_and_resource(tmp_path: Path) -> None:
    metrics = Metrics("127.0.0.1", free_port())
    async with faulty_cluster(tmp_path / "cluster") as cluster:
        cluster.client = KubeClient(cluster.transport, metrics.asked)
        async with api_service(tmp_path, SimpleAcceptance(), cluster) as api:
            await api.client.post("/run", content=b'{"api_key": "x"}')
    page = metrics.page().body.decode()
    for line in (
        'dspy_service_kube_requests_total{resource="optimizationjobs",verb="create"} 1.0',
        'dspy_service_kube_requests_total{resource="secrets",verb="create"} 1.0',
    ):
        assert line in page


async def test_half_sent_requests_for_metrics_take_no_more_than_their_share(
    measured: tuple[Harness, str],
) -> None:
    """It is the service's own process whose files they would take."""
    _, url = measured
    port = httpx.URL(url).port
    assert port
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(80)]
    for _, writer in held:
        writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n")
    async with httpx.AsyncClient() as client:
        assert (await client.get(url)).status_code == 200
    ended = [await reader.read() for reader, _ in held[:17]]
    assert all(answer.startswith(b"HTTP/1.1 408") for answer in ended)
    for _, writer in held:
        writer.close()
