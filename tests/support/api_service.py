"""The HTTP API beside the embedded API server, with a store in a folder: resources and content as a run leaves them."""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
import orjson

from declared_answers import HELD_ASYNC
from dspy_service_api.http.app import create_app
from dspy_service_api.monitoring.telemetry import Telemetry
from dspy_service_api.service import Service
from dspy_service_api.settings import Settings
from dspy_service_api.submit.job_objects import Acceptance
from dspy_service_core.kube.protocol import Object
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.resource import names
from dspy_service_core.storage.store import Store, open_store
from dspy_service_local.apiserver.objects.patches import merge
from faulty_cluster import FaultyCluster, faulty_cluster

NAMESPACE = "default"
LOG = {"level": "INFO", "logger": "dspy.evaluate", "message": "Average Metric"}
PICKLE = b"\x80\x04N."


@dataclass
class Harness:
    cluster: FaultyCluster
    store: Store
    folder: Path
    client: httpx.AsyncClient
    service: Service
    settings: Settings
    app: Any = field(repr=False)

    async def job(self, name: str, status: Object | None = None, **spec: Any) -> Object:
        """A resource as the operator and the reporter left it."""
        made = self.cluster.add(OPTIMIZATION_JOBS, resource(name, **spec) | ({"status": status} if status else {}))
        self.service.cache.upsert(made)
        return made

    async def update(self, name: str, change: Object) -> Object:
        made = self.cluster.change(OPTIMIZATION_JOBS, name, change)
        self.service.cache.upsert(made)
        return made


@asynccontextmanager
async def api_service(
    folder: Path,
    acceptance: Acceptance,
    cluster: FaultyCluster | None = None,
    telemetry: Telemetry | None = None,
    **settings: Any,
) -> AsyncIterator[Harness]:
    if cluster is None:
        async with (
            faulty_cluster(folder / "cluster") as own,
            api_service(folder, acceptance, own, telemetry, **settings) as harness,
        ):
            yield harness
        return
    given = Settings(store_url=(folder / "store").as_uri(), namespace=NAMESPACE, **settings)
    store = open_store(given.store_url)
    app = create_app(given, cluster.client, store, acceptance, telemetry)
    async with app.router.lifespan_context(app):
        await app.state.service.reflector.synced.wait()
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost:8000", event_hooks=HELD_ASYNC
        ) as client:
            yield Harness(cluster, store, folder / "store", client, app.state.service, given, app)


def resource(name: str, **spec: Any) -> Object:
    """A job that holds everything inline; `spec` is merged into it."""
    whole: Object = {
        "module": {"name": "cot", "kwargs": {}},
        "optimizer": {"name": "miprov2", "kwargs": {"auto": "light"}, "compileKwargs": {}},
        "signature": {"code": "class Ticket(dspy.Signature):\n    text = dspy.InputField()"},
        "metric": {"code": "def metric(gold, pred, trace=None):\n    return True"},
        "dataset": {"rows": [{"text": str(n), "team": "a"} for n in range(20)]},
        "columns": {"inputs": {"text": "text"}, "outputs": {"team": "team"}},
        "split": {"train": "0.5", "val": "0.3", "test": "0.2", "shuffle": True, "seed": 7},
        "models": {"default": {"name": "openai/gpt-4o-mini", "temperature": "0.1"}},
    }
    metadata = {"name": name, "labels": {"team": "support"}}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": metadata,
        "spec": merge(whole, spec),
    }


def entries(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [
        {"timestamp": f"2026-03-01T09:30:{n % 60:02d}.000Z", **LOG, "message": f"line {n}", **fields}
        for n in range(1, count + 1)
    ]


def events(count: int) -> list[dict[str, Any]]:
    return [
        {"timestamp": f"2026-03-01T09:30:{n % 60:02d}.000Z", "event": "optimizer_progress", "metrics": {"tqdm_n": n}}
        for n in range(1, count + 1)
    ]


def put_segment(store: Store, job: Object, kind: str, items: list[dict[str, Any]], first: int = 1) -> None:
    folder = f"{NAMESPACE}/jobs/{names.store_id(job['metadata'])}/{kind}"
    header = {"first": first, "attempt": 1, "to": 0, "count": len(items)}
    content = b"\n".join([orjson.dumps(header), *map(orjson.dumps, items), b""])
    store.put(f"{folder}/{first:010d}.jsonl", content)


def put_result(store: Store, job: Object, **changes: Any) -> None:
    document = {
        "outcome": "Succeeded",
        "details": {"optimizer_stats": {"trials": 7}},
        "metricName": "metric",
        "modelIdentifier": "openai/gpt-4o-mini",
        "metadata": {
            "optimizer": "MIPROv2",
            "optimizer_kwargs": {"auto": "light"},
            "compile_kwargs": {},
            "module_kwargs": {},
            "model_identifier": "openai/gpt-4o-mini",
        },
    }
    folder = f"{NAMESPACE}/jobs/{names.store_id(job['metadata'])}"
    store.put(f"{folder}/result.json", orjson.dumps(document | changes))


def put_artifact(
    store: Store,
    job: Object,
    *,
    pickle: bytes = PICKLE,
    contents: Mapping[str, bytes] = MappingProxyType({}),
    left_out: Sequence[str] = (),
    submitted: Mapping[str, str] | None = None,
) -> None:
    """As the reporter uploads it, with its manifest."""
    files = {
        "program.json": b'{"predict":{"demos":[]}}',
        "program.pkl": pickle,
        "signature.py": b"class Ticket: ...",
        "prompt.md": b"# predict\n",
        "metadata.json": b'{"dspy_version":"3.4.1"}',
        **contents,
    }
    folder = f"{NAMESPACE}/artifacts/{names.store_id(job['metadata'])}"
    kept = {name: content for name, content in files.items() if name not in left_out}
    manifest = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in kept.items()
    }
    for name, content in kept.items():
        store.put(f"{folder}/{name}", content)
    told = {} if submitted is None else {"submitted": submitted}
    store.put(f"{folder}/manifest.json", orjson.dumps({"files": manifest} | told))


def running(logs: int = 0, last_events: int = 0, **run: Any) -> Object:
    """A status while the optimizer runs; the tails hold the newest of so many entries."""
    numbered = [{"n": n, **e} for n, e in enumerate(entries(logs), 1)]
    numbered_events = [{"n": n, **e} for n, e in enumerate(events(last_events), 1)]
    return {
        "phase": "Running",
        "startedAt": "2026-03-01T09:30:05.010Z",
        "attempt": {"number": 1, "jobName": "x-1"},
        "run": {
            "attempt": 1,
            "stage": "Running",
            "startedAt": "2026-03-01T09:30:05.010Z",
            "progress": {"percent": "40.0", "etaSeconds": "42.3"},
            "metrics": {"baseline_test_metric": 50.0},
            "events": {"count": last_events, "last": numbered_events[-5:]},
            "logs": {"count": logs, "tail": numbered[-20:]},
            "message": numbered_events[-1]["event"] if numbered_events else "",
            **run,
        },
    }


def succeeded(logs: int = 0, last_events: int = 0, job_id: str = "x", **result: Any) -> Object:
    end = {
        "outcome": "Succeeded",
        "reason": "Optimized",
        "message": "",
        "stoppedEarly": False,
        "splitCounts": {"train": 10, "val": 6, "test": 4},
        "baselineScore": "50.0",
        "optimizedScore": "75.0",
        "runtimeSeconds": "61.5",
        "artifact": {"path": f"artifacts/{job_id}", "bytes": 100, "digest": ""},
        **result,
    }
    status = running(logs, last_events, stage="Ended", result=end)
    return status | {"phase": "Succeeded", "completedAt": "2026-03-01T09:31:06.510Z"}


def failed(message: str, **more: Any) -> Object:
    return {
        "phase": "Failed",
        "message": message,
        "completedAt": "2026-03-01T09:31:06Z",
        "attempt": {"number": 1, "jobName": "x-1"},
        **more,
    }


def unpickled(answer: dict[str, Any]) -> bytes:
    return base64.b64decode(answer["program_pickle_base64"])
