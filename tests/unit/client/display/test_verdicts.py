"""What a reader is told of a verdict."""

from typing import Any

import pytest

from dspy_service.answers import Result, Summary
from dspy_service.cli.reading.watch import ending
from dspy_service.display.verdicts import line, of, program, word
from dspy_service.display.words import stage
from dspy_service.reading import read

COMPARISON: dict[str, Any] = {
    "difference": 30.303,
    "interval": [14.2, 46.44],
    "confidence": 0.95,
    "method": "student_t_two_pseudo_rows",
    "rows": 33,
    "won": 13,
    "lost": 3,
    "tied": 17,
    "failed_rows": 0,
}


SPLITS = {"train": 1, "val": 1, "test": 33}


def result(verdict: Any, **comparison: Any) -> Result:
    details = {"verdict": verdict, "comparison": COMPARISON | comparison}
    return read(
        Result, {"module_name": "predict", "optimizer_name": "gepa", "split_counts": SPLITS, "details": details}
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (
            result("improved"),
            "improved: +30.3 points (95 % interval 14.2 to 46.4); of 33 test rows 13 won, 3 lost, 17 tied",
        ),
        (
            result("no_evidence", difference=3.0, interval=[-9.0, 14.9]),
            "no evidence: +3.0 points (95 % interval -9.0 to 14.9); of 33 test rows 13 won, 3 lost, 17 tied",
        ),
        (
            result("worse", difference=-30.0, interval=[-40.0, -2.0], won=0, lost=10, tied=23),
            "worse: -30.0 points (95 % interval -40.0 to -2.0); of 33 test rows 0 won, 10 lost, 23 tied",
        ),
        (
            result("improved", interval=None),
            "improved: +30.3 points (no interval: the scores have no bounds); of 33 test rows 13 won, 3 lost, 17 tied",
        ),
        (result("unknown", rows=1), "unknown: too few test rows were scored to compare the programs"),
        (result(None), ""),
        (None, ""),
    ],
)
def test_the_line(found: Result | None, expected: str) -> None:
    assert line(found) == expected


def only_scored() -> Result:
    details = {"verdict": "unknown", "comparison": None}
    splits = {"train": 0, "val": 0, "test": 30}
    head = {"module_name": "predict", "optimizer_name": "evaluate", "split_counts": splits}
    return read(Result, head | {"baseline_test_metric": 73.333, "details": details})


def test_a_job_that_optimized_nothing_is_told_by_its_score() -> None:
    head = {"job_id": "j1", "status": "success", "created_at": "2026-01-01T00:00:00Z", "verdict": "unknown"}
    given = {"module_name": "predict", "optimizer_name": "evaluate", "split_fractions": SPLITS, "seed": 7}
    metrics = {"baseline_test_metric": 73.333}
    told = {"latest_metrics": metrics, "message": "Scored 73.3 on 30 rows: nothing was optimized."}
    summary = read(Summary, head | given | told)

    assert (line(only_scored()), program(only_scored())) == ("scored 73.3 on 30 rows", "program")
    assert list(ending(summary, only_scored())) == [
        "scored 73.3 on 30 rows",
        "success",
        "The program: dspy-service artifact j1 -o DIR",
    ]
    assert of(summary) == "scored"
    assert stage(summary) == "Scored 73.3 on 30 rows: nothing was optimized"


def test_too_few_rows_are_no_score_alone() -> None:
    head = {"job_id": "j1", "status": "success", "created_at": "2026-01-01T00:00:00Z", "verdict": "unknown"}
    given = {"module_name": "predict", "optimizer_name": "gepa", "split_fractions": SPLITS, "seed": 7, "message": ""}
    metrics = {"baseline_test_metric": 0.0, "optimized_test_metric": 100.0}
    assert of(read(Summary, head | given | {"latest_metrics": metrics})) == "unknown"


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        ("running", "optimized_evaluated", "improved"),
        ("success", "Ended early.", "improved: Ended early"),
        ("success", "Improved by 3 points.", "Improved by 3 points"),
        ("success", "", "improved"),
    ],
)
def test_a_verdict_goes_before_what_is_said_beside_it(status: str, message: str, told: str) -> None:
    head = {"job_id": "j1", "status": status, "created_at": "2026-01-01T00:00:00Z", "verdict": "improved"}
    given = {"module_name": "predict", "optimizer_name": "gepa", "split_fractions": SPLITS, "seed": 7}
    assert stage(read(Summary, head | given | {"message": message})) == told


@pytest.mark.parametrize("verdict", ["no_evidence", "worse", "unknown", None, "a_newer_word"])
def test_only_an_improved_program_is_called_the_better_one(verdict: str | None) -> None:
    assert program(result(verdict)) == "optimized program"
    assert program(result("improved")) == "better program"


def test_an_older_services_answer_has_no_verdict() -> None:
    details = {"train": 1}
    splits = {"train": 1, "val": 1, "test": 33}
    found = read(Result, {"module_name": "m", "optimizer_name": "o", "split_counts": splits, "details": details})
    assert (line(found), found.verdict, found.comparison, word(found.verdict)) == ("", None, None, "")


def test_a_search_that_tried_nothing_says_so_first() -> None:
    details = {"verdict": "no_evidence", "comparison": COMPARISON, "nothing_tried": "GEPA scored no other program."}
    found = read(
        Result, {"module_name": "predict", "optimizer_name": "gepa", "split_counts": SPLITS, "details": details}
    )
    head = {"job_id": "j1", "status": "success", "message": "", "created_at": "2026-01-01T00:00:00Z"}
    given = {"module_name": "predict", "optimizer_name": "gepa", "split_fractions": SPLITS, "seed": 7}
    summary = read(Summary, head | given)

    assert found.nothing_tried == "GEPA scored no other program."
    assert next(ending(summary, found)) == "nothing tried: GEPA scored no other program."
    assert result("improved").nothing_tried is None
