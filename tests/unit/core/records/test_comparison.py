"""The verdict: by cases, against scipy, by exact coverage of 0/1 scores and by a simulation of graded ones.

`make verdicts` prints the whole simulation.
"""

import math
from functools import cache

import numpy as np
import pytest
from scipy import stats

from dspy_service_core.records.comparison import compare, sign_test, t_quantile
from paired_scores import GRADED, ROWS, SHAPES, coverage

PROMISED = 0.94
DRAWS = 400


def interval_of(baseline, optimized):
    _, comparison = compare(baseline, optimized)
    return tuple(comparison.interval)


def binary(won, lost, tied):
    return [0.0] * won + [1.0] * lost + [1.0] * tied, [1.0] * won + [0.0] * lost + [1.0] * tied


@pytest.mark.parametrize(
    ("won", "lost", "tied", "verdict"),
    [
        (6, 0, 4, "improved"),
        (5, 0, 5, "no_evidence"),
        (0, 6, 4, "worse"),
        (0, 5, 5, "no_evidence"),
        (10, 0, 0, "improved"),
        (30, 10, 60, "improved"),
        (30, 20, 250, "no_evidence"),
        (0, 0, 300, "no_evidence"),
        (1, 0, 0, "unknown"),
        (2, 0, 0, "no_evidence"),
        (0, 0, 2, "no_evidence"),
        (0, 0, 0, "unknown"),
    ],
)
def test_0_1_scores(won, lost, tied, verdict):
    told, comparison = compare(*binary(won, lost, tied))
    assert told == verdict
    assert (comparison.won, comparison.lost, comparison.tied) == (won, lost, tied)
    assert comparison.rows == won + lost + tied
    assert (comparison.interval is None) == (verdict == "unknown")
    if comparison.rows:
        assert comparison.difference == pytest.approx(100 * (won - lost) / comparison.rows, abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_improved_and_worse_are_mirror_images(seed):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(2, 60))
    before, after = rng.random(rows).tolist(), np.clip(rng.random(rows) + 0.3, 0, 1).tolist()
    forth, there = compare(before, after)
    back, here = compare(after, before)
    assert {forth, back} in ({"improved", "worse"}, {"no_evidence"})
    assert there.difference == -here.difference
    assert there.interval == [-end for end in reversed(here.interval)]
    assert (there.won, there.lost, there.tied) == (here.lost, here.won, here.tied)


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_holds_the_difference_and_stays_on_the_scale(seed):
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(2, 40))
    before = rng.integers(0, 2, rows).astype(float)
    after = np.ones(rows) if seed % 2 else rng.random(rows)
    _, comparison = compare(before.tolist(), after.tolist())
    low, high = comparison.interval
    assert -100 <= low <= comparison.difference <= high <= 100
    assert comparison.difference == pytest.approx(100 * (after - before).mean(), abs=1e-4)


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_is_students_t_of_the_rows_and_two_more(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.random(40), rng.random(40)
    rows = np.concatenate([after - before, [1, -1]])
    freedom = (rows**2).sum() ** 2 / (rows**4).sum() - 1
    expected = stats.t.interval(0.95, freedom, loc=rows.mean(), scale=stats.sem(rows))
    assert interval_of(before.tolist(), after.tolist()) == pytest.approx([100 * end for end in expected], rel=2e-3)


@pytest.mark.parametrize("freedom", [3, 3.7, 4, 5, 8.2, 11, 30, 99.5, 1000, 100_000])
def test_students_quantile_is_scipys(freedom):
    assert t_quantile(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1.3e-3)


@pytest.mark.parametrize(
    ("won", "lost"), [(0, 0), (1, 0), (6, 0), (0, 6), (5, 5), (9, 3), (60, 41), (700, 600), (3000, 2900)]
)
def test_the_sign_test_is_scipys(won, lost):
    expected = stats.binomtest(won, won + lost).pvalue if won + lost else 1.0
    assert sign_test(won, lost) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    ("baseline", "optimized", "verdict"),
    [
        ([10.0] * 8, [20.0] * 8, "improved"),
        ([20.0] * 8, [10.0] * 8, "worse"),
        ([0.5] * 8, [-0.5] * 8, "worse"),
        ([10.0] * 5, [20.0] * 5, "no_evidence"),
        ([10.0] * 10, [11.0] * 9 + [-500.0], "no_evidence"),
        ([10.0], [90.0], "unknown"),
    ],
)
def test_scores_without_bounds_have_the_sign_test_and_no_interval(baseline, optimized, verdict):
    told, comparison = compare(baseline, optimized)
    assert (told, comparison.interval) == (verdict, None)
    assert comparison.method == ("none" if verdict == "unknown" else "sign_test")


def test_one_score_outside_0_to_1_is_enough():
    assert compare([0.0] * 9 + [1.01], [1.0] * 10)[1].interval is None
    assert compare([0.0] * 9 + [-0.01], [1.0] * 10)[1].interval is None
    assert compare([0.0] * 9 + [1.0], [1.0] * 10)[1].interval is not None


def test_a_failed_row_counts_0_and_is_counted():
    verdict, comparison = compare([1.0, None, 0.0, None], [None, 1.0, 1.0, None])
    assert (comparison.won, comparison.lost, comparison.tied, comparison.failed_rows) == (2, 1, 1, 3)
    assert (verdict, comparison.difference) == ("no_evidence", 25.0)


@pytest.mark.parametrize("scored", [0, 1])
def test_rows_that_failed_with_both_programs_tell_nothing(scored):
    failed = [None] * (10 - scored)
    verdict, comparison = compare([*failed, *[0.0] * scored], [*failed, *[1.0] * scored])
    assert (verdict, comparison.interval, comparison.failed_rows) == ("unknown", None, 10 - scored)


def test_a_program_that_answers_where_the_given_one_failed_is_better():
    assert compare([None] * 20, [1.0] * 20)[0] == "improved"
    assert compare([1.0] * 20, [None] * 20)[0] == "worse"


def test_rows_of_different_runs_are_not_paired():
    with pytest.raises(ValueError):
        compare([1.0], [1.0, 0.0])


@cache
def binary_interval(won, lost, rows):
    return interval_of(*binary(won, lost, rows - won - lost))


def exact_coverage(rows, wins, losses):
    """Over every outcome that is not next to impossible."""
    held = 0.0
    changes = stats.binom.pmf(range(rows + 1), rows, wins + losses)
    for changed in range(rows + 1):
        for won, part in enumerate(stats.binom.pmf(range(changed + 1), changed, wins / (wins + losses))):
            lost, probability = changed - won, changes[changed] * part
            if probability < 1e-7:
                continue
            low, high = binary_interval(won, lost, rows)
            held += probability if low <= 100 * (wins - losses) <= high else 0
    return held


@pytest.mark.parametrize(
    ("wins", "losses"),
    [(p, q) for p in (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.6) for q in (0, 0.02, 0.1, 0.35) if q <= p],
)
@pytest.mark.parametrize("rows", [10, 30])
def test_exact_coverage_of_0_1_scores(rows, wins, losses):
    assert exact_coverage(rows, wins, losses) >= PROMISED


@pytest.mark.parametrize(
    ("rows", "wins", "losses"), [(100, 0.02, 0), (100, 0.1, 0), (100, 0.2, 0.01), (300, 0.02, 0), (300, 0.1, 0)]
)
def test_exact_coverage_where_agresti_mins_own_form_falls_short(rows, wins, losses):
    assert exact_coverage(rows, wins, losses) >= PROMISED


@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("shape", GRADED)
def test_simulated_coverage_of_graded_scores(shape, rows):
    """Three standard errors below what is promised; the seeds are fixed."""
    assert coverage(shape, rows, DRAWS, interval_of).share >= PROMISED - 3 * math.sqrt(0.06 * 0.94 / DRAWS)


def students_t(baseline, optimized):
    differences = 100 * (np.array(optimized) - np.array(baseline))
    if not differences.any():
        return 0.0, 0.0
    return stats.t.interval(0.95, len(differences) - 1, loc=differences.mean(), scale=stats.sem(differences))


@pytest.mark.parametrize("shape", [name for name in SHAPES if "95 % tied" in name or "90 % tied" in name])
def test_the_simulation_finds_an_interval_that_lies(shape):
    assert coverage(shape, 10, DRAWS, students_t).share < 0.8
