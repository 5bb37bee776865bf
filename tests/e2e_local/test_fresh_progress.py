"""What a call of the metric changed is told without waiting for the next call: on a whole service whose model stops
answering. How soon is `bench/sections/freshness.py`'s to say."""

from collections.abc import Iterator

import pytest

from controlled_jobs import ROWS, SEARCH, asked, at_rest
from payloads import payload
from scripted_lm import ScriptedServer
from waiting import wait_for
from whole_jobs import ended, job, reached, submit
from whole_service import Service

pytestmark = pytest.mark.e2e

VALIDATION_ROWS, TEST_ROWS = (int(ROWS * SEARCH["split_fractions"][part]) for part in ("val", "test"))


@pytest.fixture
def halting(model: ScriptedServer) -> Iterator[ScriptedServer]:
    model.reset()
    model.latency = 0.02
    yield model
    model.latency = 0.0
    model.release()
    at_rest(model)


def test_the_last_call_is_told_while_nobody_answers(running: Service, halting: ScriptedServer) -> None:
    job_id = submit(running.http, payload(ROWS, halting.url, **SEARCH))
    reached(running.http, job_id, {"running"}, timeout=120)
    wait_for(lambda: told(running, job_id) > 2 * VALIDATION_ROWS, timeout=120, what="a search")
    halting.hold_from(asked(halting) + 5)
    wait_for(lambda: halting.stats.in_flight and told(running, job_id) == searched(halting), what="the last call")

    summary = job(running.http, job_id, "/summary")
    assert summary["running_seconds"] >= 0
    assert summary["elapsed_seconds"] is None
    best = (summary["best_score_on"], summary["best_score_rows"])
    assert best == ("validation", VALIDATION_ROWS)
    assert 0 < summary["best_score_at_call"] <= TEST_ROWS + told(running, job_id)

    running.http.post(f"/jobs/{job_id}/cancel")
    ended(running.http, job_id)


def told(running: Service, job_id: str) -> int:
    return int(job(running.http, job_id, "/summary")["latest_metrics"].get("tqdm_n") or 0)


def searched(model: ScriptedServer) -> int:
    """Rows of the search that the model answered, each of which the metric then saw."""
    return int(model.stats.by_kind["task"]) - TEST_ROWS
