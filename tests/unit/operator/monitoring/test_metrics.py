"""The operator's figures: told by its own work, and without a word of its users."""

import ast
import re
from pathlib import Path

import pytest

from dspy_service_operator.monitoring.metrics import OTHER, REASONS, Metrics
from operator_harness import Harness

ROOT = Path(__file__).parents[4]
_REASON = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)*")


async def _run(harness: Harness, *, reason: str) -> None:
    await harness.start()
    harness.submit()
    await harness.settle()
    harness.nodes.control_jobs()
    await harness.settle()
    harness.nodes.start(harness.pods()[0])
    harness.nodes.begin(harness.pods()[0])
    await harness.settle()
    harness.nodes.report(harness.pods()[0], stage="Ended", result={"outcome": "Failed", "reason": reason})
    await harness.settle()


def page(metrics: Metrics) -> str:
    return metrics.pages()["/metrics"]().body.decode()


async def test_a_job_is_told_once_at_its_start_and_once_at_its_end() -> None:
    metrics = Metrics()
    await _run(Harness(telemetry=metrics), reason="MetricFailed")
    told = page(metrics)
    assert 'dspy_service_jobs_ended_total{phase="Failed",reason="MetricFailed"} 1.0' in told
    assert "dspy_service_job_start_seconds_count 1.0" in told
    assert "dspy_service_queue_length 0.0" in told
    assert "dspy_service_running_jobs 0.0" in told
    assert re.search(r"dspy_service_reconcile_seconds_count [1-9]", told)


@pytest.mark.parametrize("reason", ["IMadeThisUp", "tickets", "x" * 64])
async def test_a_reason_that_a_job_made_up_is_no_label(reason: str) -> None:
    metrics = Metrics()
    await _run(Harness(telemetry=metrics), reason=reason)
    assert f'dspy_service_jobs_ended_total{{phase="Failed",reason="{OTHER}"}} 1.0' in page(metrics)
    assert reason not in page(metrics)


async def test_a_failed_pass_is_counted() -> None:
    metrics = Metrics()
    with pytest.raises(RuntimeError), metrics.reconciling():
        raise RuntimeError
    assert "dspy_service_reconcile_errors_total 1.0" in page(metrics)


def test_every_reason_of_the_runner_has_a_figure_of_its_own() -> None:
    """Found where the runner's failures are raised: the first argument of what ends a job."""
    raised = set()
    for path in ROOT.glob("runner/dspy_service_runner/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            called = getattr(getattr(node, "func", None), "id", "")
            if called in ("JobFailed", "UsersFault", "InvalidDataset", "ArtifactUnusable", "run_source"):
                raised |= {
                    argument.value
                    for argument in node.args  # type: ignore[attr-defined]
                    if isinstance(argument, ast.Constant) and _REASON.fullmatch(str(argument.value))
                }
    assert len(raised) > 15
    assert raised <= REASONS
