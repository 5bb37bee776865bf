"""Jobs as a client sees them: submitted over HTTP, then asked for until they are what is waited for."""

import json
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

ENDS = {"success", "failed", "cancelled"}


@dataclass(frozen=True)
class Course:
    """One job's, in seconds since the epoch; `running` is when it was first seen to run, or to have ended."""

    job_id: str
    posted: float
    running: float
    success: float


@dataclass(frozen=True)
class Client:
    url: str
    token: str = ""
    pause: float = 0.005
    """Seconds between looks at one job: what is read off them is as fine as that, and each look costs the service and
    whatever lies between (a port-forward of kubectl's more than either) its share of the same processors."""

    def submit(self, body: bytes) -> str:
        return str(self.ask("/run", body)["job_id"])

    def follow(self, body: bytes) -> Course:
        posted = time.time()
        job_id, running = self.submit(body), 0.0
        while True:
            status = self.ask(f"/jobs/{job_id}/summary")["status"]
            now = time.time()
            if not running and status in {"running", *ENDS}:
                running = now
            if status in ENDS:
                self.require_success([job_id])
                return Course(job_id, posted, running, now)
            time.sleep(self.pause)

    def await_success(self, job_ids: Iterable[str], pause: float = 0.1) -> None:
        """Of the newest 500 jobs."""
        wanted = set(job_ids)
        while True:
            listed = self.ask("/jobs?limit=500")["jobs"]
            if len([job for job in listed if job["job_id"] in wanted and job["status"] in ENDS]) == len(wanted):
                break
            time.sleep(pause)
        self.require_success(job["job_id"] for job in listed if job["job_id"] in wanted and job["status"] != "success")

    def require_success(self, job_ids: Iterable[str]) -> None:
        for job_id in job_ids:
            job = self.ask(f"/jobs/{job_id}/summary")
            if job["status"] != "success":
                raise SystemExit(f"job {job_id} ended as {job['status']}: {job['message']}")

    def remove(self, job_id: str) -> None:
        self._send("DELETE", f"/jobs/{job_id}")

    def ask(self, path: str, body: bytes | None = None) -> Any:
        return json.loads(self._send("GET" if body is None else "POST", path, body))

    def _send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(self.url + path, data=body, headers=headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return bytes(answer.read())
