"""Reads of finished jobs, 1,000 and 10,000 of them stored, and a restart over the larger number."""

import random
import sqlite3
import tempfile
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

from measuring.figures import Figure
from measuring.finished import STORE, seed
from measuring.load import Load, run
from whole_service import Service, service

FEW, MANY = 1_000, 10_000
REQUESTS = 6_000


def measure() -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="dspy-service-reads-") as temporary:
        folder = Path(temporary)
        with service(data_dir=folder) as few:
            ids = seed(few.kubeconfig, folder / STORE, FEW)
            detail, summary = _read(few, ids, ""), _read(few, ids, "/summary")
            ids += seed(few.kubeconfig, folder / STORE, MANY - FEW)
            detail_many = _read(few, ids, "")
        before = _revision(folder)
        began = time.perf_counter()
        with service(data_dir=folder) as again:
            ready = time.perf_counter() - began
            listed = _read(again, ids, "/summary")
        rewritten = _rewritten(folder, before)
    return [
        Figure(f"GET /jobs/{{id}}, {FEW:,} finished jobs stored", detail.per_second, "/s", least=2500),
        Figure(f"GET /jobs/{{id}}/summary, {FEW:,} stored", summary.per_second, "/s", least=3000),
        Figure(
            f"GET /jobs/{{id}}, {MANY:,} stored",
            detail_many.per_second,
            "/s",
            least=0.8 * detail.per_second,
            peer=f"80 % of the rate at {FEW:,}",
        ),
        Figure(f"restart with {MANY:,} finished jobs, until ready", ready, "s", most=10),
        Figure("finished jobs that the restart wrote to", rewritten, "", most=0),
        Figure("GET /jobs/{id}/summary after the restart", listed.per_second, "/s", least=3000),
    ]


def _read(service: Service, ids: list[str], tail: str) -> Load:
    """Random jobs, so that neither the newest nor the last read are favoured."""
    chosen = random.Random(7).choices(ids, k=REQUESTS)
    load = run(service.url, (("GET", f"/jobs/{job_id}{tail}", b"") for job_id in islice(chosen, REQUESTS)))
    if load.failures:
        raise SystemExit(f"{load.failures} reads failed: {load.first_failure}")
    return load


def _revision(folder: Path) -> int:
    """The embedded cluster counts every write with the resourceVersion that it hands out."""
    return _ask(folder, "SELECT value FROM revision", ())


def _rewritten(folder: Path, since: int) -> int:
    """Finished jobs that were written after `since`."""
    return _ask(folder, "SELECT COUNT(*) FROM objects WHERE kind LIKE '%optimizationjob%' AND revision > ?", (since,))


def _ask(folder: Path, query: str, arguments: tuple[int, ...]) -> int:
    with closing(sqlite3.connect(f"file:{folder / 'cluster.db'}?mode=ro", uri=True)) as database:
        return int(database.execute(query, arguments).fetchone()[0])
