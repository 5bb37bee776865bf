"""Two jobs on the same test rows: what each won, and the verdict by the function that decides every job's own.

Rows are the same where their inputs and gold are: the answers tell no more of where a row comes from. A comparison of
rows that only one of them has would compare the rows, not the programs. Pure, and made of the answers of `/rows`.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from dspy_service_api.page.render import number
from dspy_service_core.records.comparison import compare
from dspy_service_core.records.run import Comparison, Verdict

Answer = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Scored:
    """A test row without its texts, of which there may be thousands."""

    n: int
    content: bytes
    score: float | None
    """None where the program failed on it."""
    as_given: bool
    """Whether it is the score of the program as it was given, because no other one was scored."""


@dataclass(frozen=True, slots=True)
class Paired:
    common: tuple[tuple[Scored, Scored], ...]
    verdict: Verdict | None = None
    """Of the second job's program, compared with the first's."""
    comparison: Comparison | None = None
    why_none: str = ""
    """What is in the way of a verdict."""

    @property
    def as_given(self) -> list[int]:
        """Which of the two has scored no other program than the one that was given."""
        return [which for which in (0, 1) if self.common and self.common[0][which].as_given]

    @property
    def flips(self) -> list[tuple[Scored, Scored]]:
        """The rows that one program does better than the other."""
        return [(first, second) for first, second in self.common if (first.score or 0.0) != (second.score or 0.0)]


def final(row: Answer) -> Answer:
    """What the job's program made of it: the optimized one, where there is one."""
    answer: Answer = row["optimized"] or row["baseline"]
    return answer


def scored(rows: Iterable[Answer]) -> list[Scored]:
    return [Scored(row["n"], _content(row), final(row)["score"], not row["optimized"]) for row in rows]


def paired(first: Sequence[Scored], second: Sequence[Scored], payloads: Sequence[Answer | None]) -> Paired:
    common = tuple(_common(first, second))
    if why := _why_not(len(common), len(first), len(second)) or _other_metric(payloads):
        return Paired(common, why_none=why)
    return Paired(common, *compare([one.score for one, _ in common], [other.score for _, other in common]))


def _common(first: Sequence[Scored], second: Sequence[Scored]) -> Iterator[tuple[Scored, Scored]]:
    """A row that a dataset has twice is matched twice."""
    others: defaultdict[bytes, deque[Scored]] = defaultdict(deque)
    for row in second:
        others[row.content].append(row)
    for row in first:
        if same := others[row.content]:
            yield row, same.popleft()


def _why_not(common: int, first: int, second: int) -> str:
    if not first or not second:
        who = "The second" if first else "The first" if second else "Each of them"
        return f"{who} has no test rows that were scored."
    if common == first == second:
        return ""
    return (
        f"They were not scored on the same test rows: the first has {number(first)} and the second {number(second)}, "
        f"of which {number(common)} have the same inputs and gold. Send one of them again with the other's dataset, "
        "split and seed."
    )


def _other_metric(payloads: Sequence[Answer | None]) -> str:
    """A metric may also ask the files and models of its job; the settings that differ are shown on the same page."""
    codes = [payload.get("metric_code") if payload else None for payload in payloads]
    if not all(codes):
        return "The metric of one of them is not known (any more), and scores of two metrics do not compare."
    return "" if codes[0] == codes[1] else "They were scored by different metrics, whose scores do not compare."


def _content(row: Answer) -> bytes:
    said = orjson.dumps([row["inputs"], row["gold"]], option=orjson.OPT_SORT_KEYS)
    return blake2b(said, digest_size=16).digest()
