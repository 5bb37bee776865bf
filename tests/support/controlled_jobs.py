"""Jobs that a verb of control is tried on, brought to the state in which it finds them."""

from typing import Any, Literal

from control_channels import Verb
from payloads import payload
from under_test import Model, Service
from waiting import wait_for
from whole_jobs import ENDED, job, reached, submit

State = Literal["queued", "validating", "running", "paused", "ended"]
END: dict[tuple[Verb, State], str] = {
    ("cancel", "queued"): "cancelled",
    ("cancel", "validating"): "cancelled",
    ("cancel", "running"): "cancelled",
    ("cancel", "paused"): "cancelled",
    ("stop", "queued"): "cancelled",
    ("stop", "validating"): "cancelled",
    ("stop", "running"): "success",
    ("stop", "paused"): "success",
    ("pause", "queued"): "held",
    ("pause", "validating"): "held",
    ("pause", "running"): "held",
    ("pause", "paused"): "held",
    ("resume", "queued"): "as before",
    ("resume", "validating"): "as before",
    ("resume", "running"): "as before",
    ("resume", "paused"): "running",
}
"""What each verb leads to; a job that has ended takes none."""
SEARCH: dict[str, Any] = {
    "optimizer_name": "dspy.BootstrapFewShotWithRandomSearch",
    "optimizer_kwargs": {"num_candidate_programs": 60, "max_bootstrapped_demos": 1, "num_threads": 1},
    "split_fractions": {"train": 0.3, "val": 0.3, "test": 0.4},
}
"""Goes on for about 400 calls after something is found that can be kept."""
ROWS = 20
LATENCY = 0.1
_FOUND = 2 * int(ROWS * 0.3) + 2
"""Calls of the search after which another program than the given one is scored."""


def begun(running: Service, model: Model) -> str:
    """A job whose search has found something to keep."""
    job_id = submit(running.http, payload(ROWS, model.url, **SEARCH))
    reached(running.http, job_id, {"running"}, timeout=120)
    wait_for(lambda: _searched(running, job_id) > _FOUND, timeout=120, interval=0.1, what="a search that found some")
    return job_id


def _searched(running: Service, job_id: str) -> int:
    summary = job(running.http, job_id, "/summary")
    assert summary["status"] not in ENDED, summary["message"]
    return int(summary["latest_metrics"].get("tqdm_n") or 0)


def paused(running: Service, model: Model) -> str:
    job_id = begun(running, model)
    assert running.http.post(f"/jobs/{job_id}/pause").status_code == 202
    held(running, model, job_id)
    return job_id


def held(running: Service, model: Model, job_id: str) -> None:
    """Waits until the job has given its slot back, and no model is asked."""
    wait_for(lambda: job(running.http, job_id, "/summary")["status"] == "pending", timeout=60, what="the pause")
    at_rest(model)


def at_rest(model: Model) -> None:
    wait_for(lambda: model.stats.in_flight == 0, timeout=60, interval=0.02, what="a model that nobody asks")


def asked(model: Model) -> int:
    """Calls that have begun."""
    stats = model.stats
    return stats.calls + stats.failed + stats.in_flight
