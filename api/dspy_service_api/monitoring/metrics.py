"""The API's figures for Prometheus, each described where it is declared. `docs/monitoring.md` shows their use.

No label holds a job's name or anything else that a client chose. Imported only where metrics are on: the library costs
memory.
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, Metric, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from dspy_service_api.monitoring.telemetry import Telemetry
from dspy_service_api.serve.beside import pages_beside
from dspy_service_api.service import Service
from dspy_service_core.resource.status import STATUS_WORDS
from dspy_service_core.side_server import SideAnswer

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER = "other"
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics(Telemetry):
    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._answered = Counter(
            "dspy_service_http_requests",
            "Requests answered, by route template.",
            ["method", "route", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "dspy_service_http_request_seconds",
            "From a request's head to the end of its answer.",
            ["method", "route"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self._asked = Counter(
            "dspy_service_kube_requests", "Requests to the API server.", ["verb", "resource"], registry=registry
        )

    def asked(self, verb: str, resource: str) -> None:
        self._asked.labels(verb, resource).inc()

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        method, route = method if method in _METHODS else _OTHER, route or _OTHER
        self._answered.labels(method, route, str(status)).inc()
        self._seconds.labels(method, route).observe(seconds)

    @asynccontextmanager
    async def served(self, service: Service) -> AsyncIterator[None]:
        self.registry.register(_Cache(service))
        async with pages_beside(*self._address, {"/metrics": self.page}):
            yield

    def page(self) -> SideAnswer:
        return SideAnswer(generate_latest(self.registry), content_type=CONTENT_TYPE_LATEST)


class _Cache(Collector):
    """Gauges of the cache, computed when /metrics is read."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        reflector, cache = self._service.reflector, self._service.cache
        synced = reflector.synced.is_set()
        yield _gauge("cache_synced", "1 once all jobs were read from the cluster.", float(synced))
        if synced:
            silent = time.monotonic() - reflector.last_seen
            yield _gauge("cache_silent_seconds", "Since the cluster was last heard of; bookmarks count.", silent)
        yield _gauge("cached_jobs", "Jobs in the cache.", float(len(cache)))
        jobs = GaugeMetricFamily("dspy_service_jobs", "Jobs by phase, as the cache has them.", labels=["phase"])
        for phase, word in STATUS_WORDS.items():
            jobs.add_metric([phase], cache.count(word))
        yield jobs


def _gauge(name: str, text: str, value: float) -> Any:
    return GaugeMetricFamily(f"dspy_service_{name}", text, value=value)
