"""Makes a `JobRecord` of a resource as the API server sends it.

Without pydantic, because this runs for every watch event, and the API server has validated the resource already,
against the schema that is generated from the models.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from sys import intern
from typing import Any

import orjson

from dspy_service_api.jobs.record import JobRecord, Json, RecordIdentity, StreamTail, TailEntry
from dspy_service_core.kube.protocol import Object
from dspy_service_core.records.record import read
from dspy_service_core.records.run import Progress, Result, SplitCounts
from dspy_service_core.records.usage import Usage
from dspy_service_core.registry.evaluate import EVALUATE
from dspy_service_core.resource import names, queue_order
from dspy_service_core.resource.adapters import DEFAULT_ADAPTER
from dspy_service_core.resource.conditions import DELETED_MESSAGE
from dspy_service_core.resource.sources import METRIC_FUNCTION, PROGRAM
from dspy_service_core.resource.spec import budget
from dspy_service_core.resource.splits import ALL_TEST, DEFAULTS, Fractions
from dspy_service_core.resource.status import FINAL_PHASES, STATUS_WORDS

_NO_PROGRESS, _NO_USAGE = Progress(), Usage()
_TOP_LEVEL_FUNCTION = re.compile(r"^def (\w+)", re.MULTILINE)


def identity(metadata: Mapping[str, Any]) -> RecordIdentity:
    name, created = metadata["name"], metadata["creationTimestamp"]
    labels = metadata.get("labels") or {}
    return RecordIdentity(
        name=name,
        namespace=metadata.get("namespace", ""),
        uid=metadata["uid"],
        version=metadata["resourceVersion"],
        job_id=names.job_id(name),
        called=labels.get(names.LABEL_NAME, "") if names.is_api_name(name) else name,
        store_id=names.store_id(metadata),
        labels={intern(key): value for key, value in labels.items()},
        created_at=created,
        age=queue_order.age(name, created, metadata.get("annotations")),
        kept_by=tuple(metadata.get("finalizers") or ()) if metadata.get("deletionTimestamp") else (),
    )


def record_of(obj: Object) -> JobRecord:
    metadata, spec, status = obj["metadata"], obj["spec"], obj.get("status") or {}
    known = identity(metadata)
    run: Mapping[str, Any] = status.get("run") or {}
    phase = status.get("phase") or "Pending"
    ended = phase in FINAL_PHASES
    end = read(Result, run.get("result"))
    kept_by = known.kept_by
    cut_off = bool(kept_by) and not (ended or end)
    finished = ended or cut_off
    suspended = bool(spec.get("suspend"))
    split = spec.get("split") or {}
    chosen = spec.get(PROGRAM) or spec.get("module") or {}  # a program whose class is not named is just that
    settled = finished and end and not kept_by  # then the segments hold it all; there may be thousands of such jobs
    events: Mapping[str, Any] = run.get("events") or {}
    return JobRecord(
        **known.arguments(),
        request_digest=(metadata.get("annotations") or {}).get(names.ANNOTATION_REQUEST_DIGEST, ""),
        queue_order=_queue_order(phase, status, spec, known.age) if not (suspended or kept_by) else None,
        status="cancelled" if cut_off else STATUS_WORDS.get(phase, "pending"),
        finished=finished,
        suspended=suspended,
        stop=intern(spec.get("stop") or ""),
        message=DELETED_MESSAGE if cut_off else _message(phase, status, run, end),
        note=(spec.get("run") or {}).get("note") or "",
        notice="" if finished else run.get("notice") or "",
        started_at=_time(status.get("startedAt") or (run.get("startedAt") if phase != "Pending" else None)),
        completed_at=metadata["deletionTimestamp"]
        if cut_off
        else _time(status.get("completedAt") if finished else None),
        attempted=bool(status.get("attempt") or run),
        module_name=intern(chosen.get("name") or PROGRAM),
        module_kwargs=_json(chosen.get("kwargs")),
        optimizer_name=intern(spec["optimizer"]["name"]),
        optimizer_kwargs=_json(spec["optimizer"].get("kwargs")),
        compile_kwargs=_json(spec["optimizer"].get("compileKwargs")),
        model_name=intern(spec["models"]["default"]["name"]),
        dataset_rows=_rows(spec["dataset"], run, end),
        fractions=_fractions(spec["optimizer"]["name"], split),
        shuffle=split.get("shuffle", True),
        split_column=intern(split.get("column") or ""),
        adapter=spec.get("adapter") or DEFAULT_ADAPTER,
        budget=orjson.dumps(budget.told(spec.get("budget")) or None),
        seed=_seed(split.get("seed"), metadata),
        progress=read(Progress, run.get("progress")) or _NO_PROGRESS,
        usage=read(Usage, run.get("usage")) or _NO_USAGE,
        metrics=_json(run.get("metrics")),
        events=_stream(events, "last", not settled),
        logs=_stream(run.get("logs") or {}, "tail", not settled),
        candidates=StreamTail(int(run.get("candidates") or 0)),
        end=end,
        metric_name=_metric_name(spec["metric"].get("code") or "") if finished and not end else None,
    )


def _fractions(optimizer: str, split: Mapping[str, Any]) -> Fractions:
    """The defaults stand in for what an earlier version of the schema did not fill in."""
    if optimizer == EVALUATE:
        return ALL_TEST
    return Fractions(
        train=float(split.get("train", DEFAULTS.train)),
        val=float(split.get("val", DEFAULTS.val)),
        test=float(split.get("test", DEFAULTS.test)),
    )


def _queue_order(
    phase: str, status: Mapping[str, Any], spec: Mapping[str, Any], age: queue_order.Age
) -> queue_order.Rank | None:
    """None unless the job waits for a slot: one that waits for a Secret, a retry or its pod has no place in the
    queue."""
    queued = next((c for c in status.get("conditions") or () if c.get("type") == "Queued"), None)
    if phase != "Pending" or (queued and (queued.get("status") != "True" or queued.get("reason") != "Queued")):
        return None
    return queue_order.rank(int((spec.get("run") or {}).get("priority") or 0), age)


def _seed(given: int | None, metadata: Mapping[str, Any]) -> int:
    if given is not None:
        return given
    return names.derived_seed(metadata.get("namespace", ""), names.job_id(metadata["name"]))


def _message(phase: str, status: Mapping[str, Any], run: Mapping[str, Any], end: Result | None) -> str:
    """The operator's message, because the operator decides how a job ended; the reporter's where there is none."""
    own = status.get("message") or ""
    if phase in FINAL_PHASES:
        return own or (end.message if end else "") or _condition_message(phase, status)
    return own or intern(run.get("message") or "")


def _condition_message(phase: str, status: Mapping[str, Any]) -> str:
    return next((c.get("message", "") for c in status.get("conditions") or () if c.get("type") == phase), "")


def _rows(dataset: Mapping[str, Any], run: Mapping[str, Any], end: Result | None) -> int | None:
    """Rows behind a reference are counted in the pod. Their number is known from the splits in its result, or, before
    that, from the figures of the event `dataset_splits_ready`."""
    if rows := dataset.get("rows"):
        return len(rows)
    if payload := dataset.get("payload"):
        return int(payload["rows"])
    splits = (end and end.split_counts) or read(SplitCounts, run.get("metrics"))
    return splits.train + splits.val + splits.test if splits else None


def _stream(part: Mapping[str, Any], newest: str, keep_tail: bool) -> StreamTail:
    count = int(part.get("count") or 0)
    if not keep_tail:
        return StreamTail(count)
    entries = part.get(newest) or ()
    return StreamTail(count, tuple(TailEntry(e["n"], _json({k: v for k, v in e.items() if k != "n"})) for e in entries))


def _metric_name(code: str) -> str | None:
    """By the contract's rule, from the source text: the function named `metric`, else the only function."""
    found = _TOP_LEVEL_FUNCTION.findall(code)
    return METRIC_FUNCTION if METRIC_FUNCTION in found else found[0] if len(found) == 1 else None


def _time(value: Any) -> str | None:
    """None for a value that is no time with an offset, since answers subtract times from each other."""
    try:
        return value if datetime.fromisoformat(value).tzinfo else None
    except (TypeError, ValueError):
        return None


def _json(value: Mapping[str, Any] | None) -> Json:
    """Copied into bytes of its own, because orjson's result holds on to a buffer of 4 KiB."""
    return bytes(memoryview(orjson.dumps(value))) if value else b"{}"
