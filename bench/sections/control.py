"""How long after cancel, pause and stop the last model call of a job begins, as a distribution.

    PYTHONPATH=tests/support:bench python bench/sections/control.py [--kubeconfig PATH [--namespace NS]] [--runs N]

On `dspy-service up` as it is; with a kubeconfig, on that cluster, where the chart is installed. Eight threads ask a
model that takes 0.1 s, so that a call begins every 12 ms until the job knows. A stopped job scores its best program
after that: its search ends with its last `optimizer_progress`, by the pod's clock.
"""

import argparse
import os
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from controlled_jobs import asked
from dspy_service_core.records.events import PROGRESS
from measuring.figures import Figure, share
from measuring.follow import ENDS, Client
from payloads import payload
from sections.freshness import cluster, embedded
from under_test import Model
from waiting import wait_for

VERBS = ("cancel", "pause", "stop")
LATENCY = 0.1
QUIET_SECONDS = 3.0
"""No call for so long: none follows."""
LOOK_SECONDS = 0.01
EMBEDDED, CLUSTER = 2.0, 5.0
RUNS = 10


def body(model: Model) -> bytes:
    return payload(
        60,
        model.url,
        optimizer_name="dspy.BootstrapFewShotWithRandomSearch",
        optimizer_kwargs={"num_candidate_programs": 200, "max_bootstrapped_demos": 1, "num_threads": 8},
        split_fractions={"train": 0.3, "val": 0.5, "test": 0.2},
    )


def delay(client: Client, model: Model, verb: str) -> float:
    job_id = client.submit(body(model))
    wait_for(lambda: _searched(client, job_id) > 100, timeout=300, interval=0.1, what="a search")
    given = time.time()
    client.ask(f"/jobs/{job_id}/{verb}", b"")
    last = _last_of_the_search(client, job_id) if verb == "stop" else _last_call(model, given)
    if verb == "pause":
        client.ask(f"/jobs/{job_id}/cancel", b"")
    wait_for(lambda: client.ask(f"/jobs/{job_id}/summary")["status"] in ENDS, timeout=120, what="the end")
    return max(last - given, 0.0)


def _searched(client: Client, job_id: str) -> int:
    return int(client.ask(f"/jobs/{job_id}/summary")["latest_metrics"].get("tqdm_n") or 0)


def _last_call(model: Model, given: float) -> float:
    """When the last call was seen to begin: none has for `QUIET_SECONDS`."""
    seen, last = asked(model), given
    while time.time() - last < QUIET_SECONDS:
        time.sleep(LOOK_SECONDS)
        if (now := asked(model)) != seen:
            seen, last = now, time.time()
    return last


def _last_of_the_search(client: Client, job_id: str) -> float:
    wait_for(lambda: client.ask(f"/jobs/{job_id}/summary")["status"] in ENDS, timeout=120, what="the end")
    events = [event for event in client.ask(f"/jobs/{job_id}/events") if event["event"] == PROGRESS]
    return datetime.fromisoformat(events[-1]["timestamp"]).timestamp()


def delays(client: Client, model: Model, runs: int) -> dict[str, list[float]]:
    model.latency = LATENCY
    return {verb: [delay(client, model, verb) for _ in range(runs)] for verb in VERBS}


def measure() -> list[Figure]:
    with embedded() as (client, model):
        found = delays(client, model, RUNS)
    return [
        Figure(f"{verb}: until no model call begins ({name})", value, "s", most=EMBEDDED)
        for verb, seconds in found.items()
        for name, value in (("median", statistics.median(seconds)), ("longest", max(seconds)))
    ]


def table(where: str, found: dict[str, list[float]], limit: float) -> Table:
    title = f"{where}: until no model call begins (load average: {os.getloadavg()[0]:.1f})"
    made = Table(title=title, title_justify="left")
    for column in ("verb", "runs", "median", "95 %", "longest", "wanted"):
        made.add_column(column, justify="left" if column == "verb" else "right")
    for verb, seconds in found.items():
        shares = (statistics.median(seconds), share(seconds, 0.95), max(seconds))
        made.add_row(verb, str(len(seconds)), *(f"{its:.2f} s" for its in shares), f"{limit:g} s")
    return made


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", type=Path)
    parser.add_argument("--namespace", default="dspy-service")
    parser.add_argument("--runs", type=int, default=RUNS)
    options = parser.parse_args(arguments)
    where, limit = ("embedded", EMBEDDED) if options.kubeconfig is None else ("cluster", CLUSTER)
    place = embedded() if options.kubeconfig is None else cluster(options.kubeconfig, options.namespace)
    with place as (client, model):
        found = delays(client, model, options.runs)
    Console(width=140).print(table(where, found, limit))


if __name__ == "__main__":
    main(sys.argv[1:])
