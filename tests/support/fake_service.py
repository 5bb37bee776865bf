"""A dspy-service that is a function: the contract's answers for the client's tests, through httpx.MockTransport.

service = FakeService()
job = service.add(statuses=["pending", "running", "success"], logs=[...], events=[...])
Client(transport=service.transport, sleep=service.sleep)
"""

import base64
import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

CREATED = "2025-11-30T07:15:00.000Z"
PICKLE = pickle.dumps({"a": "program"})
CONTROL = ("cancel", "stop", "pause", "resume")
Answer = httpx.Response | Exception


_ARGUMENT = {
    "name": "auto",
    "required": False,
    "default": "light",
    "types": ["str"],
    "choices": ["light", "heavy"],
    "least": None,
    "description": "The budget's size.",
}
_SET = {**_ARGUMENT, "name": "metric", "required": True, "default": None, "types": ["object"], "choices": []}
_ASSET = {"paths": [], "refused": None, "further_arguments": False}
CATALOGUE: dict[str, Any] = {
    "python": "3.12",
    "packages": {"dspy": "3.4.1"},
    "modules": [{**_ASSET, "path": "dspy.Predict", "aliases": ["predict"], "arguments": [], "predictors": 1}],
    "optimizers": [
        {
            **_ASSET,
            "path": "dspy.GEPA",
            "aliases": ["gepa"],
            "arguments": [
                {**_ARGUMENT, "set_by_service": None, "refused": None},
                {**_SET, "set_by_service": "from metric_code", "refused": None},
            ],
            "compile_arguments": [],
        },
        {
            **_ASSET,
            "path": "dspy.Avatar\x1b[2J",
            "aliases": [],
            "refused": "its constructor fails",
            "arguments": [],
            "compile_arguments": [],
        },
    ],
}


_STAGE = {"metric_calls": {"least": 0, "most": 0}, "model_calls": {"least": 1, "most": 2}}
DRY_RUN: dict[str, Any] = {
    "valid": True,
    "split_counts": {"train": 20, "val": 0, "test": 10},
    "estimate": {
        "metric_calls": {"least": 24, "most": 40, "rule": "10 test rows are scored twice."},
        "model_calls": {"least": 25, "most": None, "rule": "The metric asks models\x1b[2J."},
        "tokens": {"least": None, "most": None, "rule": "Not known before the run."},
        "cost_usd": {"least": None, "most": None, "rule": "It follows from the tokens."},
        "by_stage": {"preflight": _STAGE, "baseline": _STAGE, "optimize": _STAGE, "final": _STAGE},
        "predictors": 1,
    },
    "warnings": ["Unknown keys were ignored: a"],
}


@dataclass
class FakeJob:
    """Each look at the summary is one status further; the log and the events grow evenly with it."""

    job_id: str
    statuses: list[str]
    logs: list[str] = field(default_factory=list)
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    candidates: list[dict[str, Any]] = field(default_factory=list)
    payload: dict[str, Any] = field(default_factory=lambda: {"module_name": "predict"})
    message: str = "message"
    usage: dict[str, Any] = field(
        default_factory=lambda: {
            "calls": 0,
            "cached_calls": 0,
            "prompt_tokens": 0,
            "completion_tokens": 0,
            "cached_prompt_tokens": 0,
            "reasoning_tokens": 0,
            "cost_usd": None,
            "seconds": 0.0,
        }
    )
    name: str | None = None
    note: str | None = None
    looks: int = 0

    @property
    def status(self) -> str:
        return self.statuses[min(max(self.looks - 1, 0), len(self.statuses) - 1)]

    @property
    def share(self) -> float:
        return min(self.looks / len(self.statuses), 1.0)

    @property
    def metrics(self) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for _, metrics in self.events[: int(len(self.events) * self.share)]:
            merged |= metrics
        return merged

    def log_entries(self) -> list[dict[str, Any]]:
        shown = self.logs[: int(len(self.logs) * self.share)]
        entry = {"timestamp": CREATED, "level": "INFO", "logger": "dspy"}
        return [{"n": n, **entry, "message": text} for n, text in enumerate(shown, 1)]

    def event_entries(self) -> list[dict[str, Any]]:
        shown = self.events[: int(len(self.events) * self.share)]
        return [{"n": n, "timestamp": CREATED, "event": e, "metrics": m} for n, (e, m) in enumerate(shown, 1)]

    def standing(self) -> dict[str, Any]:
        best = self.metrics.get("best_score")
        rows = {"best_score_on": "validation", "best_score_rows": 6, "best_score_at_call": 31}
        return {
            "running_seconds": None if self.status == "pending" else 12.0,
            "best_score": best,
            "adapter": "chat",
            "split_column": None,
            "budget": None,
            **(dict.fromkeys(rows) if best is None else rows),
        }

    def summary(self) -> dict[str, Any]:
        ended = self.status in ("success", "failed", "cancelled")
        return {
            "job_id": self.job_id,
            "status": self.status,
            "message": self.message,
            "created_at": CREATED,
            "started_at": None if self.status == "pending" else CREATED,
            "completed_at": CREATED if ended else None,
            "elapsed_seconds": 12.0 if ended else None,
            **self.standing(),
            "estimated_seconds_remaining": 4.0 if self.status == "running" else None,
            "module_name": "predict",
            "optimizer_name": "miprov2",
            "dataset_rows": 30,
            "split_fractions": {"train": 0.7, "val": 0.15, "test": 0.15},
            "shuffle": True,
            "seed": 7,
            "optimizer_kwargs": {},
            "compile_kwargs": {},
            "latest_metrics": self.metrics,
            "notice": None,
            "verdict": None,
            "usage": self.usage,
            "name": self.name,
            "note": self.note,
            "candidates_count": len(self.candidates),
            "model_name": "openai/gpt-4o-mini",
            "comparison": None,
            "paused": False,
            "a_field_of_a_newer_service": 1,
        }


class FakeService:
    """`faults` are answered (or raised) first, one a request. Looking for a name comes before that, and is in
    `looked_for` alone: clients do so whenever what they are given is no UUID."""

    def __init__(self) -> None:
        self.jobs: dict[str, FakeJob] = {}
        self.requests: list[httpx.Request] = []
        self.looked_for: list[str] = []
        self.faults: list[Answer] = []
        self.slept: list[float] = []
        self.keys: dict[str, str] = {}
        self.page_size = 1000
        self.streams: bool | int = False
        """Whether it has streams, as older services have not; a number: each breaks after so many rounds."""
        self.opened: list[str] = []
        self.transport = httpx.MockTransport(self._handle)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def add(self, *statuses: str, **details: Any) -> FakeJob:
        job_id = details.pop("job_id", f"job{len(self.jobs) + 1}")
        job = FakeJob(job_id, list(statuses) or ["success"], **details)
        self.jobs[job.job_id] = job
        return job

    def body(self, index: int = -1) -> Any:
        return json.loads(self.requests[index].content)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        if set(request.url.params) == {"name"}:
            return self._called(request.url.params["name"])
        if request.url.path.endswith("/stream"):
            return self._stream(request)
        self.requests.append(request)
        if self.faults:
            fault = self.faults.pop(0)
            if isinstance(fault, Exception):
                raise fault
            return fault
        parts = request.url.path.strip("/").split("/")
        match [request.method, *parts]:
            case ["GET", "health"]:
                assets = {"modules": ["cot", "predict"], "optimizers": ["gepa", "miprov2"]}
                return httpx.Response(200, json={"status": "ok", "registered_assets": assets})
            case ["GET", "catalogue"]:
                return httpx.Response(200, json=CATALOGUE)
            case ["POST", "run"] if request.url.params.get("dry_run") == "true":
                return httpx.Response(200, json=DRY_RUN)
            case ["POST", "run"]:
                return self._submit(request)
            case ["GET", "jobs"]:
                return self._list(request)
            case [method, "jobs", job_id, *below] if job_id in self.jobs:
                return self._job(method, self.jobs[job_id], below, request)
        return httpx.Response(
            404, json={"detail": f"Unknown job '{parts[1] if len(parts) > 1 else ''}'.", "code": "unknown_job"}
        )

    def _stream(self, request: httpx.Request) -> httpx.Response:
        """`opened` has the id that each was opened after."""
        job = self.jobs.get(request.url.path.split("/")[2])
        self.opened.append(request.headers["last-event-id"])
        if not self.streams or job is None:
            return httpx.Response(404, json={"detail": "Not Found", "code": "unknown_path"})
        seen = {"c": 0} | {part[0]: int(part[1:]) for part in self.opened[-1].split(".")}
        sent: list[str] = []
        for _ in range(1000 if self.streams is True else self.streams):
            job.looks += 1
            streams = (("event", "e", job.event_entries()), ("log", "l", job.log_entries()))
            for word, letter, entries in (*streams, ("candidate", "c", job.candidates)):
                sent += [f"event: {word}\ndata: {json.dumps(entry)}\n\n" for entry in entries[seen[letter] :]]
                seen[letter] = len(entries)
            sent.append(f"event: status\ndata: {json.dumps(job.summary())}\n\n")
            if job.status in ("success", "failed", "cancelled"):
                break
        return httpx.Response(200, text="".join(sent), headers={"content-type": "text/event-stream"})

    def _submit(self, request: httpx.Request) -> httpx.Response:
        key = request.headers["idempotency-key"]
        if key not in self.keys:
            self.keys[key] = self.add("pending", "running", "success").job_id
        return httpx.Response(
            200, json={"job_id": self.keys[key], "status": "pending", "estimated_remaining_seconds": None}
        )

    def _called(self, name: str) -> httpx.Response:
        """The newest first, as a job is newer that was added later."""
        self.looked_for.append(name)
        found = [job.summary() for job in reversed(self.jobs.values()) if name in (job.name, job.job_id)]
        return httpx.Response(200, json={"jobs": found, "next_cursor": None, "total": None})

    def _list(self, request: httpx.Request) -> httpx.Response:
        names = sorted(self.jobs)
        at = int(request.url.params.get("cursor", 0))
        page = [self.jobs[name].summary() for name in names[at : at + 2]]
        following = str(at + 2) if at + 2 < len(names) else None
        return httpx.Response(200, json={"jobs": page, "next_cursor": following, "total": len(names)})

    def _control(self, job: FakeJob, verb: str) -> httpx.Response:
        if job.status in ("success", "failed", "cancelled") and verb != "cancel":
            ended = {"detail": f"The job has ended already: {job.status}.", "code": "job_ended", "status": job.status}
            return httpx.Response(409, json=ended)
        if verb == "cancel":
            job.statuses = ["cancelled"]
        return httpx.Response(202, json=job.summary())

    def _job(self, method: str, job: FakeJob, below: list[str], request: httpx.Request) -> httpx.Response:
        if method == "DELETE":
            del self.jobs[job.job_id]
            return httpx.Response(204)
        if method == "POST" and below[0] in CONTROL:
            return self._control(job, below[0])
        pages: dict[str, Callable[[], list[dict[str, Any]]]] = {"logs": job.log_entries, "events": job.event_entries}
        match below:
            case ["summary"]:
                job.looks += 1
                return httpx.Response(200, json=job.summary())
            case ["logs" | "events" as stream]:
                after, limit = int(request.url.params["after"]), int(request.url.params["limit"])
                return httpx.Response(200, json=pages[stream]()[after : after + limit])
            case ["payload"]:
                return httpx.Response(200, json=job.payload)
            case ["candidates"]:
                return self._candidates(job, request)
            case ["rows"]:
                return self._rows(job, request)
            case ["artifact"]:
                return self._artifact(job, best=request.url.params.get("best") == "true")
        return httpx.Response(200, json=self._detail(job))

    def _candidates(self, job: FakeJob, request: httpx.Request) -> httpx.Response:
        """A page may end before its limit, as the service's do where prompts are long."""
        after, limit = int(request.url.params["after"]), int(request.url.params["limit"])
        wanted = [candidate for candidate in job.candidates if candidate["n"] > after]
        return httpx.Response(200, json=wanted[: min(limit, 2)])

    def _rows(self, job: FakeJob, request: httpx.Request) -> httpx.Response:
        after, limit = int(request.url.params.get("after", -1)), int(request.url.params["limit"])
        which = request.url.params["which"]
        wanted = [row for row in job.rows if row["n"] > after and which in ("all", row["outcome"])]
        return httpx.Response(200, json=wanted[:limit])

    def _artifact(self, job: FakeJob, best: bool) -> httpx.Response:
        if best and job.status == "running":
            return self._best(job)
        if job.status in ("failed", "cancelled"):
            return httpx.Response(404, json={"detail": "Job did not produce an artifact.", "code": "no_artifact"})
        if job.status != "success":
            return httpx.Response(409, json={"detail": "Job has not finished yet.", "code": "not_finished"})
        bundle = {
            "path": f"artifacts/{job.job_id}",
            "program_pickle_base64": base64.b64encode(PICKLE).decode(),
            "metadata": {"dependency_versions": {"dspy": "3.4"}},
            "optimized_prompt": "# Predictor\n",
            "program_state": {"predict": {}},
            "digests": {"program.pkl": f"sha256:{hashlib.sha256(PICKLE).hexdigest()}"},
            "baseline_state": {"predict": {}},
            "messages": {"adapter": "chat", "predictors": {}},
            "signature_code": "class Route(dspy.Signature): ...\n",
            "program_code": None,
            "program_files": None,
            "arguments": {"module": "dspy.Predict", "kwargs": {}, "adapter": "chat"},
            "submitted_digests": {},
            "nearest_rows": None,
            "joined_programs": None,
        }
        return httpx.Response(200, json={"program_artifact_path": bundle["path"], "program_artifact": bundle})

    def _best(self, job: FakeJob) -> httpx.Response:
        if not job.candidates:
            return httpx.Response(409, json={"detail": "Nothing yet.", "code": "no_best_yet"})
        bundle = {
            "path": f"jobs/{job.job_id}/checkpoint/best.json",
            "program_pickle_base64": None,
            "metadata": {"best_so_far": True, "score": 50.0, "rows": 6, "metric_calls": 12},
            "optimized_prompt": "# Predictor\n",
            "program_state": {"predict": {}},
            "digests": {},
        }
        return httpx.Response(200, json={"program_artifact_path": bundle["path"], "program_artifact": bundle})

    def _detail(self, job: FakeJob) -> dict[str, Any]:
        summary = job.summary()
        names = (
            "job_id",
            "status",
            "message",
            "created_at",
            "started_at",
            "completed_at",
            "latest_metrics",
            "notice",
            "usage",
            "candidates_count",
        )
        kept = {name: summary[name] for name in names} | job.standing()
        return kept | {"progress_events": [], "logs": [], "estimated_seconds_remaining": None, "result": None}
