from dataclasses import replace
from typing import Any

import orjson
import pytest

from dspy_service_core.crd import generate
from dspy_service_core.records.events import Event, LogEntry
from dspy_service_core.records.run import ProgressDocument, Result
from dspy_service_core.records.usage import Usage
from dspy_service_core.resource.status import OptimizationJobStatus
from dspy_service_runner.reporter.status.status import (
    MAX_METRICS_BYTES,
    MAX_RUN_BYTES,
    MAX_TAIL_BYTES,
    Report,
    bare,
    take_over,
    with_removals,
)

THEN = "2026-01-01T00:00:00.000Z"


def make_report(events: int = 2, logs: int = 2, **metrics: Any) -> Report:
    report = Report(2, "uid", stage="Running")
    usage = Usage(calls=11, cost_usd=0.5)
    report.progress = ProgressDocument(stage="Running", started_at=THEN, percent=5.0, calls=3, usage=usage)
    report.earlier_usage = Usage(calls=10)
    for n in range(1, events + 1):
        report.add_event(n, Event(THEN, f"event {n}", {"last": n, **metrics}))
    for n in range(1, logs + 1):
        report.add_log(n, LogEntry(THEN, "INFO", "dspy", f"line {n}"))
    return report


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return value


def test_it_is_what_the_resource_holds() -> None:
    run = make_report().run()
    model = OptimizationJobStatus.model_validate({"run": without_nulls(run)}).run
    assert model.attempt == 2
    assert model.usage.calls == 11, "the optimizer counts earlier attempts itself"
    assert run["progress"]["percent"] == "5"
    assert model.progress.percent == 5.0
    assert [event.n for event in model.events.last] == [1, 2]
    assert [entry.message for entry in model.logs.tail] == ["line 1", "line 2"]
    assert model.message == "event 2"
    assert set(run) == set(generate.schema()["properties"]["status"]["properties"]["run"]["properties"])


def test_only_the_newest_are_shown_and_all_are_counted() -> None:
    run = make_report(events=50, logs=50).run()
    assert (run["events"]["count"], [e["n"] for e in run["events"]["last"]]) == (50, [46, 47, 48, 49, 50])
    assert (run["logs"]["count"], [e["n"] for e in run["logs"]["tail"]]) == (50, list(range(31, 51)))


def test_the_newest_figures_go_before_those_of_the_last_event() -> None:
    report = make_report(tqdm_n=1, baseline_test_metric=50.0)
    report.progress = replace(report.progress, figures={"tqdm_n": 7, "tqdm_percent": 70.0})
    assert report.run()["metrics"] == {"last": 2, "baseline_test_metric": 50.0, "tqdm_n": 7, "tqdm_percent": 70.0}
    assert report.run()["events"]["last"][-1]["metrics"]["tqdm_n"] == 1


FLOODS: list[dict[str, Any]] = [
    {"big": "x" * 10_000},
    {f"name {n}": n for n in range(2000)},
    {f"{n}" + "k" * 400: "v" * 50 for n in range(100)},
    {"deep": {"a": ["x" * 600]}},
]


@pytest.mark.parametrize("metrics", FLOODS)
def test_it_is_never_larger_than_its_limit(metrics: dict[str, Any]) -> None:
    report = make_report(events=20, logs=0, **metrics)
    for n in range(1, 40):
        report.add_log(n, LogEntry(THEN, "I" * 256, "l" * 256, "\0ü" * 30_000))
    report.trouble = "t" * 50_000
    report.result = Result("Failed", message="m" * 2048)
    run = report.run()
    assert len(orjson.dumps(run)) <= MAX_RUN_BYTES
    assert len(orjson.dumps(run["metrics"])) <= MAX_METRICS_BYTES + 100
    assert len(orjson.dumps(run["logs"]["tail"])) <= MAX_TAIL_BYTES + 100


def test_figures_are_kept_where_texts_are_too_large() -> None:
    run = make_report(baseline_test_metric=50.0, noise="x" * 10_000).run()
    assert run["metrics"] == {"last": 2, "baseline_test_metric": 50.0}


def test_trouble_is_said_instead_of_the_last_event() -> None:
    report = make_report()
    report.trouble = "the store is away"
    assert report.run()["message"] == "the store is away"
    report.trouble, report.result = "", Result("Succeeded")
    assert report.run()["message"] == ""


def test_bare_holds_nothing_of_the_users() -> None:
    run = bare(make_report(canary="canary").run())
    assert "canary" not in orjson.dumps(run).decode()
    assert run["events"]["count"] == 2


def test_figures_that_are_gone_are_taken_away() -> None:
    assert with_removals({"metrics": {"a": 1}}, {"metrics": {"a": 0, "b": 2}}) == {"metrics": {"a": 1, "b": None}}
    assert with_removals({"metrics": {}}, None) == {"metrics": {}}


def test_a_new_attempt_goes_on_with_the_usage_and_the_figures() -> None:
    before = make_report().run()
    report = Report(3, "uid-2")
    take_over(report, before)
    assert report.usage == Usage(calls=11, cost_usd=0.5)
    assert report.metrics == {"last": 2}
    assert report.event_count == 2
    assert report.run()["result"] is None


def test_the_same_attempt_s_usage_stays_until_the_optimizer_tells_anew() -> None:
    report = Report(2, "uid")
    take_over(report, make_report().run())
    assert report.usage.calls == 11
    report.progress = ProgressDocument(stage="Running", usage=Usage(calls=12))
    assert report.usage.calls == 12


@pytest.mark.parametrize("run", [None, {}, {"metrics": 5, "events": None, "usage": 5}])
def test_a_status_without_a_run(run: Any) -> None:
    report = Report(1, "uid")
    take_over(report, run)
    assert report.metrics == {}
