"""For whoever operates the service: what waits, what runs and how slowly, what failed of what, which versions."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from dspy_service_api.page.contract import Contract, Refused
from dspy_service_api.page.views.summaries import JobHead, head_of
from dspy_service_api.page.visit import Visit

Summary = Mapping[str, Any]
_PAGE = 500
_MOST_PAGES = 20
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Jobs:
    """Those of one status: how many there are, and the ones that were looked at."""

    count: int
    found: list[Summary]

    @property
    def is_all(self) -> bool:
        return len(self.found) >= self.count


async def health(visit: Visit) -> Response:
    contract = visit.contract
    waiting, validating, running, failed, catalogue, state = await asyncio.gather(
        _with(contract, "pending", _MOST_PAGES),
        _with(contract, "validating", 1),
        _with(contract, "running", _MOST_PAGES),
        _with(contract, "failed", 1),
        contract.get("/catalogue"),
        _state(contract),
    )
    paused = sum(each["paused"] for each in waiting.found)
    newest = {_reason(each): each for each in reversed(failed.found)}
    reasons = Counter(map(_reason, failed.found)).most_common(_SHOWN)
    return visit.show(
        "health.html",
        waiting=_heads(sorted((each for each in waiting.found if not each["paused"]), key=_created)),
        counts={
            "pending": waiting.count,
            "validating": validating.count,
            "running": running.count,
            "failed": failed.count,
        },
        slots=validating.count + running.count,
        queue=waiting.count - paused,
        paused=paused,
        all_waiting=waiting.is_all,
        slowest=_heads(sorted(running.found, key=_started)),
        reasons=reasons,
        examples={reason: head_of(newest[reason]) for reason, _ in reasons},
        newest_failed=None if failed.is_all else len(failed.found),
        catalogue=catalogue,
        state=state,
    )


async def _with(contract: Contract, status: str, pages: int) -> Jobs:
    """The newest jobs of that status, as many pages of them. Jobs may come and go between two of them."""
    found: list[Summary] = []
    count, cursor = 0, None
    for _ in range(pages):
        page = await contract.get("/jobs", {"status": status, "limit": _PAGE, "cursor": cursor})
        found, count, cursor = found + page["jobs"], page["total"], page["next_cursor"]
        if cursor is None:
            break
    return Jobs(count, found)


def _heads(summaries: list[Summary]) -> list[JobHead]:
    """Of the few that are shown."""
    return [head_of(summary) for summary in summaries[:_SHOWN]]


def _created(summary: Summary) -> str:
    return str(summary["created_at"])


def _started(summary: Summary) -> str:
    return str(summary["started_at"] or summary["created_at"])


async def _state(contract: Contract) -> str:
    try:
        return str((await contract.get("/health"))["status"])
    except Refused as exc:
        return exc.detail


def _reason(summary: Summary) -> str:
    """Its first words: what follows a colon is the one job's own."""
    return str(summary["message"]).partition("\n")[0].partition(":")[0][:120]
