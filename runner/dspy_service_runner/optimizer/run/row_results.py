"""The artifact's `rows.jsonl`: a line for each test row, with the results of both programs, in the dataset's order."""

from collections.abc import Sequence
from typing import Any

from dspy_service_runner.optimizer import json_form
from dspy_service_runner.optimizer.run.evaluation import RowOutcome


def lines(baseline: Sequence[RowOutcome], optimized: Sequence[RowOutcome] | None) -> bytes:
    """The two evaluations must be of the same rows in the same order. Without an optimized program, each row has only
    what the given one made of it."""
    after: Sequence[RowOutcome | None] = [None] * len(baseline) if optimized is None else optimized
    pairs = sorted(zip(baseline, after, strict=True), key=lambda pair: pair[0].n)
    return "".join(f"{json_form.text(_line(*pair))}\n" for pair in pairs).encode()


def _line(before: RowOutcome, after: RowOutcome | None) -> dict[str, Any]:
    return {
        "n": before.n,
        "outcome": None if after is None else _outcome(before.score or 0.0, after.score or 0.0),
        "inputs": before.inputs,
        "gold": before.gold,
        "baseline": _answer(before),
        "optimized": None if after is None else _answer(after),
    }


def _outcome(before: float, after: float) -> str:
    return "won" if after > before else "lost" if after < before else "tied"


def _answer(row: RowOutcome) -> dict[str, Any]:
    return {"prediction": row.prediction, "score": row.score, "error": row.error}
