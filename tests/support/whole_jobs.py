"""Submitting to a whole service and following a job to its end, over its HTTP API alone."""

from typing import Any

import httpx

from waiting import wait_for

ENDED = {"success", "failed", "cancelled"}


def submit(http: httpx.Client, body: bytes, **headers: str) -> str:
    answer = http.post("/run", content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


def job(http: httpx.Client, job_id: str, part: str = "") -> Any:
    answer = http.get(f"/jobs/{job_id}{part}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(http: httpx.Client, job_id: str, timeout: float = 120) -> Any:
    """The job's whole answer once it has ended, however."""

    def end() -> Any:
        try:
            found = job(http, job_id, "/summary")
        except httpx.TransportError:
            return None
        return found if found["status"] in ENDED else None

    wait_for(end, timeout=timeout, interval=0.05, what=f"job {job_id} to end")
    return job(http, job_id)


def reached(http: httpx.Client, job_id: str, words: set[str], timeout: float = 60) -> Any:
    """The summary once its status is one of `words`, or the job has ended."""

    def status() -> Any:
        found = job(http, job_id, "/summary")
        return found if found["status"] in words | ENDED else None

    return wait_for(status, timeout=timeout, interval=0.02, what=f"job {job_id} to be one of {words}")


def numbered(http: httpx.Client, job_id: str, part: str) -> list[Any]:
    """Every entry of `/logs` or `/events`, by pages."""
    entries: list[Any] = []
    while page := job(http, job_id, f"/{part}?after={entries[-1]['n'] if entries else 0}&limit=1000"):
        page = page if isinstance(page, list) else page[part]
        if not page:
            break
        entries += page
    return entries
