"""Finished jobs by the thousand: resources through the cluster's API, transcripts and artifacts in the store.

They are what a runner would have left: 50 log entries, 20 events and an artifact of 6 KB each.
"""

import asyncio
import hashlib
import os
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from dspy_service_core.kube.client import KubeClient
from dspy_service_core.kube.config import from_kubeconfig
from dspy_service_core.kube.http_transport import HttpTransport
from dspy_service_core.kube.resources import OPTIMIZATION_JOBS
from dspy_service_core.records import events
from dspy_service_core.resource import names
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.segment_writer import SegmentWriter
from dspy_service_core.storage.store import Store, artifact_folder, job_folder, open_store
from payloads import METRIC, rows, signature

NAMESPACE = "default"
STORE = Path("volumes") / NAMESPACE / "dspy-service-store"
"""Where a service on one machine keeps it, in its data folder."""
LOGS, EVENTS, ARTIFACT_BYTES = 50, 20, 6 * 1024
WHEN = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
"""Just now: older records would reach the end of their TTL."""


def seed(kubeconfig: Path, store_folder: Path, count: int) -> list[str]:
    """Makes `count` finished jobs; gives their job ids. The files are nobody else's, as the service writes them."""
    os.umask(0o077)
    return asyncio.run(_seed(kubeconfig, open_store(f"file://{store_folder}"), count))


async def _seed(kubeconfig: Path, store: Store, count: int) -> list[str]:
    client = KubeClient(HttpTransport(from_kubeconfig(kubeconfig)))
    ids = [str(uuid.uuid4()) for _ in range(count)]
    source = iter(ids)

    async def worker() -> None:
        for job_id in source:
            _files(store, job_id)
            await client.create(OPTIMIZATION_JOBS, _resource(job_id), NAMESPACE)
            name = names.api_job(job_id)
            await client.patch(OPTIMIZATION_JOBS, name, {"status": _status(job_id)}, NAMESPACE, subresource="status")

    await asyncio.gather(*(worker() for _ in range(8)))
    await client.close()
    return ids


def _files(store: Store, job_id: str) -> None:
    folder, artifact = job_folder(NAMESPACE, job_id), artifact_folder(NAMESPACE, job_id)
    log = {"timestamp": WHEN, "level": "INFO", "logger": "dspy.evaluate", "message": "Average Metric: 3.0 / 4 (75.0%)"}
    event = {"timestamp": WHEN, "event": events.PROGRESS, "metrics": {"tqdm_n": 5, "tqdm_percent": 25.0}}
    for stream, entry, count in (("logs", log, LOGS), ("events", event, EVENTS)):
        writer = SegmentWriter(f"{folder}/{stream}", attempt=1)
        for _ in range(count):
            writer.append(orjson.dumps(entry), 0)
        for unsaved in writer.unsaved():
            store.put(unsaved.key, unsaved.content)
    files = dict.fromkeys(pod_files.ARTIFACT_FILES, b"{}") | {pod_files.PROGRAM_PICKLE: b"p" * ARTIFACT_BYTES}
    for name, content in files.items():
        store.put(f"{artifact}/{name}", content)
    manifest = {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)} for name, content in files.items()
    }
    store.put(f"{artifact}/{pod_files.MANIFEST}", orjson.dumps({"files": manifest}))
    store.put(f"{folder}/{pod_files.RESULT}", orjson.dumps({"outcome": "Succeeded", "details": {}, "metadata": {}}))


def _resource(job_id: str) -> dict[str, Any]:
    data = rows(8)
    code, source, target = signature(data[0])
    labels = {names.LABEL_SUBMITTED_BY: names.SUBMITTED_BY_API, names.LABEL_FINISHED: "true"}
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": names.api_job(job_id), "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "module": {"name": "predict"},
            "optimizer": {"name": "dspy.BootstrapFewShot"},
            "signature": {"code": code},
            "metric": {"code": METRIC.format(output=target)},
            "dataset": {"rows": data},
            "columns": {"inputs": {source: source}, "outputs": {target: target}},
            "models": {"default": {"name": "openai/scripted"}},
        },
    }


def _status(job_id: str) -> dict[str, Any]:
    condition = {"type": "Succeeded", "status": "True", "reason": "Finished", "lastTransitionTime": WHEN}
    return {
        "phase": "Succeeded",
        "conditions": [condition],
        "startedAt": WHEN,
        "completedAt": WHEN,
        "attempt": {"number": 1, "jobName": f"{names.api_job(job_id)}-1", "podName": "p", "podUID": "u"},
        "run": {
            "attempt": 1,
            "podUID": "u",
            "stage": "Ended",
            "startedAt": WHEN,
            "metrics": {"baseline_test_metric": 50.0, "optimized_test_metric": 75.0},
            "events": {"count": EVENTS, "last": []},
            "logs": {"count": LOGS, "tail": []},
            "result": {
                "outcome": "Succeeded",
                "splitCounts": {"train": 4, "val": 0, "test": 4},
                "baselineScore": "50.0",
                "optimizedScore": "75.0",
                "runtimeSeconds": "1.0",
                "endedAt": WHEN,
                "artifact": {"path": f"{NAMESPACE}/artifacts/{job_id}", "bytes": ARTIFACT_BYTES, "digest": ""},
            },
        },
    }
