"""`POST /run` at 8 clients, the operator running, beside a bare FastAPI app on the same machine in the same run."""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from measuring.figures import Figure
from measuring.load import Load, run
from payloads import payload
from whole_service import STOP_SECONDS, await_port, free_port, service

SMALL, LARGE = 30, 2000
REQUESTS = {SMALL: 2000, LARGE: 400}
NOWHERE = "http://127.0.0.1:9/v1"
LEAST = {SMALL: 250.0, LARGE: 80.0}


def measure() -> list[Figure]:
    figures = []
    for rows in (SMALL, LARGE):
        body = payload(rows, NOWHERE)
        with _bare_app() as url:
            bare = _submit(url, body, rows)
        # One slot and a model that answers nobody: what is measured is the submit and not the jobs.
        with service("--concurrency", "1", "--prewarmed", "0") as ours:
            submitted = _submit(ours.url, body, rows)
        figures += [
            Figure(f"POST /run, {rows} rows", submitted.per_second, "/s", least=LEAST[rows]),
            Figure(
                f"POST /run, {rows} rows, beside the bare app",
                submitted.per_second,
                "/s",
                least=bare.per_second,
                peer="bare FastAPI + SQLite",
            ),
        ]
    return figures


@contextmanager
def _bare_app() -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="dspy-service-bare-") as folder:
        script = Path(__file__).parents[1] / "peers" / "bare_app.py"
        process = subprocess.Popen([sys.executable, str(script), str(port), f"{folder}/runs.db"])
        try:
            await_port(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)


def _submit(url: str, body: bytes, rows: int) -> Load:
    load = run(url, repeat(("POST", "/run", body), REQUESTS[rows]))
    if load.failures:
        raise SystemExit(f"{load.failures} of {REQUESTS[rows]} submits failed: {load.first_failure}")
    return load
