"""How long after a call of the metric `GET /jobs/{id}` tells of it, as a distribution.

    PYTHONPATH=tests/support:bench python bench/sections/freshness.py [--kubeconfig PATH [--namespace NS] [--beside N]]

On `dspy-service up` as it is; with a kubeconfig, on that cluster, where the chart is installed (its nodes' clocks must
be this machine's). The metric prints the time at which it is called, which the job's log keeps, and `tqdm_n` counts the
calls: so the answer that first counts the nth call of the search tells when it was known. A client looks for it without
pause. `--beside` jobs run at the same time, and nobody looks at them.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from installed_service import installed
from measuring.figures import Figure, share
from measuring.follow import ENDS, Client
from model_pod import model_pod
from payloads import DATASET, payload, rows
from scripted_lm import ScriptedServer
from under_test import Model
from whole_service import service

MARK = "metric called at "
METRIC = f"""
import time

def metric(gold, pred, trace=None):
    print("{MARK}%.6f" % time.time())
    return gold.team == pred.team
"""
LOOK_SECONDS = 0.02
EMBEDDED, CLUSTER = 1.0, 3.0
"""Seconds within which it is to be told."""


@dataclass(frozen=True)
class Pace:
    """How fast the calls come: a model's latency, and how many are asked at once."""

    what: str
    latency: float
    threads: int
    rows: int
    programs: int


PACES = (
    Pace("eight at once, 0.2 s each", 0.2, 8, 60, 12),
    Pace("one after another, 0.3 s each", 0.3, 1, 30, 4),
    Pace("one after another, 3 s each", 3.0, 1, 14, 1),
)


@dataclass(frozen=True)
class Delays:
    what: str
    seconds: Sequence[float]


def body(pace: Pace, model: Model) -> bytes:
    return payload(
        pace.rows,
        model.url,
        metric_code=METRIC,
        optimizer_name="dspy.BootstrapFewShotWithRandomSearch",
        optimizer_kwargs={
            "num_candidate_programs": pace.programs,
            "max_bootstrapped_demos": 1,
            "num_threads": pace.threads,
        },
        split_fractions={"train": 0.3, "val": 0.5, "test": 0.2},
    )


def delays(client: Client, model: Model, pace: Pace) -> Delays:
    model.latency = pace.latency
    job_id = client.submit(body(pace, model))
    told, job = list[float](), dict[str, Any]()
    while job.get("status") not in ENDS:
        job = client.ask(f"/jobs/{job_id}")
        counted = int(job["latest_metrics"].get("tqdm_n") or 0)
        told += [time.time()] * (counted - len(told))
        time.sleep(LOOK_SECONDS)
    client.require_success([job_id])
    final = int(job["latest_metrics"]["test"])  # the search's are neither those before it nor these after it
    called = sorted(_called(job["logs"]))[-len(told) - final : -final]
    return Delays(pace.what, [known - its for known, its in zip(told, called, strict=True)])


def _called(logs: Sequence[Any]) -> Iterator[float]:
    for entry in logs:
        for line in entry["message"].splitlines():
            if MARK in line:
                yield float(line.partition(MARK)[2])


@contextmanager
def embedded() -> Iterator[tuple[Client, Model]]:
    with ScriptedServer(rows(_all()), label="team") as model, service() as running:
        yield Client(running.url), model


@contextmanager
def cluster(kubeconfig: Path, namespace: str) -> Iterator[tuple[Client, Model]]:
    with (
        tempfile.TemporaryDirectory(prefix="dspy-service-bench-") as home,
        installed(kubeconfig, namespace, Path(home)) as running,
        model_pod(kubeconfig, running.image("api"), Path(home)) as model,
    ):
        yield Client(running.url, running.token), model


def _all() -> int:
    return len(DATASET.read_bytes().splitlines())


def measure() -> list[Figure]:
    with embedded() as (client, model):
        found = [delays(client, model, pace) for pace in PACES]
    return [
        Figure(f"metric call to GET /jobs/ID, {each.what} ({name})", 1000 * value, "ms", most=1000 * EMBEDDED)
        for each in found
        for name, value in (("median", statistics.median(each.seconds)), ("99 %", share(each.seconds, 0.99)))
    ]


def table(title: str, found: Sequence[Delays], limit: float) -> Table:
    made = Table(title=f"{title} (load average: {os.getloadavg()[0]:.1f})", title_justify="left")
    for column in ("calls of the metric", "number", "median", "90 %", "99 %", "longest", f"within {limit:g} s"):
        made.add_column(column, justify="left" if column == "calls of the metric" else "right")
    for each in found:
        shares = (
            statistics.median(each.seconds),
            share(each.seconds, 0.9),
            share(each.seconds, 0.99),
            max(each.seconds),
        )
        within = sum(its <= limit for its in each.seconds) / len(each.seconds)
        made.add_row(each.what, str(len(each.seconds)), *(f"{its:.2f} s" for its in shares), f"{100 * within:.1f} %")
    return made


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--namespace", default="dspy-service")
    parser.add_argument("--beside", type=int, default=0, help="jobs that run at the same time")
    options = parser.parse_args(arguments)
    where, limit = ("embedded", EMBEDDED) if options.kubeconfig is None else ("cluster", CLUSTER)
    place = embedded() if options.kubeconfig is None else cluster(options.kubeconfig, options.namespace)
    with place as (client, model):
        others = [client.submit(body(PACES[-1], model)) for _ in range(options.beside)]
        found = [delays(client, model, pace) for pace in PACES]
        for job_id in others:
            client.remove(job_id)
    title = f"{where}: from a call of the metric to GET /jobs/ID"
    Console(width=140).print(table(f"{title}, beside {options.beside} jobs", found, limit))


if __name__ == "__main__":
    main(sys.argv[1:])
