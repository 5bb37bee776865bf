"""Submitting to a whole service and following a job to its end, over HTTP alone."""

from typing import Any

import httpx

from waiting import wait_for

ENDED = {"success", "failed", "cancelled"}


def submit(url: str, body: bytes, **headers: str) -> str:
    answer = httpx.post(f"{url}/run", content=body, headers={"Content-Type": "application/json", **headers})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["job_id"])


def job(url: str, job_id: str, part: str = "") -> Any:
    answer = httpx.get(f"{url}/jobs/{job_id}{part}", timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(url: str, job_id: str, timeout: float = 120) -> Any:
    """The job's whole answer once it has ended, however."""

    def end() -> Any:
        try:
            found = job(url, job_id, "/summary")
        except httpx.TransportError:
            return None
        return found if found["status"] in ENDED else None

    wait_for(end, timeout=timeout, interval=0.05, what=f"job {job_id} to end")
    return job(url, job_id)


def reached(url: str, job_id: str, words: set[str], timeout: float = 60) -> Any:
    """The summary once its status is one of `words`, or the job has ended."""

    def status() -> Any:
        found = job(url, job_id, "/summary")
        return found if found["status"] in words | ENDED else None

    return wait_for(status, timeout=timeout, interval=0.02, what=f"job {job_id} to be one of {words}")


def numbered(url: str, job_id: str, part: str) -> list[Any]:
    """Every entry of `/logs` or `/events`, by pages."""
    entries: list[Any] = []
    while page := job(url, job_id, f"/{part}?after={entries[-1]['n'] if entries else 0}&limit=1000"):
        page = page if isinstance(page, list) else page[part]
        if not page:
            break
        entries += page
    return entries
