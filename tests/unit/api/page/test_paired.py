"""Two jobs on the same rows: which are the same, the verdict with known figures, and why there may be none."""

from decimal import Decimal
from typing import Any

import pytest

from dspy_service_api.page.views.paired import Paired, final, paired, scored
from dspy_service_core.records.comparison import compare

METRIC = {"metric_code": "def metric(gold, pred): ..."}
SAME = [METRIC, METRIC]


def row(n: int, score: float | None, text: str = "", optimized: bool = True) -> dict[str, Any]:
    answer = {"prediction": {"team": "a"}, "score": score, "error": None}
    given = answer | {"score": 0.5}
    inputs = {"text": text or f"row {n}", "again": 1}
    return {
        "n": n, "outcome": "tied" if optimized else None, "inputs": inputs, "gold": {"team": "a"},
        "baseline": given if optimized else answer, "optimized": answer if optimized else None,
    }  # fmt: skip


def both(first: list[Any], second: list[Any], payloads: Any = None) -> Paired:
    return paired(scored(first), scored(second), payloads or SAME)


def binary(won: int, lost: int, tied: int) -> tuple[list[Any], list[Any]]:
    first = [0.0] * won + [1.0] * lost + [1.0] * tied
    second = [1.0] * won + [0.0] * lost + [1.0] * tied
    return [row(n, score) for n, score in enumerate(first)], [row(n, score) for n, score in enumerate(second)]


@pytest.mark.parametrize(
    ("won", "lost", "tied", "verdict", "interval"),
    [
        (6, 0, 4, "improved", [3.9795, 96.0205]),
        (0, 6, 4, "worse", [-96.0205, -3.9795]),
        (5, 0, 5, "no_evidence", [-5.5557, 88.889]),
        (30, 10, 60, "improved", [7.3297, 31.886]),
    ],
)
def test_the_interval_is_that_of_the_same_figures_in_one_job(
    won: int, lost: int, tied: int, verdict: str, interval: list[float]
) -> None:
    first, second = binary(won, lost, tied)
    found = both(first, second)
    assert found.comparison is not None
    assert (found.verdict, found.comparison.won, found.comparison.lost, found.comparison.tied) == (
        verdict, won, lost, tied,
    )  # fmt: skip
    assert found.comparison.interval == pytest.approx(interval, abs=1e-3)
    assert len(found.flips) == won + lost
    scores = ([final(each)["score"] for each in rows] for rows in (first, second))
    assert (found.verdict, found.comparison) == compare(*scores)


def test_rows_are_the_same_by_what_is_in_them_wherever_they_stand() -> None:
    first = [row(n, float(n % 2), f"text {n}") for n in range(10)]
    second = [row(100 + n, float(n % 2), f"text {n}") for n in reversed(range(10))]
    found = both(first, second)
    assert found.comparison is not None
    assert (found.comparison.rows, found.comparison.tied, found.flips) == (10, 10, [])


def test_a_row_that_is_there_twice_is_matched_twice_and_not_thrice() -> None:
    first = [row(1, 0.0, "a"), row(2, 1.0, "a"), row(3, 1.0, "b")]
    second = [row(1, 1.0, "a"), row(2, 1.0, "a"), row(3, 1.0, "a")]
    found = both(first, second)
    assert (len(found.common), found.comparison) == (2, None)
    assert [(one.n, other.n) for one, other in found.flips] == [(1, 1)]


def test_keys_in_another_order_are_the_same_row_and_another_gold_is_another() -> None:
    turned = row(1, 1.0) | {"inputs": {"again": 1, "text": "row 1"}}
    assert both([row(1, 1.0), row(2, 1.0)], [turned, row(2, 0.0)]).comparison is not None
    found = both([row(1, 1.0), row(2, 1.0)], [row(1, 1.0), row(2, 1.0) | {"gold": {"team": "b"}}])
    assert found.comparison is None
    assert "the first has 2 and the second 2, of which 1 have the same" in found.why_none


@pytest.mark.parametrize(
    ("first", "second", "payloads", "why"),
    [
        ([], [], SAME, "Each of them has no test rows"),
        ([], [row(1, 1.0)], SAME, "The first has no test rows"),
        ([row(1, 1.0)], [], SAME, "The second has no test rows"),
        ([row(n, 1.0) for n in range(1500)], [row(n, 1.0) for n in range(3)], SAME, "the first has 1,500 and the seco"),
        ([row(1, 1.0)], [row(1, 1.0)], [METRIC, {"metric_code": "def other(gold, pred): ..."}], "different metrics"),
        ([row(1, 1.0)], [row(1, 1.0)], [METRIC, None], "not known (any more)"),
    ],
)
def test_why_there_is_no_verdict(first: list[Any], second: list[Any], payloads: Any, why: str) -> None:
    found = both(first, second, payloads)
    assert (found.verdict, found.comparison) == (None, None)
    assert why in found.why_none


def test_failed_rows_count_nothing_and_scores_without_bounds_have_no_interval() -> None:
    found = both([row(n, None) for n in range(8)], [row(n, 1.0) for n in range(8)])
    assert found.comparison is not None
    assert (found.verdict, found.comparison.won, found.comparison.failed_rows) == ("improved", 8, 8)
    free = both([row(n, 10.0) for n in range(8)], [row(n, 12.0) for n in range(8)])
    assert free.comparison is not None
    assert (free.verdict, free.comparison.interval, free.comparison.method) == ("improved", None, "sign_test")
    assert Decimal(free.comparison.difference) == 200


def test_the_optimized_program_counts_where_there_is_one_and_else_it_is_said() -> None:
    found = both([row(n, 1.0) for n in range(3)], [row(n, 0.0, optimized=False) for n in range(3)])
    assert found.comparison is not None
    assert (found.comparison.lost, found.as_given) == (3, [1])
    assert both([row(1, 1.0)], [row(1, 1.0)]).as_given == []
