"""Reads the best program so far of a job's search, from its checkpoint.

The job's own code can write that file, so each part of it is held to its shape.
"""

from typing import Any

import orjson

from dspy_service_api.jobs.artifact import Artifact
from dspy_service_api.jobs.record import JobRecord
from dspy_service_core import nesting
from dspy_service_core.errors import StoreError
from dspy_service_core.records import values
from dspy_service_core.storage import pod_files
from dspy_service_core.storage.store import Store, job_folder


async def read_best(store: Store, record: JobRecord) -> Artifact | None:
    """None as long as the search has scored no other program than the given one. It has state and prompts alone: no
    pickle, and no sources."""
    folder = f"{job_folder(record.namespace, record.store_id)}/{pod_files.CHECKPOINT}"
    key = f"{folder}/{pod_files.BEST}"
    size = next((found.size for found in await store.files_async(folder) if found.key == key), None)
    if size is None:
        return None
    if size > pod_files.MAX_TEXT_BYTES:
        raise StoreError(f"'{key}' in the store has {size} bytes: more than a program takes")
    return _artifact(key, record, await store.get_async(key))


def _artifact(key: str, record: JobRecord, content: bytes) -> Artifact:
    try:
        found: Any = nesting.loads(content)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict) or not isinstance(found.get("state"), dict):
        raise StoreError(f"'{key}' in the store is broken")
    prompt, messages = found.get("prompt"), found.get("messages")
    metadata = {
        "job_id": record.job_id,
        "best_so_far": True,
        "score": values.number_of(found.get("score")),
        "rows": values.count_of(found.get("rows")),
        "metric_calls": values.count_of(found.get("calls")),
    }
    return Artifact(
        path=key,
        pickle_base64=None,
        metadata=orjson.dumps(metadata),
        prompt=prompt if isinstance(prompt, str) else None,
        state=orjson.dumps(found["state"]),
        digests={},
        messages=orjson.dumps(messages if isinstance(messages, dict) else None),
    )
