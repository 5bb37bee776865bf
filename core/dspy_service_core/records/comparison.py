"""Is the optimized program better than the one that was given, or one job's program better than another's? An answer
from their scores on the same test rows.

The runner decides a job's verdict by it, and the page that of two jobs. It needs nothing but the standard library.

The interval is Student's t of the paired differences with two made-up rows added: one that the optimized program wins
by a whole point and one that it loses by a whole point. They stand for what few rows cannot show. If nearly all rows
are tied, or if a rare row changes much, the test rows vary less than future rows will. An interval of the test rows
alone (Student's t, a bootstrap) is then wrong as soon as the rare row is missing. For 0/1 scores this is the interval
of Agresti and Min with a whole row, not half of one, added to the rows won and to the rows lost.

For the same reason the degrees of freedom are not the number of rows, but how many rows the variance rests on
(Satterthwaite: the square of the sum of squares, divided by the sum of fourth powers). For 0/1 scores these are the
rows that changed.

`bench/verdicts.py` prints how many of its simulated intervals are true, by number of rows and shape. Scores outside 0
to 1 have no known worst and best, so no rows can be added: the sign test decides, and there is no interval.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

from dspy_service_core.records.run import Comparison, Verdict

CONFIDENCE = 0.95
PSEUDO_ROWS = "student_t_two_pseudo_rows"
SIGN_TEST = "sign_test"
NOT_COMPARED = "none"

_SCALE = 100
"""DSPy's scores are percentages: a row's score of 1 counts as 100."""
_DECIMALS = 4
_FEWEST = 2
"""The fewest rows that allow a verdict."""
_LEAST_FREEDOM = 3.0
"""The degrees of freedom of two tied rows with the two that are added."""
_Z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)

Score = float | None
"""None for a row that failed, which counts as 0."""


def compare(baseline: Sequence[Score], optimized: Sequence[Score]) -> tuple[Verdict, Comparison]:
    """Both have the same rows in the same order. A row on which both programs failed does not show which is better."""
    pairs = list(zip(baseline, optimized, strict=True))
    before, after = ([score or 0.0 for score in scores] for scores in (baseline, optimized))
    differences = [late - early for early, late in zip(before, after, strict=True)]
    won, lost = sum(each > 0 for each in differences), sum(each < 0 for each in differences)
    difference = _published(math.fsum(differences) / len(differences)) if differences else 0.0
    scored = sum(pair != (None, None) for pair in pairs)
    bounded = all(0 <= score <= 1 for score in (*before, *after))
    method = NOT_COMPARED if scored < _FEWEST else PSEUDO_ROWS if bounded else SIGN_TEST
    interval = _interval(differences) if method == PSEUDO_ROWS else None
    comparison = Comparison(
        difference=difference,
        interval=interval,
        confidence=CONFIDENCE,
        method=method,
        rows=len(pairs),
        won=won,
        lost=lost,
        tied=len(pairs) - won - lost,
        failed_rows=sum(None in pair for pair in pairs),
    )
    return _verdict(comparison), comparison


def _verdict(comparison: Comparison) -> Verdict:
    """Uses the rounded figures that are published, so that the published interval never says otherwise."""
    if comparison.method == NOT_COMPARED:
        return "unknown"
    if comparison.interval is not None:
        low, high = comparison.interval
        return "improved" if low > 0 else "worse" if high < 0 else "no_evidence"
    won, lost, difference = comparison.won, comparison.lost, comparison.difference
    if sign_test(won, lost) > 1 - CONFIDENCE:
        return "no_evidence"
    # More rows won, and yet a lower score: the rows and their sum disagree, so neither program is the better one.
    return "improved" if won > lost and difference > 0 else "worse" if lost > won and difference < 0 else "no_evidence"


def _interval(differences: Sequence[float]) -> list[float]:
    """The interval of the mean difference, in percentage points, for scores from 0 to 1."""
    rows = len(differences) + 2
    mean = math.fsum(differences) / rows
    squares = 2 + math.fsum(each**2 for each in differences)
    fourths = 2 + math.fsum(each**4 for each in differences)
    freedom = max(_LEAST_FREEDOM, squares**2 / fourths - 1)
    margin = t_quantile(freedom) * math.sqrt((squares - rows * mean**2) / (rows - 1) / rows)
    return [_published(max(-1.0, mean - margin)), _published(min(1.0, mean + margin))]


def _published(difference: float) -> float:
    return round(_SCALE * difference, _DECIMALS)


def t_quantile(freedom: float) -> float:
    """The quantile of Student's t for the upper end of the interval: the first terms of Cornish and Fisher's series
    (Abramowitz and Stegun, 26.7.5), right to 0.13 % from three degrees of freedom on."""
    z, terms = _Z, 0.0
    terms += (z**3 + z) / 4 / freedom
    terms += (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2
    terms += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3
    terms += (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160 / freedom**4
    return z + terms


def sign_test(won: int, lost: int) -> float:
    """The two-sided p value for rows being won as often as lost; for 0/1 scores this is McNemar's exact test."""
    changed, term, tail = won + lost, 1, 1
    for k in range(min(won, lost)):
        term = term * (changed - k) // (k + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << changed))
