"""How often the verdict's interval holds the true difference, by shape of the scores and by rows: `make verdicts`.

Nothing of the service runs: 20,000 seeded draws a cell go through the very function that decides a job's verdict. At
least 94 % is promised; the smaller form of this is a test.
"""

import sys

from rich.console import Console
from rich.table import Table

from dspy_service_core.records.comparison import compare
from paired_scores import ROWS, SHAPES, Coverage, coverage

DRAWS = 20_000
PROMISED = 0.94


def main(draws: int) -> None:
    table = Table("scores", *(f"{rows} rows" for rows in ROWS), title=f"coverage (and width), {draws:,} draws a cell")
    for shape in SHAPES:
        table.add_row(shape, *(_cell(coverage(shape, rows, draws, interval)) for rows in ROWS))
    Console(width=120).print(table)


def interval(baseline: list[float], optimized: list[float]) -> tuple[float, float]:
    _, comparison = compare(baseline, optimized)
    assert comparison.interval is not None
    low, high = comparison.interval
    return low, high


def _cell(found: Coverage) -> str:
    missed = "" if found.share >= PROMISED else " (missed)"
    return f"{100 * found.share:.1f} % ({found.width:.1f}){missed}"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else DRAWS)
